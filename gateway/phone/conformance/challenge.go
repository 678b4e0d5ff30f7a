package conformance

import (
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

var challengeClauses = []Clause{
	{"foreign-challenge", "A command whose challenge the phone did not give on this link is declined.", foreignChallenge},
	{"stale-challenge", "A command whose challenge is older than 10 s is declined, so nothing buffered is obeyed later.", staleChallenge},
}

func foreignChallenge(s *sitting) error {
	w, err := s.rest()
	if err != nil {
		return err
	}
	other, err := s.open("")
	if err != nil {
		return err
	}
	for what, challenge := range map[string]string{
		"a challenge of another link":  w.challenge,
		"a challenge nobody ever gave": link.NewNonce(),
	} {
		m := other.order(gateway.Release)
		m.Challenge = challenge
		if err := other.declined(what, m, link.StaleChallenge); err != nil {
			return err
		}
	}
	return nil
}

func staleChallenge(s *sitting) error {
	w, err := s.rest()
	if err != nil {
		return err
	}
	old := w.challenge
	if err := w.pass(time.Now().Add(link.ChallengeLife + time.Second)); err != nil {
		return err
	}
	g := w.grant()
	m, err := w.bind(g)
	if err != nil {
		return err
	}
	m.Challenge = old
	if err := w.declined("a bind with a challenge older than 10 s", m, link.StaleChallenge); err != nil {
		return err
	}
	m.ID, m.Challenge = link.NewNonce(), w.challenge
	got, err := w.command(m)
	if err != nil {
		return err
	}
	return expect("the same bind with a fresh challenge", got, gateway.Bound, gateway.Truth{Fence: g.Fence, Box: g.Box, Grant: g.Digest()})
}
