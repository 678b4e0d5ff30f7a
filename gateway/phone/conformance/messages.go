package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

var messageClauses = []Clause{
	{"greet-first", "A command before the greeting closes the link.", func(s *sitting) error {
		w, err := s.connect(nil)
		if err != nil {
			return err
		}
		m := w.order(gateway.Release)
		m.Challenge = link.NewNonce()
		if err := w.send(m); err != nil {
			return err
		}
		return w.ended("a command before the greeting")
	}},
	{"ping", "A ping is answered at once by a status with a challenge that was not given before.", ping},
	{"left", "A phone without a session does not say that it left its dock in one.", left},
	{"oversized", "A message longer than the limit closes the link, and nothing else.", func(s *sitting) error {
		frame := binary.BigEndian.AppendUint32(nil, link.MaxMessage+1)
		return s.closes("an oversized message", append(frame, make([]byte, link.MaxMessage+1)...))
	}},
	{"malformed", "A message that is not JSON closes the link, and nothing else.", func(s *sitting) error {
		return s.closes("a message that is not JSON", framed(`{"type":"ping"`))
	}},
	{"unknown-type", "A message of an unknown type closes the link, and nothing else.", func(s *sitting) error {
		return s.closes("a message of an unknown type", framed(`{"type":"conformance"}`))
	}},
	{"wrong-order", "A second greeting closes the link, and nothing else.", func(s *sitting) error {
		frame, err := link.EncodeFrame(link.Greet{Protocol: link.Protocol, Box: s.Box, Nonce: link.NewNonce()})
		if err != nil {
			return err
		}
		return s.closes("a second greeting", frame)
	}},
	{"checkpoints", "The phone returns the newest checkpoint it saw of a box in its next hello, and no older one.", checkpoints},
}

func framed(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// closes expects that wrong bytes on a link end that link, and that the session on the phone and its other links go on.
func (s *sitting) closes(what string, frame []byte) error {
	other, _, err := s.bound(nil)
	if err != nil {
		return err
	}
	w, err := s.open("")
	if err != nil {
		return err
	}
	w.write(frame) // may fail half-way, where the phone has closed already
	if err := w.ended(what); err != nil {
		return err
	}
	after, err := s.open("")
	if err != nil {
		return fmt.Errorf("after %s the phone takes no new link: %w", what, err)
	}
	if after.truth != other.truth {
		return fmt.Errorf("%s changed the phone from %s to %s", what, sayTruth(other.truth), sayTruth(after.truth))
	}
	return nil
}

func ping(s *sitting) error {
	w, err := s.open("")
	if err != nil {
		return err
	}
	given := map[string]bool{w.challenge: true}
	for range 3 {
		if err := w.send(link.Ping{}); err != nil {
			return err
		}
		m, err := w.hear(2 * time.Second)
		if err != nil {
			return fmt.Errorf("no status within 2 s of a ping: %w", err)
		}
		if _, ok := m.(link.StatusMessage); !ok {
			return fmt.Errorf("a ping was answered by %T", m)
		}
		if given[w.challenge] {
			return errors.New("a challenge was given twice")
		}
		given[w.challenge] = true
	}
	return nil
}

// left binds and releases, so that a phone which keeps the word of a session past its end is found out.
func left(s *sitting) error {
	w, _, err := s.bound(nil)
	if err != nil {
		return err
	}
	got, err := w.command(w.order(gateway.Release))
	if err == nil && got.Kind != gateway.Cleared {
		err = errors.New(say(got))
	}
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if err := w.send(link.Ping{}); err != nil {
		return err
	}
	for {
		m, err := w.hear(2 * time.Second)
		if err != nil {
			return fmt.Errorf("no status within 2 s of a ping: %w", err)
		}
		if status, ok := m.(link.StatusMessage); ok {
			if status.Left {
				return errors.New("the phone has no session and says that it left its dock in one")
			}
			return nil
		}
	}
}

func checkpoints(s *sitting) error {
	origin := "conformance/" + link.NewNonce()
	checkpoint := func(size int) string {
		return fmt.Sprintf("%s\n%d\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", origin, size)
	}
	for _, step := range []struct{ told, want int }{{5, 0}, {9, 5}, {7, 9}, {0, 9}} {
		told := ""
		if step.told > 0 {
			told = checkpoint(step.told)
		}
		w, err := s.open(told)
		if err != nil {
			return err
		}
		have := w.hello.Checkpoints[s.Box]
		known := have == checkpoint(step.want) || have == checkpoint(max(step.told, step.want)) // of this very greeting, too
		if step.want > 0 && !known {
			return fmt.Errorf("the phone saw checkpoint %d and its hello returns %q", step.want, have)
		}
		w.close()
	}
	return nil
}
