package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

const (
	connectTimeout = 3 * time.Second
	redialMin      = time.Second
	redialMax      = 30 * time.Second
	dialLook       = 500 * time.Millisecond
)

// dialling is what the dialler knows of one box.
type dialling struct {
	busy   bool
	failed int // rounds in a row
	due    time.Time
}

// dial keeps a link to every trusted box that has an address and no link. It asks the keeper, so a sleeping phone
// dials nobody.
func (a *Agent) dial(ctx context.Context) error {
	if a.cfg.Dial == nil {
		return nil
	}
	d := dialler{Agent: a, boxes: map[gateway.Fingerprint]*dialling{}}
	defer d.links.Wait()
	look := time.NewTicker(dialLook)
	defer look.Stop()
	for {
		if err := d.look(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.free:
		case <-look.C:
		}
	}
}

type dialler struct {
	*Agent
	links sync.WaitGroup

	mu    sync.Mutex
	boxes map[gateway.Fingerprint]*dialling
}

func (d *dialler) look(ctx context.Context) error {
	linked := map[gateway.Fingerprint]bool{}
	offline := false
	err := d.call(ctx, func(k *keeper) {
		offline = k.offline
		for _, w := range k.wires {
			linked[w.box.Key] = true
		}
	})
	if errors.Is(err, ErrStopped) {
		<-ctx.Done() // the keeper's own error is the reason
	}
	if err != nil || offline {
		return ctx.Err()
	}
	for _, box := range d.trust.targets() {
		if len(box.Addrs) > 0 && !linked[box.Key] && d.take(box.Key) {
			d.links.Go(func() { d.round(ctx, box) })
		}
	}
	return nil
}

// take says that it is time to dial a box, and that nobody else does.
func (d *dialler) take(key gateway.Fingerprint) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.boxes[key]
	if b == nil {
		b = &dialling{}
		d.boxes[key] = b
	}
	if b.busy || time.Now().Before(b.due) {
		return false
	}
	b.busy = true
	return true
}

// round tries a box's addresses in turn until one of them gave a link, and keeps that to its end.
func (d *dialler) round(ctx context.Context, box Box) {
	linked := false
	for _, addr := range box.Addrs {
		conn, err := d.connect(ctx, addr, box.Key)
		if err == nil {
			linked = true
			err = d.serve(ctx, conn)
		}
		if ctx.Err() == nil {
			d.cfg.Log.Info("link ended", "phone", d.cfg.Phone, "box", box.ID, "address", addr, "dialled", true, "why", err)
		}
		if linked || ctx.Err() != nil {
			break
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.boxes[box.Key]
	b.busy = false
	b.failed++
	if linked {
		b.failed = 0
	}
	b.due = time.Now().Add(jitter(min(redialMin<<min(b.failed, 10), redialMax)))
}

func (d *dialler) connect(ctx context.Context, addr string, key gateway.Fingerprint) (*link.Conn, error) {
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	raw, err := d.cfg.Dial(connecting, addr)
	if err != nil {
		return nil, err
	}
	shaking, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	return link.Client(shaking, raw, d.cfg.Identity, func(proved gateway.Fingerprint) bool { return proved == key })
}

// TCP dials as the system does.
func TCP(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

// jitter spreads d over 0.5 d to 1.5 d, so that a ward's phones do not move in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }
