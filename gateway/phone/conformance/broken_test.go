package conformance_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/conformance"
)

// TestBrokenRules breaks one rule at a time; the clause about it must fail. A phone that breaks none passes them all.
func TestBrokenRules(t *testing.T) {
	for _, c := range []struct{ breaks, clause string }{
		{"", ""},
		{"tls", "tls-1.3-only"},
		{"alpn", "alpn"},
		{"certificate", "no-certificate"},
		{"key", "unknown-key"},
		{"nonce", "hello-signed"},
		{"greeting", "greet-first"},
		{"challenges", "ping"},
		{"left", "left"},
		{"malformed", "unknown-type"},
		{"order", "wrong-order"},
		{"checkpoints", "checkpoints"},
		{"signer", "bind"},
		{"rise", "bind"},
		{"fence", "fence"},
		{"old-grant", "replayed-bind"},
		{"second", "one-session"},
		{"repeat", "same-receipt"},
		{"unlock", "lock-renew"},
		{"digest", "other-session"},
		{"signature", "grant-signature"},
		{"names", "grant-names"},
		{"lease", "lease"},
		{"lease", "idle"},
		{"custody", "lease"},
		{"limit", "limit"},
		{"verify", "leftover"},
		{"leftover-bind", "leftover"},
		{"healthy", "leftover"},
		{"challenge", "foreign-challenge"},
		{"stale", "stale-challenge"},
	} {
		t.Run(c.breaks+"/"+c.clause, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := examine(t, c.breaks)
				if c.breaks == "" && len(failed) > 0 {
					t.Errorf("a phone that breaks no rule failed %v", failed)
				}
				if c.breaks != "" && failed[c.clause] == nil {
					t.Errorf("a phone that breaks %q passed %s; it failed %v", c.breaks, c.clause, failed)
				}
				t.Logf("%d clauses failed, %s: %v", len(failed), c.clause, failed[c.clause])
			})
		})
	}
}

func examine(t *testing.T, breaks string) map[string]error {
	listener := newPipes()
	defer listener.Close()
	p := &crooked{breaks: breaks, id: identity(t), box: identity(t), began: time.Now().Add(-time.Hour)}
	p.state = agent.State{Phone: "phone-1"}.Start("boot-1", p.now())
	go p.listen(listener)
	plant := func(is bool) func(context.Context) error {
		return func(context.Context) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.planted = is
			return nil
		}
	}
	exam := conformance.Exam{
		Phone: "phone-1", Key: p.id.Fingerprint(), Box: "examiner", Identity: p.box, Dial: listener.dial,
		Plant: plant(true), Unplant: plant(false),
	}
	failed := map[string]error{}
	exam.Run(t.Context(), func(r conformance.Result) {
		if r.Err != nil {
			failed[r.Name] = r.Err
		}
	})
	return failed
}
