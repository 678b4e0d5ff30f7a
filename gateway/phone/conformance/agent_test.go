package conformance_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/conformance"
	"tapward/gateway/phone/link"
)

// TestReferenceAgent puts the real agent, with its real state file and folder, through every clause.
func TestReferenceAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phone, box := identity(t), identity(t)
		dir := t.TempDir()
		path := filepath.Join(dir, "state")
		if err := agent.CreateStateFile(path, "phone-1"); err != nil {
			t.Fatal(err)
		}
		store, state, err := agent.OpenStateFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		workspace := agent.Workspace{Root: filepath.Join(dir, "sessions"), Phone: "phone-1"}
		listener, began := newPipes(), time.Now()
		a := agent.New(agent.Config{
			Phone: "phone-1", Identity: phone, State: state, Store: store, Device: workspace,
			Boxes:  []agent.Box{{ID: "examiner", Key: box.Fingerprint()}},
			Listen: listener, BootID: "boot-1", Boot: func() time.Duration { return time.Since(began) + time.Hour },
			Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		exam := conformance.Exam{
			Phone: "phone-1", Key: phone.Fingerprint(), Box: "examiner", Identity: box, Dial: listener.dial,
			Plant:   func(context.Context) error { return workspace.Plant() },
			Unplant: func(context.Context) error { return workspace.Unplant() },
		}
		seen := 0
		failed := exam.Run(t.Context(), func(r conformance.Result) {
			seen++
			if r.Err != nil {
				t.Errorf("%s: %v", r.Name, r.Err)
			}
		})
		if failed != 0 || seen != len(conformance.Clauses()) {
			t.Errorf("%d failed of %d, want none of %d", failed, seen, len(conformance.Clauses()))
		}
		synctest.Wait()
		if v, _ := a.View(); v.Screen != agent.ScreenFree || v.Name != "" {
			t.Errorf("the exam leaves the phone %s under %q", v.Screen, v.Name)
		}
		interrupted(t, exam, a)
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("agent ended with %v", err)
		}
	})
}

// interrupted ends an exam in its first clause that opens a session: the phone is left free all the same.
func interrupted(t *testing.T, exam conformance.Exam, a *agent.Agent) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var last string
	failed := exam.Run(ctx, func(r conformance.Result) {
		if v, _ := a.View(); v.Name != "" {
			interrupt()
		}
		if last = r.Name; last == "left-free" && r.Err != nil {
			t.Errorf("%s: %v", last, r.Err)
		}
	})
	synctest.Wait()
	if v, _ := a.View(); failed != 1 || last != "left-free" || ctx.Err() == nil || v.Screen != agent.ScreenFree {
		t.Errorf("interrupted: %d failed, the last clause was %s, the phone is %s", failed, last, v.Screen)
	}
}

func identity(t *testing.T) link.Identity {
	t.Helper()
	id, err := link.NewIdentity("test")
	if err != nil {
		t.Fatal(err)
	}
	return id
}
