package station

import (
	"context"
	"sync"
	"time"

	"tapward/gateway"
)

// fakeEngine shows the wards it is given and remembers the acts. fail is the answer to the next acts; an act that
// fails after is remembered all the same, as one that happened and whose answer was lost.
type fakeEngine struct {
	mu      sync.Mutex
	ward    *gateway.Ward
	changed chan struct{}
	did     []done
	fail    error
	after   bool
	hang    bool
}

type done struct {
	operator string
	act      gateway.Act
}

func newFake(w *gateway.Ward) *fakeEngine {
	return &fakeEngine{ward: w, changed: make(chan struct{})}
}

func (f *fakeEngine) Ward() (*gateway.Ward, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ward, f.changed
}

func (f *fakeEngine) show(w *gateway.Ward) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.ward, f.changed = w, make(chan struct{})
}

func (f *fakeEngine) Do(ctx context.Context, operator string, act gateway.Act) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.fail == nil || f.after {
		f.did = append(f.did, done{operator, act})
	}
	return f.fail
}

func (f *fakeEngine) acts() []done {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]done(nil), f.did...)
}

// arm shows the ward with a take-over that waits.
func (f *fakeEngine) arm(until time.Time) {
	w, _ := f.Ward()
	next := *w
	next.Armed = &gateway.WardArmed{Reader: "desk", Phone: "phone-01", Until: until}
	f.show(&next)
}
