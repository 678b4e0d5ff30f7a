package conformance

import (
	"context"
	"fmt"
	"net"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// Exam is one phone to be examined. The phone must trust the key of Identity as the box named Box, and nobody else may
// use it meanwhile: every session on it is ended.
type Exam struct {
	Phone    gateway.PhoneID
	Key      gateway.Fingerprint // the phone's, compared by a person
	Box      gateway.BoxID
	Identity link.Identity
	Dial     func(ctx context.Context) (net.Conn, error)

	// Plant leaves something behind on the phone that its clearing does not remove and its verify step must find;
	// Unplant takes it away.
	Plant, Unplant func(ctx context.Context) error
}

// Clause is one thing that every agent must do.
type Clause struct {
	Name string
	Rule string // in a sentence
	try  func(*sitting) error
}

// Result is what came of a clause; Err says in words what was wrong.
type Result struct {
	Clause
	Err  error
	Took time.Duration
}

// clauseTimeout is longer than the longest clause waits for anything.
const clauseTimeout = 60 * time.Second

// Run goes through all clauses in order, and reports each when it is done. Where ctx ends, only the last is still tried,
// so that the phone is left without a session.
func (e Exam) Run(ctx context.Context, report func(Result)) (failed int) {
	try := func(ctx context.Context, c Clause) {
		began := time.Now()
		err := e.sit(ctx, c)
		if err != nil {
			failed++
		}
		report(Result{c, err, time.Since(began)})
	}
	all := Clauses()
	last := len(all) - 1
	for _, c := range all[:last] {
		if ctx.Err() != nil {
			failed++
			break
		}
		try(ctx, c)
	}
	try(context.WithoutCancel(ctx), all[last])
	return failed
}

func (e Exam) sit(ctx context.Context, c Clause) error {
	ctx, cancel := context.WithTimeout(ctx, clauseTimeout)
	defer cancel()
	s := &sitting{Exam: e, ctx: ctx}
	defer s.leave()
	return c.try(s)
}

// Clauses is every clause, those that wait longest late, and last the one that leaves the phone free.
func Clauses() []Clause {
	var all []Clause
	for _, part := range [][]Clause{handshakeClauses, messageClauses, commandClauses, grantClauses, lifeClauses, leftoverClauses, challengeClauses} {
		all = append(all, part...)
	}
	return append(all, Clause{"left-free", "The phone is released: whoever comes after the exam finds no session.", func(s *sitting) error {
		_, err := s.rest()
		return err
	}})
}

// sitting is one clause being examined.
type sitting struct {
	Exam
	ctx   context.Context
	opens []*wire
}

func (s *sitting) leave() {
	for _, w := range s.opens {
		w.close()
	}
}

// rest opens a link and brings the phone to rest: no session, proven clear.
func (s *sitting) rest() (*wire, error) {
	w, err := s.open("")
	if err != nil {
		return nil, fmt.Errorf("open a link: %w", err)
	}
	got, err := w.command(w.order(gateway.Release))
	if err != nil {
		return nil, fmt.Errorf("bring the phone to rest by a release: %w", err)
	}
	if got.Kind != gateway.Cleared {
		return nil, fmt.Errorf("bring the phone to rest by a release: %s", say(got))
	}
	return w, nil
}

// bound is a link to a phone at rest on which a session was then opened.
func (s *sitting) bound(change func(*gateway.Grant)) (*wire, gateway.Grant, error) {
	w, err := s.rest()
	if err != nil {
		return nil, gateway.Grant{}, err
	}
	g := w.grant()
	if change != nil {
		change(&g)
	}
	m, err := w.bind(g)
	if err != nil {
		return nil, g, err
	}
	got, err := w.command(m)
	if err != nil {
		return nil, g, fmt.Errorf("bind: %w", err)
	}
	return w, g, expect("bind", got, gateway.Bound, gateway.Truth{Fence: g.Fence, Box: g.Box, Grant: g.Digest()})
}

// expect compares a receipt with what it should say.
func expect(what string, got link.ReceiptClaims, kind gateway.ReceiptKind, truth gateway.Truth) error {
	if got.Kind != kind {
		return fmt.Errorf("%s: want %s, %s", what, kind, say(got))
	}
	if got.Truth != truth {
		return fmt.Errorf("%s: want the truth %s, have %s", what, sayTruth(truth), sayTruth(got.Truth))
	}
	return nil
}

// declined expects a command to be declined for one of reasons (any, where none is named) and to change nothing.
func (w *wire) declined(what string, m link.Order, reasons ...gateway.Reason) error {
	before := w.truth
	got, err := w.command(m)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := expect(what, got, gateway.Declined, before); err != nil {
		return err
	}
	for _, r := range reasons {
		if got.Reason == r {
			return nil
		}
	}
	if len(reasons) > 0 {
		return fmt.Errorf("%s: declined as %q, want %q", what, got.Reason, reasons)
	}
	return nil
}

func say(c link.ReceiptClaims) string {
	return fmt.Sprintf("the phone answered %s (%q) with %s", c.Kind, c.Reason, sayTruth(c.Truth))
}

func sayTruth(t gateway.Truth) string {
	if t.Grant.IsZero() {
		return fmt.Sprintf("fence %d, no session", t.Fence)
	}
	state := "unlocked"
	if t.Locked {
		state = "locked"
	}
	return fmt.Sprintf("fence %d, grant %.8s of %s, %s", t.Fence, t.Grant, t.Box, state)
}
