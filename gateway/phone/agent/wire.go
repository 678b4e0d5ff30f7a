package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

const (
	maxWires      = 8  // over all boxes; beyond it the oldest ends
	maxChallenges = 64 // kept of a link
	maxOutbox     = 32 // messages that a box has not taken
	helloTimeout  = 5 * time.Second
)

// wire is one link with a box. It is the keeper's, but for the two goroutines that read and write it.
type wire struct {
	box     Box
	address string
	conn    *link.Conn
	outbox  chan link.Message
	closed  func() // ends the link; may be called again

	heard      time.Duration // when the box last said something, on the boot clock
	challenges []issued      // oldest first
	refused    []Answer      // receipts of declined commands, oldest first: a repeat gets the same one
}

type issued struct {
	text string
	at   time.Duration
}

// challenge issues a new one.
func (w *wire) challenge(now time.Duration) string {
	text := link.NewNonce()
	if len(w.challenges) == maxChallenges {
		w.challenges = slices.Delete(w.challenges, 0, 1)
	}
	w.challenges = append(w.challenges, issued{text, now})
	return text
}

// fresh says that a challenge was issued on this link at most ChallengeLife ago. The boot clock counts sleep.
func (w *wire) fresh(text string, now time.Duration) bool {
	return slices.ContainsFunc(w.challenges, func(c issued) bool {
		return c.text == text && now-c.at <= link.ChallengeLife
	})
}

func (w *wire) declined(id string) (string, bool) {
	i := slices.IndexFunc(w.refused, func(a Answer) bool { return a.ID == id })
	if i < 0 {
		return "", false
	}
	return w.refused[i].Signed, true
}

func (w *wire) decline(id, signed string, now time.Duration) {
	if len(w.refused) == Remembered {
		w.refused = slices.Delete(w.refused, 0, 1)
	}
	w.refused = append(w.refused, Answer{w.box.ID, id, signed})
	w.receipt(id, signed, now)
}

func (w *wire) receipt(id, signed string, now time.Duration) {
	w.send(link.ReceiptMessage{ID: id, Signed: signed, Challenge: w.challenge(now)})
}

func (w *wire) status(m link.StatusMessage, now time.Duration) {
	m.Challenge = w.challenge(now)
	w.send(m)
}

// send never waits: a box that does not take its messages loses the link.
func (w *wire) send(m link.Message) {
	select {
	case w.outbox <- m:
	default:
		w.close()
	}
}

func (w *wire) close() { w.closed() }

// serve keeps one authenticated link from the box's greeting to its end, and says why it ended.
func (a *Agent) serve(ctx context.Context, conn *link.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	box, ok := a.trust.by(conn.Peer())
	if !ok {
		return errors.New("the box is no longer trusted")
	}
	greet, err := readGreet(conn, box.ID)
	if err != nil {
		return err
	}
	w := &wire{box: box, address: conn.RemoteAddr(), conn: conn, outbox: make(chan link.Message, maxOutbox), closed: cancel}
	var refused error
	if err := a.call(ctx, func(k *keeper) { refused = k.join(w, greet) }); err != nil || refused != nil {
		return errors.Join(err, refused)
	}
	written := make(chan error, 1)
	go func() { written <- w.write(ctx) }()
	err = a.read(ctx, w)
	cancel()
	err = errors.Join(err, <-written)
	a.forget(w)
	return err
}

// forget tells the keeper that a link has ended; there is nobody to tell once the keeper has.
func (a *Agent) forget(w *wire) {
	select {
	case a.calls <- func(k *keeper) { k.leave(w) }:
	case <-a.keeper.stopped:
	}
}

func readGreet(conn *link.Conn, box gateway.BoxID) (link.Greet, error) {
	conn.SetReadDeadline(time.Now().Add(helloTimeout))
	m, err := conn.Read()
	if err != nil {
		return link.Greet{}, err
	}
	greet, ok := m.(link.Greet)
	switch {
	case !ok:
		return link.Greet{}, fmt.Errorf("%T is out of order: a greeting comes first", m)
	case greet.Protocol != link.Protocol:
		return link.Greet{}, fmt.Errorf("the box speaks protocol %d, this phone speaks %d", greet.Protocol, link.Protocol)
	case greet.Box != box:
		return link.Greet{}, fmt.Errorf("the box greets as %.64q, its key is that of %s", greet.Box, box)
	}
	return greet, conn.SetReadDeadline(time.Time{})
}

// read hears the box until the link ends. While the phone sleeps, what comes stays where it is.
func (a *Agent) read(ctx context.Context, w *wire) error {
	for {
		m, err := w.conn.Read()
		if err != nil {
			return err
		}
		var hear func(*keeper)
		switch m := m.(type) {
		case link.Order:
			if m.Next == 0 {
				return errors.New("command names no next fence")
			}
			h := hearing{order: m, from: w, given: given(w.conn, m)}
			hear = func(k *keeper) { k.hear(h) }
		case link.Ping:
			hear = func(k *keeper) { w.heard = k.now(); k.report(w) }
		case link.Ack:
			hear = func(k *keeper) { w.heard = k.now(); k.witness(w.box.ID, m.Checkpoint) }
		default:
			return fmt.Errorf("%T is out of order here", m)
		}
		if err := a.call(ctx, hear); err != nil {
			return err
		}
	}
}

// given is a bind's grant, if the box on this link signed it.
func given(conn *link.Conn, m link.Order) *gateway.Grant {
	if m.Kind != gateway.Bind {
		return nil
	}
	g, err := link.VerifyGrant(conn.PeerKey(), m.Grant)
	if err != nil {
		return nil
	}
	return &g
}

func (w *wire) write(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-w.outbox:
			if err := w.conn.Write(m); err != nil {
				w.close()
				return err
			}
		}
	}
}
