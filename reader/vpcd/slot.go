package vpcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Slot is one virtual reader, seen from the card's side. It holds one card at a time.
type Slot struct {
	Name    string // of its reader in PC/SC
	Address string // host:port where the driver listens
	// Namespace is the path of the network namespace to reach Address in; empty: our own. Entering one needs root.
	Namespace string

	mu    sync.Mutex
	card  *presence
	empty int // how often the driver must still find nothing before the next card comes
}

// noticing is how long the driver is given to notice a removal, in Remove: it polls every 400 ms.
const noticing = 2 * time.Second

var (
	errOccupied = errors.New("a card lies there already; remove it first")
	errEmpty    = errors.New("no card lies there")
)

// Arm brings card so close that the next Tap is an insertion at once: it connects, and holds back the answer to the
// driver's first look for a card. It returns when the driver waits for that answer, which takes up to two of its polls (400 ms
// each).
// If it fails or ctx ends first, the slot is empty again.
func (s *Slot) Arm(ctx context.Context, card Card) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.card != nil {
		return fmt.Errorf("arm slot %s: %w", s.Name, errOccupied)
	}
	p, err := s.follow(ctx, card)
	if err != nil {
		return fmt.Errorf("arm slot %s: %w", s.Name, err)
	}
	s.card = p
	return nil
}

// follow brings card to where the driver waits for its answer, after letting the driver look in vain as often as it
// must. At a poll it looks a second time if it found nothing, and would take a card that has just come for the one
// before it: so after a card that went at a poll one more look must fail, which is the second one or the next poll's
// first. A card that went in the middle of a command leaves both looks to fail. Each connection is made before the one
// ahead of it ends, so that the driver finds it at its very next look.
func (s *Slot) follow(ctx context.Context, card Card) (*presence, error) {
	var ahead *presence
	for {
		next := card
		if s.empty > 0 {
			next = Card{}
		}
		p, err := s.approach(ctx, next)
		if ahead != nil {
			err = errors.Join(err, ahead.leave())
		}
		if err == nil {
			err = p.awaitLook(ctx)
		}
		if err != nil {
			if p != nil {
				p.cut()
			}
			return nil, err
		}
		if s.empty == 0 {
			return p, nil
		}
		s.empty--
		ahead = p
	}
}

// Tap lets an armed card be seen. A second call does nothing.
func (s *Slot) Tap() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.card == nil {
		return fmt.Errorf("tap slot %s: %w", s.Name, errEmpty)
	}
	select {
	case <-s.card.tapped:
	default:
		close(s.card.tapped)
	}
	return nil
}

// Insert arms and taps.
func (s *Slot) Insert(ctx context.Context, card Card) error {
	if err := s.Arm(ctx, card); err != nil {
		return err
	}
	return s.Tap()
}

// Remove takes the card away. It returns when the driver has noticed, at its next poll or in the command under way, and
// with what the conversation with the driver failed, if it did; a driver that is gone is such a failure. The slot is
// empty after it in any case.
func (s *Slot) Remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.card == nil {
		return fmt.Errorf("remove from slot %s: %w", s.Name, errEmpty)
	}
	p := s.card
	s.card = nil
	err := p.leave()
	s.empty = 2
	if p.missed {
		s.empty = 1
	}
	if err != nil {
		return fmt.Errorf("card in slot %s: %w", s.Name, err)
	}
	return nil
}
