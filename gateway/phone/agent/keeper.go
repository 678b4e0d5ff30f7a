package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// keeper owns the phone's State and everything else that one goroutine may change.
type keeper struct {
	*Agent
	stopped chan struct{} // closed when the loop has ended

	state    State
	hardware Hardware
	asleep   bool // nothing is heard, said or noticed
	offline  bool // no link may stand
	unstored bool // something that may wait for the next Save
	broken   error

	wires   []*wire // oldest first
	waiting []hearing
	asked   *wire // where the receipt of the pending command goes; nil after a restart

	acting  bool // the device is doing what state.Owes
	acted   chan error
	devices sync.WaitGroup
	retry   time.Duration // boot clock: not before, after a lock of the phone's own failed
	said    link.StatusMessage
}

// hearing is a command that waits until another is carried out.
type hearing struct {
	order link.Order
	given *gateway.Grant
	from  *wire
}

const (
	maxWaiting = 16
	retryLock  = 5 * time.Second
	lockWithin = 5 * time.Second // when the agent breaks down
	lookAgain  = time.Second     // the longest a deadline of the boot clock is missed by after a suspend
)

func newKeeper(a *Agent) keeper {
	return keeper{
		Agent:    a,
		stopped:  make(chan struct{}),
		state:    a.cfg.State,
		hardware: Hardware{Battery: -1},
		acted:    make(chan error, 1),
	}
}

// run is the loop. It ends with ctx, or with the error of a state that could not be stored.
func (k *keeper) run(ctx context.Context) error {
	defer k.devices.Wait()
	defer k.cut(func(*wire) bool { return true })
	defer close(k.stopped)
	k.state = k.state.Start(k.cfg.BootID, k.now())
	k.save()
	status := time.NewTicker(link.StatusEvery)
	defer status.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		calls, acted, tick := k.calls, k.acted, status.C
		if k.asleep {
			calls, acted, tick = nil, nil, nil
		} else {
			k.proceed(ctx)
			timer.Reset(k.pause())
		}
		k.view.set(k.look())
		if k.broken != nil {
			return k.breakDown(ctx)
		}
		select {
		case <-ctx.Done():
			if k.unstored {
				k.save()
			}
			return cmp.Or(k.broken, ctx.Err())
		case g := <-k.gesture:
			g.refused <- k.gestured(g.Gesture)
		case f := <-calls:
			f(k)
		case err := <-acted:
			if ctx.Err() != nil {
				return ctx.Err() // cut off by our own end: it stays pending
			}
			k.finish(err)
		case <-tick:
			k.beat()
		case <-timer.C:
		}
	}
}

// breakDown is the end of an agent that cannot store its state: it locks what it has.
func (k *keeper) breakDown(ctx context.Context) error {
	k.devices.Wait()
	if x := k.state.Session; x != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockWithin)
		defer cancel()
		return errors.Join(k.broken, k.cfg.Device.Lock(ctx, *x))
	}
	return k.broken
}

func (k *keeper) now() time.Duration { return k.cfg.Boot() }

// save stores the state durably; where that fails, the agent ends.
func (k *keeper) save() {
	k.state.At = k.now()
	if err := k.cfg.Store.Save(k.state); err != nil {
		k.broken = err
	}
	k.unstored = false
}

// proceed does what time and the state ask for: lock what has run out, begin what the device owes, say what changed.
func (k *keeper) proceed(ctx context.Context) {
	now := k.now()
	k.hardware = k.hardware.lapse(now)
	k.expire(now)
	k.act(ctx, now)
	if k.broken == nil && k.status() != k.said {
		k.said = k.status()
		k.tell()
	}
}

// expire locks what has run out.
func (k *keeper) expire(now time.Duration) {
	was := k.state.open()
	k.state = k.state.Expire(now)
	if was && !k.state.open() {
		k.save()
	}
}

// act begins what the device owes, one act at a time. A state that is not stored is not acted on.
func (k *keeper) act(ctx context.Context, now time.Duration) {
	owed := k.state.Owes()
	switch {
	case k.acting || k.broken != nil:
	case owed == Rest && k.state.Pending != nil:
		k.finish(nil)
		k.act(ctx, now) // what waited
	case owed == Rest, owed == Lock && k.state.Pending == nil && now < k.retry:
	default:
		k.acting = true
		var x Session
		if k.state.Session != nil {
			x = *k.state.Session
		}
		k.devices.Go(func() { k.acted <- perform(ctx, k.cfg.Device, owed, x) })
	}
}

// prepare has the device get ready for a bind, beside what the caller does until it calls wait. A failure is Open's to
// tell, which then has it all to do.
func (k *keeper) prepare() (wait func()) {
	device, ok := k.cfg.Device.(Preparer)
	if !ok || k.state.Owes() != Open || k.state.Pending.Kind != gateway.Bind {
		return func() {}
	}
	prepared := make(chan error, 1)
	go func() { prepared <- device.Prepare() }()
	return func() {
		if err := <-prepared; err != nil {
			k.cfg.Log.Warn("device did not prepare", "phone", k.cfg.Phone, "err", err)
		}
	}
}

func perform(ctx context.Context, d Device, act Act, x Session) error {
	switch act {
	case Open:
		return d.Open(ctx, x)
	case Lock:
		return d.Lock(ctx, x)
	}
	return d.Clear(ctx, x)
}

// finish takes the device's answer, gives the receipt and hears the commands that waited.
func (k *keeper) finish(err error) {
	now := k.now()
	k.acting = false
	if err != nil {
		k.retry = now + retryLock
		k.cfg.Log.Warn("device failed", "phone", k.cfg.Phone, "act", k.state.Owes().String(), "err", err)
	}
	state, said := k.state.Finish(err == nil, now)
	k.state = state
	if said == nil {
		k.save()
		return
	}
	if said.Kind == gateway.Bound || said.Kind == gateway.Cleared {
		k.hardware = k.hardware.passed(said.Kind == gateway.Bound)
	}
	k.give(*said)
	k.hearWaiting()
}

// give signs a receipt, stores it and sends it, in this order: what was said once is said the same way again.
func (k *keeper) give(said Statement) {
	signed, ok := k.sign(said)
	if ok && said.Command != "" {
		k.state = k.state.Remember(Answer{said.Box, said.Command, signed})
	}
	k.save()
	asked := k.asked
	if said.Command != "" {
		k.asked = nil
	}
	switch {
	case !ok || k.broken != nil:
	case said.Command != "" && asked != nil:
		asked.receipt(said.Command, signed, k.now())
	case said.Command == "":
		for _, w := range k.wires {
			w.receipt("", signed, k.now())
		}
	}
}

func (k *keeper) sign(said Statement) (signed string, ok bool) {
	signed, err := link.SignReceipt(k.cfg.Identity, link.ReceiptClaims{
		Receipt: said.Receipt,
		Command: said.Command,
		BootID:  k.cfg.BootID,
		SinceMS: k.now().Milliseconds(),
	})
	if err != nil {
		k.cfg.Log.Error("receipt cannot be signed", "phone", k.cfg.Phone, "kind", said.Kind.String(), "err", err)
	}
	return signed, err == nil
}

// pause is how long nothing is due. It is bounded, because a timer of the process stands still in a suspend.
func (k *keeper) pause() time.Duration {
	now, pause := k.now(), lookAgain
	if at, ok := k.state.Deadline(); ok {
		pause = min(pause, at-now)
	}
	if k.hardware.Presented != "" {
		pause = min(pause, k.hardware.until-now)
	}
	return max(pause, 0)
}

// cut ends the links that match.
func (k *keeper) cut(match func(*wire) bool) {
	for _, w := range k.wires {
		if match(w) {
			w.close()
		}
	}
}

func (k *keeper) cutStrangers() {
	k.cut(func(w *wire) bool { return !k.trust.knows(w.box.Key) })
}

func (k *keeper) log(w *wire) *slog.Logger {
	return k.cfg.Log.With("phone", k.cfg.Phone, "box", w.box.ID, "address", w.address)
}

// leave forgets a link that has ended.
func (k *keeper) leave(w *wire) {
	k.wires = slices.DeleteFunc(k.wires, func(other *wire) bool { return other == w })
	if k.asked == w {
		k.asked = nil
	}
	k.waiting = slices.DeleteFunc(k.waiting, func(h hearing) bool { return h.from == w })
	k.wakeDialler()
}
