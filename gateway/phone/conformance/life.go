package conformance

import (
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

var lifeClauses = []Clause{
	{"lease", "A session whose lease runs out is locked by the phone itself, which says so, and keeps its custody.", lease},
	{"lease-renewed", "A renewal carries the session past its first lease.", leaseRenewed},
	{"limit", "No renewal carries a session past its grant's limit.", limit},
	{"idle", "A session that nobody uses is locked by the phone itself.", func(s *sitting) error {
		w, _, err := s.bound(func(g *gateway.Grant) { g.Idle = 2 })
		if err != nil {
			return err
		}
		return w.locksItself(time.Now(), 2*time.Second, gateway.IdleLock)
	}},
}

// early and late bound when a phone may lock, against the moment that we read its receipt.
const (
	early = 750 * time.Millisecond
	late  = 3 * time.Second
)

// locksItself waits for a lock of the phone's own, due after the duration since began.
func (w *wire) locksItself(began time.Time, due time.Duration, reason gateway.Reason) error {
	truth := w.truth
	truth.Locked = true
	for len(w.locks) == 0 {
		if _, err := w.hear(time.Until(began.Add(due + late))); err != nil {
			return fmt.Errorf("the phone did not say by %v that it locked itself after %v: %w", due+late, due, err)
		}
	}
	got, after := w.locks[0], w.lockedAt.Sub(began)
	w.locks = nil
	if err := expect("a lock of the phone's own", got, gateway.Locked, truth); err != nil {
		return err
	}
	switch {
	case after < due-early:
		return fmt.Errorf("the phone locked itself after %v, before %v were over", after, due)
	case got.Next != 0:
		return errors.New("a lock of the phone's own names a command's fence")
	case got.Reason != reason:
		return fmt.Errorf("the phone locked itself as %q, want %q", got.Reason, reason)
	}
	return nil
}

func lease(s *sitting) error {
	w, g, err := s.bound(func(g *gateway.Grant) { g.Lease = 2 })
	if err != nil {
		return err
	}
	if err := w.locksItself(time.Now(), 2*time.Second, gateway.LeaseEnded); err != nil {
		return err
	}
	m := w.order(gateway.Renew)
	m.Unlock, m.Lease = true, g.Lease
	next := m.Next
	got, err := w.command(m)
	if err != nil {
		return err
	}
	return expect("a renewal after the lease's end", got, gateway.Renewed, gateway.Truth{Fence: next, Box: g.Box, Grant: g.Digest()})
}

// renewAt sends a renewal some time after began and expects that it is obeyed.
func (w *wire) renewAt(began time.Time, after time.Duration, seconds int64) error {
	if err := w.pass(began.Add(after)); err != nil {
		return err
	}
	m := w.order(gateway.Renew)
	m.Lease = seconds
	truth := w.truth
	truth.Fence, truth.Locked = m.Next, false
	got, err := w.command(m)
	if err != nil {
		return err
	}
	return expect("renew", got, gateway.Renewed, truth)
}

func leaseRenewed(s *sitting) error {
	w, g, err := s.bound(func(g *gateway.Grant) { g.Lease = 3 })
	if err != nil {
		return err
	}
	began := time.Now()
	if err := w.renewAt(began, 2*time.Second, g.Lease); err != nil {
		return err
	}
	return w.locksItself(began, 5*time.Second, gateway.LeaseEnded)
}

func limit(s *sitting) error {
	w, g, err := s.bound(func(g *gateway.Grant) { g.Lease, g.Limit = 3, 4 })
	if err != nil {
		return err
	}
	began := time.Now()
	if err := w.renewAt(began, 2*time.Second, 3600); err != nil {
		return err
	}
	if err := w.locksItself(began, 4*time.Second, gateway.LimitReached); err != nil {
		return err
	}
	m := w.order(gateway.Renew)
	m.Unlock, m.Lease = true, g.Lease
	return w.declined("a renewal past the limit", m, link.PastLimit)
}
