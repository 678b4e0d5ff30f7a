package link

import (
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// asked are the newest commands of a link, so that a late receipt is known and a repeated one is reported once.
type asked struct {
	commands [16]question
	count    int
}

type question struct {
	id       string
	order    order
	answered bool
}

func (a *asked) note(id string, o order) {
	a.commands[a.count%len(a.commands)] = question{id: id, order: o}
	a.count++
}

func (a *asked) find(id string) *question {
	for i := range a.commands {
		if a.commands[i].id == id {
			return &a.commands[i]
		}
	}
	return nil
}

// receipt checks what the phone signed and reports it once.
func (s *standing) receipt(m ReceiptMessage) error {
	c, err := verified(VerifyReceipt, s.conn.PeerKey(), m.Signed)
	if err != nil {
		return err
	}
	switch {
	case c.Phone != s.phone:
		return violated("receipt is of phone %.40q", string(c.Phone))
	case c.BootID != s.hello.BootID:
		return violated("receipt is of another boot than the hello")
	case c.Command != m.ID:
		return violated("receipt's signed command is not the id beside it")
	case c.Command == "":
		return s.locked(c)
	}
	q := s.asked.find(c.Command)
	if q == nil {
		return violated("receipt for a command that was not sent on this link")
	}
	if why := q.order.mismatch(c); why != "" {
		return violated("%s receipt for a %s: %s", c.Kind, q.order.Kind, why)
	}
	if q.answered {
		return nil // the phone answered a resend too
	}
	q.answered = true
	if s.current != nil && s.current.id == q.id {
		if c.Kind == gateway.Declined && c.Reason == StaleChallenge && !s.current.renewed {
			return s.renew()
		}
		s.current = nil
	}
	s.links.report(s.ctx, phone.Answer{At: s.heard, Receipt: c.Receipt})
	return nil
}

// locked takes a lock of the phone's own. The order of such receipts is fixed by the phone's boot clock, so an old one
// is known for what it is.
func (s *standing) locked(c ReceiptClaims) error {
	if c.SinceMS < s.selfLock {
		return violated("receipt of a lock is older than the one before it")
	}
	if c.SinceMS == s.selfLock && c.SinceMS != 0 {
		return nil // sent twice
	}
	s.selfLock = c.SinceMS
	s.links.report(s.ctx, phone.Answer{At: s.heard, Receipt: c.Receipt})
	return nil
}

// renew sends the current command once more, under a new id and with the challenge that came with the refusal.
func (s *standing) renew() error {
	s.current.renewed = true
	s.current.again = time.Now().Add(s.current.every)
	return s.dispatch()
}

// mismatch says why a receipt cannot be the answer to o; empty where it can.
func (o order) mismatch(c ReceiptClaims) string {
	if c.Next != o.Next {
		return "another next fence"
	}
	if c.Kind == gateway.Declined {
		return ""
	}
	if c.Truth.Fence != o.Next {
		return "the fence did not become the command's"
	}
	switch {
	case o.Kind == gateway.Bind && c.Kind == gateway.Bound:
		if c.Truth.Grant != o.digest() || c.Truth.Box != o.Grant.Box || c.Truth.Locked {
			return "the phone does not hold the grant, unlocked"
		}
	case o.Kind == gateway.Renew && c.Kind == gateway.Renewed:
		if c.Truth.Grant != o.digest() || o.Unlock && c.Truth.Locked {
			return "the phone does not hold the grant as asked"
		}
	case o.Kind == gateway.Lock && c.Kind == gateway.Locked:
		if c.Truth.Grant != o.digest() || !c.Truth.Locked {
			return "the phone does not hold the grant, locked"
		}
	case o.Kind == gateway.Release && c.Kind == gateway.Cleared:
		if !c.Truth.Grant.IsZero() {
			return "the phone still holds a grant"
		}
	case o.Kind == gateway.Release && c.Kind == gateway.ClearFailed:
	default:
		return "the wrong kind"
	}
	return ""
}
