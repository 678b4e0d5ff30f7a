package pcsc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ebfe/scard"

	"tapward/gateway"
	"tapward/reader"
)

const (
	// budget is how long reading one badge may take in all.
	budget = 1500 * time.Millisecond
	// sharing is how long to wait for another program to let go of a reader.
	sharing = 300 * time.Millisecond
)

var errTwoBadges = errors.New("two badges at once")

// work reads the badges presented at one reader, one after the other, until ctx ends. A badge is not begun before the
// one before it is over, however late.
func (s *Source) work(ctx context.Context, slot *slot) {
	var showing sync.WaitGroup
	defer showing.Wait()
	silent := false // it was told not to beep by itself
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-slot.arrivals:
			silent = s.silence(ctx, slot, name)
		case in := <-slot.insertions:
			if signal, ok := s.read(ctx, slot, in); ok {
				showing.Go(func() { s.showOwn(ctx, slot, signal) })
			}
			// Where escapes are not permitted, a reader listens only while a card lies there.
			silent = silent || s.silence(ctx, slot, in.name)
		}
	}
}

// outcome is what came of asking a badge for its number.
type outcome struct {
	number []byte
	err    error
}

// read reads one badge and tells what came of it. If that is no tap, it says what the reader should show.
func (s *Source) read(ctx context.Context, slot *slot, in insertion) (show gateway.Signal, ok bool) {
	timed, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	read, over := make(chan outcome, 1), make(chan struct{})
	go func() {
		defer close(over)
		s.readNumber(timed, in, read)
	}()
	defer func() { <-over }()
	select {
	case <-timed.Done():
	case o := <-read:
		if timed.Err() == nil {
			return slot.conclude(in, o.number, o.err)
		}
		read <- o
	}
	if ctx.Err() == nil {
		slot.degraded(gateway.ReaderSlow, "A badge was not read in time. If this happens with every badge, unplug the reader and plug it in again.")
	}
	if o := <-read; o.err == nil {
		slot.well() // too late for a tap, but it answers again
	}
	return gateway.Fault, ctx.Err() == nil
}

// conclude tells what came of a badge in time.
func (s *slot) conclude(in insertion, number []byte, err error) (show gateway.Signal, ok bool) {
	if err != nil {
		return s.explain(err)
	}
	s.send(reader.Tap{Tap: gateway.Tap{
		Reader:     s.ID,
		Origin:     gateway.OriginPCSC,
		Credential: gateway.NewCredential(gateway.UID, number),
		Assurance:  gateway.Assurance{Card: gateway.CardNumber, Holder: gateway.HolderNone},
		At:         in.at,
		Read:       time.Since(in.at),
	}})
	s.well()
	return 0, false
}

// explain tells why a badge made no tap, and what the reader should show about it.
func (s *slot) explain(err error) (show gateway.Signal, ok bool) {
	switch {
	case taken(err):
		s.log.Debug("Badge was taken away before it was read", "error", err)
		return 0, false
	case lost(err):
		// The watcher meets it too, and ends the run.
		s.log.Debug("Badge was not read, the daemon is gone", "error", err)
		return 0, false
	}
	s.log.Info("Badge made no tap", "error", err)
	switch {
	case errors.Is(err, errRandom):
		s.note("This card gives a new number at every tap and cannot be a badge.")
		return gateway.Refused, true
	case errors.Is(err, errTwoBadges):
		s.note("Two badges were held to the reader at once. Hold up one.")
	case errors.Is(err, errNoNumber), unreadable(err):
		s.note("This card could not be read. Hold it flat on the reader until the light changes. If it never works, it is no badge.")
		return gateway.Refused, true
	case errors.Is(err, scard.ErrSharingViolation):
		s.degraded(gateway.ReaderTaken, "Another program on this box keeps the reader to itself. Stop it.")
	default:
		s.degraded(gateway.ReaderFailing, fmt.Sprintf("The reader fails to read: %v. Unplug it and plug it in again.", explain(err)))
	}
	return gateway.Fault, true
}

// taken says that the badge, or the reader, went away; vpcd then answers nothing at all, without an error.
func taken(err error) bool {
	return errors.Is(err, errShort) || oneOf(err, scard.ErrNoSmartcard, scard.ErrRemovedCard, scard.ErrResetCard,
		scard.ErrNotTransacted, scard.ErrReaderUnavailable, scard.ErrUnknownReader)
}

func unreadable(err error) bool {
	return errors.Is(err, errNoise) || oneOf(err, scard.ErrUnresponsiveCard, scard.ErrUnpoweredCard,
		scard.ErrProtoMismatch, scard.ErrUnsupportedCard, scard.ErrCardUnsupported)
}

// readNumber reads a card's number over a connection of its own, which is cut when ctx ends. It tells the outcome, once,
// before it lets go of the card: a tap does not wait for that. It returns only when the card, its driver or the cut lets
// it.
func (s *Source) readNumber(ctx context.Context, in insertion, told chan<- outcome) {
	conn, err := s.daemon.establish(ctx)
	if err != nil {
		told <- outcome{err: err}
		return
	}
	defer conn.Release()
	defer nudge(ctx, 0, conn.Interrupt)()
	card, err := connect(ctx, conn, in.name)
	if err != nil {
		told <- outcome{err: err}
		return
	}
	defer card.Disconnect(scard.LeaveCard)
	number, err := askNumber(card, in.atr)
	told <- outcome{number, err}
}

// askNumber asks twice: a reader that sees two cards answers for one or the other.
func askNumber(c card, atr []byte) ([]byte, error) {
	standard, err := parseATR(atr)
	if err != nil {
		return nil, err
	}
	number, err := askUID(c)
	if err != nil {
		return nil, err
	}
	again, err := askUID(c)
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(number, again):
		return nil, errTwoBadges
	case random(number, standard):
		return nil, errRandom
	}
	return number, nil
}

func askUID(c card) ([]byte, error) {
	answer, err := c.Transmit(getUID)
	if err != nil {
		return nil, err
	}
	return parseUID(answer)
}

// connect waits a little for a reader that another program has to itself.
func connect(ctx context.Context, conn connection, name string) (card, error) {
	for deadline := time.Now().Add(sharing); ; {
		card, err := conn.Connect(name, scard.ShareShared)
		if !errors.Is(err, scard.ErrSharingViolation) || !time.Now().Before(deadline) || ctx.Err() != nil {
			return card, err
		}
		pause(ctx, 25*time.Millisecond)
	}
}
