package agent

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// phoneModel is a State with the world around it: what the device really shows, and every command that was ever sent.
type phoneModel struct {
	s     State
	now   time.Duration
	boot  int
	acted map[string]int // times that a command's fence was taken
	sent  []Heard
	n     int
	left  bool // the device has a leftover that only verify sees
}

func (m *phoneModel) bootID() string { return fmt.Sprint("boot-", m.boot) }

var boxes = []gateway.BoxID{"west", "east"}

// compose draws a command that is mostly right and often wrong in one way.
func (m *phoneModel) compose(t *rapid.T) Heard {
	m.n++
	kind := rapid.SampledFrom([]gateway.CommandKind{gateway.Bind, gateway.Renew, gateway.Lock, gateway.Release}).Draw(t, "kind")
	h := Heard{Box: rapid.SampledFrom(boxes).Draw(t, "box"), Fresh: true}
	h.Order = link.Order{
		ID: fmt.Sprint("id-", m.n), Kind: kind, Expect: m.s.Fence, Next: m.s.Fence + 1,
		Unlock: rapid.Bool().Draw(t, "unlock"), Digest: m.s.Truth().Grant,
	}
	if kind == gateway.Bind {
		g := gateway.Grant{Box: h.Box, Phone: m.s.Phone, Fence: h.Next, Custody: gateway.Custody(m.n), Lease: 60, Idle: 40, Limit: 200}
		h.Order.Name, h.Order.Grant, h.Digest, h.Given = "Demo Nurse", "signed", g.Digest(), &g
	}
	switch rapid.SampledFrom([]string{"", "", "", "stale", "expect", "next", "grant", "digest"}).Draw(t, "wrong") {
	case "stale":
		h.Fresh = false
	case "expect":
		h.Expect += gateway.Fence(rapid.Uint64Range(1, 3).Draw(t, "off"))
	case "next":
		h.Next += gateway.Fence(rapid.Uint64Range(1, 3).Draw(t, "off"))
	case "grant":
		h.Given = nil
	case "digest":
		h.Digest = gateway.Digest{1}
	}
	return h
}

// hear gives the phone a command and checks what must hold of every verdict.
func (m *phoneModel) hear(t *rapid.T, h Heard) {
	before := m.s
	state, verdict := before.Decide(h, m.now)
	switch verdict.Outcome {
	case Obey:
		if !h.Fresh || h.Expect != before.Fence || h.Next != before.Fence+1 || state.Fence != before.Fence+1 {
			t.Fatalf("obeyed a %v with fresh=%v, expect %d, next %d at fence %d", h.Kind, h.Fresh, h.Expect, h.Next, before.Fence)
		}
		if h.Kind == gateway.Bind && (before.Session != nil || before.Leftover || h.Given == nil) {
			t.Fatalf("bound over %+v, leftover %v, grant %v", before.Session, before.Leftover, h.Given)
		}
		if h.Kind == gateway.Renew && before.Session.Closed {
			t.Fatal("renewed a closed session")
		}
		m.acted[h.ID]++
	case Repeat:
		if m.acted[h.ID] == 0 || verdict.Signed == "" {
			t.Fatalf("repeated a receipt for %s, which was never obeyed", h.ID)
		}
	case Wait:
		if before.Pending == nil {
			t.Fatal("waits for nothing")
		}
	case Refuse:
		if said := before.Decline(h, verdict.Reason); said.Truth != before.Truth() || said.Kind != gateway.Declined || verdict.Reason == "" {
			t.Fatalf("declined with %+v", said)
		}
	}
	if verdict.Outcome != Obey && (state.Fence != before.Fence || state.Truth() != before.Truth()) {
		t.Fatalf("a verdict of %v changed the phone", verdict.Outcome)
	}
	m.s = state
}

// finish lets the device answer.
func (m *phoneModel) finish(t *rapid.T) {
	act := m.s.Owes()
	if act == Rest && m.s.Pending == nil {
		return
	}
	done := rapid.IntRange(0, 4).Draw(t, "device") > 0
	if act == Clear {
		done = done && !m.left
	}
	fence := m.s.Fence
	state, said := m.s.Finish(done, m.now)
	m.s = state
	if state.Fence != fence {
		t.Fatal("the fence moved without a command")
	}
	if said == nil {
		return
	}
	if said.Truth != state.Truth() {
		t.Fatalf("receipt says %+v of %+v", said.Truth, state.Truth())
	}
	switch said.Kind {
	case gateway.Cleared:
		if !done || state.Session != nil || state.Leftover || act != Clear {
			t.Fatalf("cleared, with %+v", state)
		}
	case gateway.ClearFailed:
		if done || !state.Leftover || state.Healthy() {
			t.Fatalf("clear-failed, with %+v", state)
		}
	case gateway.Bound:
		if !state.open() || state.Session.Name == "" {
			t.Fatalf("bound, with %+v", state.Session)
		}
	case gateway.Locked:
		if !state.Truth().Locked {
			t.Fatalf("locked, with %+v", state)
		}
	}
	m.s = state.Expire(m.now) // as the loop does before anything else
	if said.Command != "" {
		if said.Next != fence {
			t.Fatalf("receipt of %d at fence %d", said.Next, fence)
		}
		m.s = m.s.Remember(Answer{said.Box, said.Command, "jws of " + said.Command})
	}
}

// check holds at every moment.
func (m *phoneModel) check(t *rapid.T) {
	for id, n := range m.acted {
		if n > 1 {
			t.Fatalf("command %s acted %d times", id, n)
		}
	}
	if len(m.s.Answered) > Remembered {
		t.Fatalf("%d answers", len(m.s.Answered))
	}
	x := m.s.Session
	if x == nil {
		return
	}
	if x.Closed && (!x.Locked || x.Name != "") {
		t.Fatalf("closed, and shows %+v", x)
	}
	if x.LeaseEnd > m.now+seconds(x.Grant.Lease) || x.LeaseEnd > x.LimitEnd {
		t.Fatalf("lease ends at %v, limit at %v, now %v", x.LeaseEnd, x.LimitEnd, m.now)
	}
	if at, ok := m.s.Deadline(); ok != m.s.open() || ok && at < m.now {
		t.Fatalf("deadline %v (%v) at %v", at, ok, m.now)
	}
}

// TestExplore sends drawn commands, wrong ones, old ones and repeats to a phone whose device fails, which restarts,
// reboots and waits, and checks what must hold after every step.
func TestExplore(t *testing.T) {
	obeyed := 0
	for range 20 { // as many times as rapid.checks says
		rapid.Check(t, func(t *rapid.T) { explore(t, &obeyed) })
	}
	enough := 2000
	if testing.Short() {
		enough = 50 // rapid draws a twentieth of the worlds
	}
	if obeyed < enough {
		t.Fatalf("only %d commands were obeyed: the exploration says little", obeyed)
	}
	t.Logf("%d commands obeyed", obeyed)
}

func explore(t *rapid.T, obeyed *int) {
	m := &phoneModel{s: State{Phone: "phone-1"}, boot: 1, acted: map[string]int{}}
	m.s = m.s.Start(m.bootID(), 0)
	t.Repeat(map[string]func(*rapid.T){
		"command": func(t *rapid.T) {
			h := m.compose(t)
			m.sent = append(m.sent, h)
			m.hear(t, h)
		},
		"repeat": func(t *rapid.T) {
			if len(m.sent) > 0 {
				m.hear(t, rapid.SampledFrom(m.sent).Draw(t, "again"))
			}
		},
		"finish": m.finish,
		"plant":  func(t *rapid.T) { m.left = rapid.Bool().Draw(t, "left") },
		"time": func(t *rapid.T) {
			m.now += time.Duration(rapid.IntRange(1, 50).Draw(t, "seconds")) * time.Second
			m.s = m.s.Expire(m.now)
		},
		"touch":   func(t *rapid.T) { m.s = m.s.Touch(m.now) },
		"restart": func(t *rapid.T) { m.s.At = m.now; m.s = m.s.Start(m.bootID(), m.now) },
		"reboot": func(t *rapid.T) {
			m.s.At = m.now
			m.boot++
			m.now = time.Duration(rapid.IntRange(0, 30).Draw(t, "up")) * time.Second
			m.s = m.s.Start(m.bootID(), m.now)
			if m.s.open() {
				t.Fatal("open after a reboot")
			}
		},
		"": m.check,
	})
	*obeyed += len(m.acted)
}
