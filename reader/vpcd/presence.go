package vpcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// presence is a card on its way into a slot or in it: one connection to the driver.
type presence struct {
	conn   *net.TCPConn
	there  context.Context // until the card is taken away
	remove context.CancelFunc
	tapped chan struct{} // closed by Slot.Tap
	asked  chan struct{} // closed at the driver's first look for a card
	ended  chan struct{} // closed when the conversation is over, and the fields below are set

	err    error // what it failed with
	missed bool  // the driver polled for the card and did not find it
}

// approach connects card to the driver.
func (s *Slot) approach(ctx context.Context, card Card) (*presence, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	p := &presence{conn: conn, tapped: make(chan struct{}), asked: make(chan struct{}), ended: make(chan struct{})}
	p.there, p.remove = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(p.ended)
		defer p.remove()
		defer conn.Close()
		p.err = p.converse(card)
	}()
	return p, nil
}

// awaitLook returns when the driver has looked for the card for the first time.
func (p *presence) awaitLook(ctx context.Context) error {
	select {
	case <-p.asked:
		return nil
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the driver: %w", ctx.Err())
	}
}

// leave takes the card away and waits for the driver to notice.
func (p *presence) leave() error {
	p.remove()
	p.conn.SetReadDeadline(time.Now().Add(noticing))
	<-p.ended
	return p.err
}

// cut ends the conversation at once.
func (p *presence) cut() {
	p.remove()
	p.conn.Close()
	<-p.ended
}

func (p *presence) gone() bool { return p.there.Err() != nil }

// converse answers the driver until the card is gone.
func (p *presence) converse(card Card) error {
	conn := prompt{p.conn}
	driver := driver{polling: true}
	for {
		message, err := readMessage(conn)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the driver hung up: %w", err)
		}
		if err != nil {
			return fmt.Errorf("read from the driver: %w", err)
		}
		tapped := isLook(message) && p.holdBack()
		answer, err := p.respond(card, message)
		if err != nil {
			return err
		}
		// A card goes at a poll or in the middle of a command. Between the two, while the driver switches it on, it
		// stays: the driver would not notice, and take the next card for the same one.
		if p.gone() && !tapped && (len(message) > 1 || isLook(message) && driver.polling) {
			p.missed = isLook(message)
			return nil
		}
		driver.saw(message)
		if answer == nil {
			continue
		}
		if err := writeMessage(conn, answer); err != nil {
			return fmt.Errorf("answer the driver: %w", err)
		}
	}
}

// respond is the card's answer to a message; nil: none is wanted.
func (p *presence) respond(card Card, message []byte) ([]byte, error) {
	switch {
	case len(message) == 0:
		return nil, errors.New("read from the driver: an empty message")
	case len(message) > 1:
		return card.answer(p.there, message), nil
	case isLook(message):
		return card.atr(), nil
	case isSwitch(message):
		return nil, nil
	}
	return nil, fmt.Errorf("read from the driver: unknown control %02X", message[0])
}

// driver is what its messages tell of it.
type driver struct {
	on      bool // it has switched the card on before
	polling bool // its next look is a poll, not a part of switching the card on
}

func (d *driver) saw(message []byte) {
	switch {
	case isLook(message):
		d.polling = d.on
	case isSwitch(message):
		d.on, d.polling = d.on || message[0] != controlOff, false
	}
}

func isLook(message []byte) bool { return len(message) == 1 && message[0] == controlATR }

func isSwitch(message []byte) bool {
	return len(message) == 1 && (message[0] == controlOff || message[0] == controlOn || message[0] == controlReset)
}

// holdBack keeps the driver waiting at its first look until the tap, and says whether this look is the one that the tap
// is for: that is answered, however soon the card goes.
func (p *presence) holdBack() (tapped bool) {
	select {
	case <-p.asked:
		return false
	default:
		close(p.asked)
	}
	select {
	case <-p.tapped:
	case <-p.there.Done():
	}
	select {
	case <-p.tapped:
		return true
	default:
		return false
	}
}
