package conformance

import (
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

var leftoverClauses = []Clause{
	{"leftover", "What the verify step finds makes clear-failed, never cleared; nothing is bound until a release finds nothing.", leftover},
}

func leftover(s *sitting) (err error) {
	if s.Plant == nil || s.Unplant == nil {
		return errors.New("cannot be examined: no way to plant a leftover was given")
	}
	w, g, err := s.bound(nil)
	if err != nil {
		return err
	}
	if err := s.Plant(s.ctx); err != nil {
		return fmt.Errorf("plant a leftover: %w", err)
	}
	planted := true
	defer func() {
		if planted {
			err = errors.Join(err, s.Unplant(s.ctx))
		}
	}()
	for _, what := range []string{"release with a leftover", "second release with a leftover"} {
		want := gateway.Truth{Fence: w.truth.Fence + 1, Box: g.Box, Grant: g.Digest(), Locked: true}
		got, err := w.command(w.order(gateway.Release))
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := expect(what, got, gateway.ClearFailed, want); err != nil {
			return err
		}
		if err := w.unusable(); err != nil {
			return err
		}
	}
	planted = false
	if err := s.Unplant(s.ctx); err != nil {
		return fmt.Errorf("take the leftover away: %w", err)
	}
	if err := w.unusable(); err != nil {
		return err
	}
	want := gateway.Truth{Fence: w.truth.Fence + 1}
	got, err := w.command(w.order(gateway.Release))
	if err != nil {
		return fmt.Errorf("release without a leftover: %w", err)
	}
	return expect("release without a leftover", got, gateway.Cleared, want)
}

// unusable expects that the phone takes no session and calls itself unhealthy.
func (w *wire) unusable() error {
	m, err := w.bind(w.grant())
	if err != nil {
		return err
	}
	if err := w.declined("bind over a leftover", m); err != nil {
		return err
	}
	m = w.order(gateway.Renew)
	m.Unlock = true
	if err := w.declined("renewal of a session that was released", m, link.NoSession); err != nil {
		return err
	}
	if err := w.send(link.Ping{}); err != nil {
		return err
	}
	for {
		got, err := w.hear(2 * time.Second)
		if err != nil {
			return fmt.Errorf("no status within 2 s of a ping: %w", err)
		}
		if _, ok := got.(link.StatusMessage); ok {
			break
		}
	}
	if w.status.Healthy {
		return errors.New("the phone calls itself healthy with a leftover on it")
	}
	return nil
}
