package agent_test

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/kernel"
	"tapward/gateway/phone"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/link"
)

// ward is a real box's links and a real phone on loopback TCP, with a real state file and folder.
type ward struct {
	t       testing.TB
	links   *link.Links
	reports chan phone.Report
	fence   gateway.Fence
}

// newWard lets the phone dial, the box dial, or both at once.
func newWard(t testing.TB, phoneDials, boxDials bool) *ward {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	identity := func() link.Identity {
		id, err := link.NewIdentity("test")
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := agent.CreateStateFile(path, "phone-1"); err != nil {
		t.Fatal(err)
	}
	store, state, err := agent.OpenStateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	phoneID, boxID := identity(), identity()
	phoneAt, boxAt := listen(), listen()
	paired := gateway.Phone{ID: "phone-1", Key: phoneID.Fingerprint(), Class: gateway.Workflow, Pool: "ward"}
	trusted := agent.Box{ID: "west", Key: boxID.Fingerprint()}
	if boxDials {
		paired.Addrs = []string{phoneAt.Addr().String()}
	}
	if phoneDials {
		trusted.Addrs = []string{boxAt.Addr().String()}
	}
	log := slog.New(slog.DiscardHandler)
	w := &ward{t: t, reports: make(chan phone.Report, 64)}
	w.links = link.New(link.Config{Box: "west", Identity: boxID, Phones: []gateway.Phone{paired}, Listen: boxAt, Out: w.reports, Log: log})
	a := agent.New(agent.Config{
		Phone: "phone-1", Identity: phoneID, State: state, Store: store,
		Device: agent.Workspace{Root: filepath.Join(dir, "work"), Phone: "phone-1"},
		Boxes:  []agent.Box{trusted}, Listen: phoneAt, Dial: agent.TCP, BootID: "boot-1", Boot: kernel.Uptime, Log: log,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- a.Run(ctx) }()
	go func() { ended <- w.links.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != context.Canceled {
				t.Errorf("ended with %v", err)
			}
		}
		store.Close()
	})
	return w
}

// until reads reports up to the first that f takes.
func (w *ward) until(what string, f func(phone.Report) bool) {
	w.t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case r := <-w.reports:
			if f(r) {
				return
			}
			if s, ok := r.(phone.Stranger); ok {
				w.t.Fatalf("waiting for %s: the box refused the phone: %s", what, s.Why)
			}
		case <-late:
			w.t.Fatalf("no %s", what)
		}
	}
}

func (w *ward) linked() {
	w.t.Helper()
	w.until("link", func(r phone.Report) bool { _, ok := r.(phone.Linked); return ok })
}

// send gives a command with the next fence and waits for its answer. Where another link took over meanwhile, its hello
// says whether the command came through.
func (w *ward) send(c gateway.Command, want gateway.ReceiptKind) {
	w.t.Helper()
	c.Phone, c.Expect, c.Next = "phone-1", w.fence, w.fence+1
	if c.Kind == gateway.Bind {
		c.Grant.Fence = c.Next
	}
	w.fence++
	w.links.Send(c, "Demo Nurse")
	w.until(c.Kind.String()+" receipt", func(r phone.Report) bool {
		if l, ok := r.(phone.Linked); ok {
			if l.Truth.Fence < c.Next {
				w.links.Send(c, "Demo Nurse")
			}
			return l.Truth.Fence == c.Next
		}
		a, ok := r.(phone.Answer)
		if !ok || a.Receipt.Next != c.Next {
			return false
		}
		got := a.Receipt
		through := got.Kind == gateway.Declined && got.Truth.Fence == c.Next // came through on the link before
		if got.Kind != want && !through {
			w.t.Fatalf("%s: want %s, have %s (%s) at fence %d", c.Kind, want, got.Kind, got.Reason, got.Truth.Fence)
		}
		return true
	})
}

func (w *ward) passage() {
	w.t.Helper()
	g := gateway.Grant{Box: "west", Phone: "phone-1", Fence: w.fence + 1, Custody: 1, Clinician: "demo-1", Lease: 600, Limit: 3600}
	w.send(gateway.Command{Kind: gateway.Bind, Grant: g}, gateway.Bound)
	w.send(gateway.Command{Kind: gateway.Lock, Grant: g, Reason: gateway.ByOperator}, gateway.Locked)
	w.send(gateway.Command{Kind: gateway.Renew, Grant: g, Unlock: true}, gateway.Renewed)
	w.send(gateway.Command{Kind: gateway.Release, Grant: g}, gateway.Cleared)
}

// TestRealBox links the agent with the box's own end of the protocol, whoever dials.
func TestRealBox(t *testing.T) {
	for name, dials := range map[string][2]bool{"phone dials": {true, false}, "box dials": {false, true}, "both dial": {true, true}} {
		t.Run(name, func(t *testing.T) {
			w := newWard(t, dials[0], dials[1])
			w.linked()
			w.passage()
			w.passage()
		})
	}
}

// BenchmarkBind is a bind over TLS on loopback, stored durably twice on the phone: p50 and p99. A box takes a bounded
// number of messages on a link, so there is a new ward after a few.
func BenchmarkBind(b *testing.B) {
	var took []time.Duration
	for b.Loop() {
		w := newWard(b, true, false)
		w.linked()
		for range 8 {
			g := gateway.Grant{Box: "west", Phone: "phone-1", Fence: w.fence + 1, Custody: 1, Clinician: "demo-1", Lease: 600, Limit: 3600}
			began := time.Now()
			w.send(gateway.Command{Kind: gateway.Bind, Grant: g}, gateway.Bound)
			took = append(took, time.Since(began))
			w.send(gateway.Command{Kind: gateway.Release, Grant: g}, gateway.Cleared)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "bind-p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "bind-p99-ms")
}
