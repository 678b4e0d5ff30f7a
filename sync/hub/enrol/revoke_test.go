package enrol_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"tapward/sync/claim"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/enrol"
)

// TestCutDoesNotWaitForTheAudit revokes while no event gets through: the connections are cut all the same, also for
// somebody who does not wait for the answer, and again when the revocation is told.
func TestCutDoesNotWaitForTheAudit(t *testing.T) {
	for name, uncut := range map[string]error{"it is cut": nil, "it cannot be cut yet": errors.New("the broker is away")} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, databasetest.SQLite(t), nil)
			_, a, _ := h.enrolled("box-1")
			h.events.wait(t, enrol.Issued, a.Subject)
			h.events.set(func(e *events) { e.fail, e.uncut = errors.New("the audit is away"), uncut })
			h.enrolled("box-2") // its events wait, before the revocation's
			if err := h.Revoke(t.Context(), a.Subject, "Ines", "stolen"); err != nil {
				t.Fatalf("a revocation that is committed failed: %v", err)
			}
			h.events.set(func(e *events) {
				if len(e.cut) != 1 || e.cut[0] != a.Subject {
					t.Errorf("cut off while the audit is away: %v", e.cut)
				}
				e.fail, e.uncut = nil, nil
			})
			if err := h.Reinstate(t.Context(), a.Subject, "Ines", "found"); err != nil { // tells what waits
				t.Fatal(err)
			}
			h.events.wait(t, enrol.Reinstated, a.Subject)
			h.events.set(func(e *events) {
				if len(e.cut) != 2 || e.cut[1] != a.Subject {
					t.Errorf("cut off when the revocation was told: %v", e.cut)
				}
			})
		})
	}
}

// TestNoCutWithoutARevocation cuts nobody for a decision that was not made.
func TestNoCutWithoutARevocation(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	wantRefusal(t, h.Revoke(t.Context(), boxNamed("box-9"), "Ines", "who is that"), claim.NotListed)
	h.events.set(func(e *events) {
		if len(e.cut) != 0 {
			t.Errorf("cut off: %v", e.cut)
		}
	})
}

// TestWhoAndWhyAreBounded holds every decision about a member or a claim to a person and a reason of 1 to 1024 bytes.
func TestWhoAndWhyAreBounded(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	_, a, _ := h.enrolled("box-1")
	waiting := h.applicant("box-2")
	j := join(t, t.TempDir(), waiting)
	j.code()
	p := h.pending(waiting.Subject)
	longest := strings.Repeat("é", 512)
	for _, wrong := range []string{"", longest + "x"} {
		for name, err := range map[string]error{
			"Decline":               h.Decline(t.Context(), p.Claim, wrong),
			"Confirm":               h.Confirm(t.Context(), p.Claim, p.Code, wrong),
			"Revoke by nobody":      h.Revoke(t.Context(), a.Subject, wrong, "stolen"),
			"Revoke for nothing":    h.Revoke(t.Context(), a.Subject, "Ines", wrong),
			"Reinstate by nobody":   h.Reinstate(t.Context(), a.Subject, wrong, "found"),
			"Reinstate for nothing": h.Reinstate(t.Context(), a.Subject, "Ines", wrong),
			"Vacate by nobody":      h.Vacate(t.Context(), a.Subject, wrong, "gone"),
			"Vacate for nothing":    h.Vacate(t.Context(), a.Subject, "Ines", wrong),
		} {
			want := "must be said"
			if wrong != "" {
				want = "at most 1024"
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s with %d bytes: %v", name, len(wrong), err)
			}
		}
	}
	h.events.set(func(e *events) {
		if len(e.cut) != 0 {
			t.Errorf("cut off: %v", e.cut)
		}
	})
	for i, do := range []func(ctx context.Context, s claim.Subject, person, why string) error{h.Revoke, h.Reinstate, h.Revoke, h.Vacate} {
		if err := do(t.Context(), a.Subject, longest, longest); err != nil {
			t.Errorf("decision %d: %v", i, err)
		}
	}
	if got := h.events.wait(t, enrol.Vacated, a.Subject); got.Person != longest || got.Words != longest {
		t.Errorf("%d bytes by %d bytes", len(got.Words), len(got.Person))
	}
	if err := h.Decline(t.Context(), p.Claim, longest); err != nil {
		t.Error(err)
	}
	_, err := j.end()
	wantRefusal(t, err, claim.Declined)
}
