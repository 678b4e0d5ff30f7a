package link

import (
	"time"
	"unicode/utf8"

	"tapward/gateway"
)

const (
	// sendFor bounds how long a command is resent.
	sendFor = 10 * time.Second
	// ChallengeLife is how long a phone takes a challenge; the box asks for a new one earlier.
	ChallengeLife = 10 * time.Second

	freshFor  = 8 * time.Second       // a challenge is used until then
	resendMin = 25 * time.Millisecond // TCP's own loss timer is 200 ms; a repeat makes it notice sooner
)

// order is a command as Send was given it.
type order struct {
	gateway.Command
	name string
}

// challenge is the newest one the phone gave, and when it came.
type challenge struct {
	value string
	at    time.Time
}

func (c challenge) fresh(now time.Time) bool { return now.Sub(c.at) < freshFor }

// carried is the command that is being carried to the phone.
type carried struct {
	order
	id      string
	frame   []byte // nil: waits for a fresh challenge
	renewed bool   // was sent again under a new id, because its challenge was stale
	every   time.Duration
	again   time.Time // when it is resent
	until   time.Time
}

// give hands the link a command, to send or only to prepare, without waiting.
func (s *standing) give(to **order, o order) {
	s.mu.Lock()
	*to = &o
	s.mu.Unlock()
	select {
	case s.given <- struct{}{}:
	default:
	}
}

// begin takes up the command that was given; whatever was under way is superseded.
func (s *standing) begin(now time.Time) error {
	s.mu.Lock()
	o, soon := s.waiting, s.soon
	s.waiting, s.soon = nil, nil
	s.mu.Unlock()
	if o == nil {
		s.prepare(soon, now)
		return nil
	}
	every := max(2*s.conn.rtt(), resendMin)
	s.current = &carried{order: *o, every: every, again: now.Add(every), until: now.Add(sendFor)}
	if !s.challenge.fresh(now) {
		return s.ping(now)
	}
	return s.dispatch()
}

// challenged sends the command that waited for a fresh challenge.
func (s *standing) challenged() error {
	if s.current == nil || s.current.frame != nil {
		return nil
	}
	return s.dispatch()
}

// dispatch sends the current command for the first time under a new id.
func (s *standing) dispatch() error {
	c := s.current
	w, err := s.prepared, error(nil)
	if s.prepared = nil; w == nil || w.order != c.order || w.challenge != s.challenge.value {
		w, err = s.write(c.order)
	}
	if err != nil {
		s.links.cfg.Log.Error("command cannot be written", "phone", s.phone, "command", c.Kind, "err", err)
		s.current = nil
		return nil
	}
	c.id, c.frame = w.id, w.frame
	s.asked.note(c.id, c.order)
	return s.conn.writeFrame(c.frame)
}

// written is a command ready to be sent, once.
type written struct {
	order
	id        string
	challenge string
	frame     []byte
}

func (s *standing) write(o order) (*written, error) {
	m, err := s.compose(o)
	if err != nil {
		return nil, err
	}
	frame, err := EncodeFrame(m)
	return &written{o, m.ID, m.Challenge, frame}, err
}

// prepare writes a command that will perhaps be given; what cannot be written now is written, or complained of, then.
func (s *standing) prepare(o *order, now time.Time) {
	s.prepared = nil
	if o == nil || !s.challenge.fresh(now) {
		return
	}
	if w, err := s.write(*o); err == nil {
		s.prepared = w
	}
}

// compose is the command on the wire.
func (s *standing) compose(o order) (Order, error) {
	m := Order{
		ID:         NewNonce(),
		Kind:       o.Kind,
		Expect:     o.Expect,
		Next:       o.Next,
		Challenge:  s.challenge.value,
		Digest:     o.digest(),
		Unlock:     o.Unlock,
		Reason:     o.Reason,
		Checkpoint: s.links.checkpoint(),
	}
	if o.Reason != "" {
		m.Sentence = cut(o.Reason.Sentence(), MaxSentence)
	}
	if o.Kind == gateway.Bind || o.Kind == gateway.Renew {
		m.Lease = o.Grant.Lease
	}
	if o.Kind != gateway.Bind {
		return m, nil
	}
	m.Name = cut(o.name, MaxName)
	var err error
	m.Grant, err = SignGrant(s.links.cfg.Identity, o.Grant)
	return m, err
}

// digest names the grant that the command is about; zero where it is about whatever is there.
func (o order) digest() gateway.Digest {
	if o.Grant == (gateway.Grant{}) {
		return gateway.Digest{}
	}
	return o.Grant.Digest()
}

// again resends what is due, the same bytes under the same id, at growing distances.
func (s *standing) again(now time.Time) error {
	c := s.current
	if c == nil || now.Before(c.again) {
		return nil
	}
	if !now.Before(c.until) {
		s.links.cfg.Log.Warn("command was not answered", "phone", s.phone, "command", c.Kind, "after", sendFor)
		s.current = nil
		return nil
	}
	c.every *= 2
	c.again = now.Add(c.every)
	if c.again.After(c.until) {
		c.again = c.until
	}
	if c.frame == nil {
		return s.ping(now)
	}
	return s.conn.writeFrame(c.frame)
}

// cut shortens text to at most n bytes without breaking a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
