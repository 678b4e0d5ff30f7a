package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"tapward/gateway"
	"tapward/gateway/station"
	"tapward/reader"
)

// Story plays a ward's day on a new ward in w.Dir, whatever stood there of an earlier story, and checks at the station,
// on the phones' own screens and in the log that each step did what it should. It writes one line for each, and ends
// with the first that did not.
func (w Ward) Story(ctx context.Context, out io.Writer) error {
	if err := w.clear(); err != nil {
		return err
	}
	t, err := newTale(w, out)
	if err != nil {
		return err
	}
	began := time.Now()
	err = t.tell(ctx)
	if closed := t.close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%w (everything is kept in %s)", err, t.ward.Dir)
	}
	fmt.Fprintf(out, "\nThe story is told: %d steps, each as it should be, in %.1f s.\n", t.steps, time.Since(began).Seconds())
	return nil
}

// clear empties the folder of an earlier ward that does not run.
func (w Ward) clear() error {
	_, unlock, err := w.own()
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.RemoveAll(w.Dir); err != nil {
		return fmt.Errorf("begin the story anew: %w", err)
	}
	return nil
}

// tale is a story being told.
type tale struct {
	ward  Ward
	bin   string
	out   io.Writer
	steps int

	tapped             map[[2]string]time.Time // when a badge was last at a reader
	first, bens, coras gateway.PhoneID         // phones that the story comes back to
	caughtUp           int64                   // records of the box that its receipts say are archived

	place Place // of the ward while it runs
	box   *station.Client
	stop  context.CancelFunc // nil: the ward does not run
	ended <-chan error
}

func newTale(w Ward, out io.Writer) (*tale, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the programs: %w", err)
	}
	if w.Dir, err = filepath.Abs(w.Dir); err != nil {
		return nil, err
	}
	return &tale{ward: w, bin: filepath.Dir(self), out: out, tapped: map[[2]string]time.Time{}, box: station.NewClient(BoxSocket(w.Dir))}, nil
}

// step is something that happens and what must come of it.
type step struct {
	title string
	play  func(context.Context, *tale) error
}

// stepTime bounds one step.
const stepTime = 30 * time.Second

func (t *tale) tell(ctx context.Context) error {
	for _, s := range story {
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, stepTime)
		err := s.play(limited, t)
		cancel()
		if err != nil {
			fmt.Fprintf(t.out, "FAILED  %s\n", s.title)
			return fmt.Errorf("%s: %w", s.title, err)
		}
		t.steps++
		fmt.Fprintf(t.out, "ok %5.1f s  %s\n", time.Since(began).Seconds(), s.title)
	}
	return nil
}

// open starts the ward and returns when badges can be tapped.
func (t *tale) open(ctx context.Context) error {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	ready, ended := make(chan Place, 1), make(chan error, 1)
	go func() { ended <- t.ward.Run(run, func(p Place) { ready <- p }) }()
	t.stop, t.ended = stop, ended
	select {
	case t.place = <-ready:
		return nil
	case err := <-ended:
		t.stop = nil
		return errors.Join(errors.New("the ward did not start"), err)
	case <-ctx.Done():
		return fmt.Errorf("the ward did not start: %w", ctx.Err())
	}
}

// close stops the ward as Ctrl-C does, and returns when it is gone.
func (t *tale) close() error {
	if t.stop == nil {
		return nil
	}
	t.stop()
	t.stop = nil
	return <-t.ended
}

// ask has the ward do something.
func (t *tale) ask(ctx context.Context, o Order) error { return Ask(ctx, t.ward.Dir, o) }

func (t *tale) tap(ctx context.Context, at, badge string) error {
	err := t.ask(ctx, Order{Do: "tap", At: at, Badge: badge})
	t.tapped[[2]string{at, badge}] = time.Now()
	return err
}

// anew returns when a tap of a badge is another presentation than its last one at this reader.
func (t *tale) anew(ctx context.Context, at, badge string) error {
	select {
	case <-time.After(time.Until(t.tapped[[2]string{at, badge}].Add(reader.Window + 200*time.Millisecond))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// phone makes something happen to a phone's body.
func (t *tale) phone(ctx context.Context, id gateway.PhoneID, act, with string) error {
	return t.ask(ctx, Order{Do: "phone", At: string(id), Act: act, With: with})
}
