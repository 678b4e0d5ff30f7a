package readertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

// Failure is one way in which the in-memory reader can go wrong, once: either the thing did not happen, or it happened
// and the reader says it did not.
type Failure uint8

const (
	TapLost         Failure = iota + 1 // the next badge is read and nobody is told
	TapThenError                       // the next badge's tap is delivered, and Run fails right after
	SignalLost                         // the next signal is not shown, and an error says so
	SignalShown                        // the next signal is shown, and an error says it was not
	SignalPretended                    // the next signal is not shown, and no error says so
)

// ErrFailure is the error of every Failure that gives one.
var ErrFailure = errors.New("in-memory reader failed as it was told to")

var errUnplugged = errors.New("in-memory reader is unplugged")

// Reader is a Source in memory, and the equipment of that source. It debounces nothing: every Present is a presentation.
type Reader struct {
	id     gateway.ReaderID
	origin gateway.Origin
	kind   gateway.CredentialKind
	news   chan struct{} // buffered by one: something below changed

	mu       sync.Mutex
	failures []Failure
	shown    []gateway.Feedback
	running  bool
	pulled   bool // nothing is plugged in
	cut      bool // was pulled since Run opened it
	lying    []byte
	untold   []presentation
}

type presentation struct {
	credential gateway.Credential
	at         time.Time
}

// NewReader is plugged in, with no badge on it. Its taps say that they came from origin and are of that kind.
func NewReader(id gateway.ReaderID, origin gateway.Origin, kind gateway.CredentialKind) *Reader {
	return &Reader{id: id, origin: origin, kind: kind, news: make(chan struct{}, 1)}
}

// Fail makes the next thing that failure is about go wrong. Several wait for their turn.
func (r *Reader) Fail(failure Failure) {
	r.change(func() { r.failures = append(r.failures, failure) })
}

// Shown is every feedback that the light and the buzzer gave, oldest first.
func (r *Reader) Shown() []gateway.Feedback {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.shown)
}

// Present lays a badge on the reader; one that lay there makes room. With Run not running it is lying there at start.
func (r *Reader) Present(badge []byte) {
	r.change(func() {
		r.lying = badge
		if r.running && !r.cut && !r.failing(TapLost) {
			r.untold = append(r.untold, presentation{gateway.NewCredential(r.kind, badge), time.Now()})
		}
	})
}

// Remove takes the badge away.
func (r *Reader) Remove() { r.change(func() { r.lying = nil }) }

// Babble makes a noise that the reader has learnt to ignore.
func (r *Reader) Babble() { r.change(func() {}) }

// Unplug ends a running Run with an error, and every Run until Replug.
func (r *Reader) Unplug() { r.change(func() { r.pulled, r.cut, r.lying = true, true, nil }) }

// Replug brings the reader back.
func (r *Reader) Replug() { r.change(func() { r.pulled = false }) }

// Readers is the one id.
func (r *Reader) Readers() []gateway.ReaderID { return []gateway.ReaderID{r.id} }

// Run keeps the contract of reader.Source. Two at once are an error.
func (r *Reader) Run(ctx context.Context, out chan<- reader.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	defer r.change(func() { r.running, r.untold = false, nil })
	if err := send(ctx, out, reader.Status{Reader: r.id, State: gateway.ReaderUp, Reason: gateway.ReaderRecovered}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.news:
		}
		if err := r.tell(ctx, out); err != nil {
			return err
		}
	}
}

func (r *Reader) open() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running {
		return errors.New("in-memory reader is running already")
	}
	if r.pulled {
		return errUnplugged
	}
	r.running, r.cut = true, false
	return nil
}

// tell sends the taps that were not told yet.
func (r *Reader) tell(ctx context.Context, out chan<- reader.Event) error {
	for {
		p, fail, err := r.next()
		if p == nil {
			return err
		}
		err = send(ctx, out, reader.Tap{Tap: gateway.Tap{
			Reader: r.id, Origin: r.origin, Credential: p.credential, At: p.at,
			Assurance: gateway.Assurance{Card: gateway.CardNumber},
		}})
		if err != nil {
			return err
		}
		if fail {
			return ErrFailure
		}
	}
}

// next takes the oldest presentation, nil where there is none. A reader that was pulled has none, but an error.
func (r *Reader) next() (p *presentation, fail bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cut {
		return nil, false, errUnplugged
	}
	if len(r.untold) == 0 {
		return nil, false, nil
	}
	p, r.untold = &r.untold[0], r.untold[1:]
	return p, r.failing(TapThenError), nil
}

// Signal shows feedback while Run runs.
func (r *Reader) Signal(ctx context.Context, f gateway.Feedback) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.running || r.cut:
		return errUnplugged
	case r.failing(SignalLost):
		return ErrFailure
	case r.failing(SignalPretended):
		return nil
	}
	r.shown = append(r.shown, f)
	if r.failing(SignalShown) {
		return ErrFailure
	}
	return nil
}

// failing says whether failure is due, and uses it up. The caller holds mu.
func (r *Reader) failing(failure Failure) bool {
	i := slices.Index(r.failures, failure)
	if i >= 0 {
		r.failures = slices.Delete(r.failures, i, i+1)
	}
	return i >= 0
}

// change does something to the reader and lets Run look.
func (r *Reader) change(do func()) {
	r.mu.Lock()
	do()
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func send(ctx context.Context, out chan<- reader.Event, e reader.Event) error {
	select {
	case out <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
