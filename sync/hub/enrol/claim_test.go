package enrol_test

import (
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/sync/claim"
	box "tapward/sync/enrol"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/enrol"
	"tapward/sync/uplink"
)

func TestBoxJoins(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		h := newHub(t, url, nil)
		a, folder := h.applicant("box-7"), t.TempDir()
		j := join(t, folder, a)
		code := j.code()
		p := h.pending(a.Subject)
		if p.Code != code || p.Ward != "icu" || p.Link != a.Link || p.Listed || p.Replace {
			t.Errorf("the box shows %s, the hub %+v", code, p)
		}
		if err := h.Confirm(t.Context(), p.Claim, code, "nurse Ines"); err != nil {
			t.Fatal(err)
		}
		e, err := j.end()
		if err != nil {
			t.Fatal(err)
		}
		leaf := e.Certificate().Leaf
		if leaf.Subject.CommonName != "box-7" || leaf.Subject.Organization[0] != site || leaf.URIs[0].String() != "spiffe://st-anna/box/box-7" {
			t.Errorf("the certificate is of %s, %v", leaf.Subject, leaf.URIs)
		}
		if lasts := time.Until(leaf.NotAfter); lasts < 7*24*time.Hour-time.Minute || lasts > 7*24*time.Hour {
			t.Errorf("it lasts %s", lasts)
		}
		if trust := e.Trust(); string(trust.Hub.Release) != string(h.config.Release) || trust.Hub.Stored != h.config.Stored || trust.Ward != "icu" ||
			trust.Hub.Brokers[0] != h.config.Brokers[0] {
			t.Errorf("the box trusts %+v", trust)
		}
		entries := must(os.ReadDir(folder))
		if len(entries) != 1 || mode(t, filepath.Join(folder, entries[0].Name())) != 0o600 {
			t.Errorf("the folder holds %v", entries)
		}
		address, ward, refused, err := h.Authorize(t.Context(), leaf)
		if err != nil || refused != "" || ward != "icu" || address != (uplink.Address{Site: site, Box: "box-7"}) {
			t.Errorf("%v %q %q %v", address, ward, refused, err)
		}
		keys := must(h.LogKeys(t.Context(), address))
		if len(keys) != 1 || keys[0].Name() != a.Log.Name() || keys[0].KeyHash() != a.Log.KeyHash() {
			t.Errorf("log keys %v", keys)
		}
		if got := h.events.wait(t, enrol.Confirmed, a.Subject); got.Person != "nurse Ines" || !strings.Contains(got.Words, code.String()) {
			t.Errorf("%+v", got)
		}
		h.events.wait(t, enrol.Claimed, a.Subject)
		h.events.wait(t, enrol.Issued, a.Subject)
		again, err := join(t, folder, a).end()
		if err != nil || !again.Certificate().Leaf.Equal(leaf) {
			t.Errorf("a box that is enrolled asked again: %v", err)
		}
	})
}

func TestWrongCodeAndNo(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	for id, decide := range map[string]func(enrol.Pending) (gateway.Reason, gateway.Reason){
		"box-1": func(p enrol.Pending) (hub, box gateway.Reason) {
			other := claim.Code("00000000")
			if p.Code == other {
				other = "00000001"
			}
			return claim.RefusalOf(h.Confirm(t.Context(), p.Claim, other, "Ines")), claim.CodeDiffers
		},
		"box-2": func(p enrol.Pending) (hub, box gateway.Reason) {
			return claim.RefusalOf(h.Decline(t.Context(), p.Claim, "Ines")), claim.Declined
		},
	} {
		a, folder := h.applicant(id), t.TempDir()
		j := join(t, folder, a)
		j.code()
		p := h.pending(a.Subject)
		hub, want := decide(p)
		if want == claim.CodeDiffers && hub != claim.CodeDiffers || want == claim.Declined && hub != "" {
			t.Errorf("%s: the hub says %q", id, hub)
		}
		_, err := j.end()
		wantRefusal(t, err, want)
		if left := must(os.ReadDir(folder)); len(left) > 0 {
			t.Errorf("%s: the box keeps %v", id, left)
		}
		if err := h.Confirm(t.Context(), p.Claim, p.Code, "Ines"); claim.RefusalOf(err) == "" {
			t.Errorf("%s: was confirmed after its end: %v", id, err)
		}
	}
	if len(must(h.Members(t.Context()))) != 0 {
		t.Error("somebody is on the allow list")
	}
	if err := h.Decline(t.Context(), "nothing", ""); err == nil {
		t.Error("nobody may decide without a name")
	}
}

// TestOneConfirmationCounts has many people confirm at the same time, and two boxes ask in one name.
func TestOneConfirmationCounts(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		h := newHub(t, url, nil)
		one, other := h.applicant("box-7"), h.applicant("box-7")
		joins := map[claim.Code]*joining{}
		for _, a := range []box.Applicant{one, other} {
			j := join(t, t.TempDir(), a)
			joins[j.code()] = j
		}
		pending := must(h.Pending(t.Context()))
		if len(pending) != 2 {
			t.Fatalf("%d claims wait", len(pending))
		}
		var mu sync.Mutex
		var won []claim.Code
		var people sync.WaitGroup
		for i := range 16 {
			p := pending[i%2]
			people.Go(func() {
				err := h.Confirm(t.Context(), p.Claim, p.Code, "person")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, p.Code)
				} else if claim.RefusalOf(err) == "" {
					t.Errorf("%v", err)
				}
			})
		}
		people.Wait()
		if len(won) != 1 {
			t.Fatalf("%d confirmations count", len(won))
		}
		e, err := joins[won[0]].end()
		if err != nil {
			t.Fatal(err)
		}
		if members := must(h.Members(t.Context())); len(members) != 1 || members[0].TLS != gateway.FingerprintOf(e.Certificate().Leaf.RawSubjectPublicKeyInfo) {
			t.Errorf("%+v", members)
		}
		if n := h.events.count(enrol.Confirmed); n > 1 {
			t.Errorf("%d events say confirmed", n)
		}
	})
}

func TestHubRestartsInTheMiddle(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	a := h.applicant("box-7")
	j := join(t, t.TempDir(), a)
	code := j.code()
	h.restart(nil)
	if p := h.pending(a.Subject); p.Code != code {
		t.Errorf("the hub shows %s after its restart, the box %s", p.Code, code)
	}
	if err := h.Confirm(t.Context(), h.pending(a.Subject).Claim, code, "Ines"); err != nil {
		t.Fatal(err)
	}
	h.restart(nil)
	if _, err := j.end(); err != nil {
		t.Fatal(err)
	}
}

// TestTimeRunsOut ends a claim; the box begins anew by itself and shows another code.
func TestTimeRunsOut(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	a := h.applicant("box-7")
	j := join(t, t.TempDir(), a)
	code := j.code()
	p := h.pending(a.Subject)
	if _, err := h.db.Exec(`UPDATE enrol_claim SET ends = $1`, time.Now().UnixNano()); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, h.Confirm(t.Context(), p.Claim, code, "Ines"), claim.NoClaim)
	if again := j.code(); again == code {
		t.Error("the new claim has the old code")
	}
	if err := h.Confirm(t.Context(), h.pending(a.Subject).Claim, h.pending(a.Subject).Code, "Ines"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.end(); err != nil {
		t.Fatal(err)
	}
}

// TestPhoneJoins goes the same way with the keys that a phone has.
func TestPhoneJoins(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	a := h.applicant("phone-1")
	a.Subject.Kind, a.Log, a.LogKey = claim.Phone, nil, ""
	j := join(t, t.TempDir(), a)
	code := j.code()
	if err := h.Confirm(t.Context(), h.pending(a.Subject).Claim, code, "Ines"); err != nil {
		t.Fatal(err)
	}
	e, err := j.end()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, refused, err := h.Authorize(t.Context(), e.Certificate().Leaf); refused != claim.NotListed || err != nil {
		t.Errorf("the broker lets a phone in: %q, %v", refused, err)
	}
}

// TestKeysServeOnce refuses keys of another box, and of a box that was revoked.
func TestKeysServeOnce(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		h := newHub(t, url, nil)
		_, first, _ := h.enrolled("box-1")
		twin := h.applicant("box-2")
		twin.Link = first.Link
		_, err := join(t, t.TempDir(), twin).end()
		wantRefusal(t, err, claim.KeyInUse)

		if err := h.Revoke(t.Context(), first.Subject, "Ines", "stolen"); err != nil {
			t.Fatal(err)
		}
		_, err = join(t, t.TempDir(), first).end()
		wantRefusal(t, err, claim.Revoked)
		if err := h.Vacate(t.Context(), first.Subject, "Ines", "a new box comes"); err != nil {
			t.Fatal(err)
		}
		_, err = join(t, t.TempDir(), first).end()
		wantRefusal(t, err, claim.Revoked)
		h.enrolled("box-1")
		if keys := must(h.LogKeys(t.Context(), uplink.Address{Site: site, Box: "box-1"})); len(keys) != 2 || keys[1].KeyHash() != first.Log.KeyHash() {
			t.Errorf("log keys: %v", keys)
		}
	})
}

// TestBoxIsReplaced claims a name that is taken: the person is told, and the old machine is out.
func TestBoxIsReplaced(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	old, _, folder := h.enrolled("box-1")
	a := h.applicant("box-1")
	j := join(t, t.TempDir(), a)
	code := j.code()
	p := h.pending(a.Subject)
	if !p.Replace {
		t.Error("the person is not told that the name is taken")
	}
	if _, _, refused, _ := h.Authorize(t.Context(), old.Certificate().Leaf); refused != "" {
		t.Errorf("a claim alone shuts the old box out: %s", refused)
	}
	if err := h.Confirm(t.Context(), p.Claim, code, "Ines"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.end(); err != nil {
		t.Fatal(err)
	}
	if _, _, refused, _ := h.Authorize(t.Context(), old.Certificate().Leaf); refused != claim.NotListed {
		t.Errorf("the old box is let in still: %q", refused)
	}
	if e, err := box.Load(folder, slog.New(slog.DiscardHandler)); err != nil || e.Trust().Subject != a.Subject {
		t.Errorf("%v", err)
	}
}

// TestEventsAreToldUntilTheyAreTaken has the audit fail, and the hub end meanwhile.
func TestEventsAreToldUntilTheyAreTaken(t *testing.T) {
	h := newHub(t, databasetest.SQLite(t), nil)
	h.events.mu.Lock()
	h.events.fail = os.ErrDeadlineExceeded
	h.events.mu.Unlock()
	e, a, _ := h.enrolled("box-1")
	if n := h.events.count(enrol.Issued); n != 0 {
		t.Fatalf("%d events came through", n)
	}
	h.stop()
	h.events.mu.Lock()
	h.events.fail = nil
	h.events.mu.Unlock()
	h.restart(nil)
	issued := h.events.wait(t, enrol.Issued, a.Subject)
	if !strings.Contains(issued.Words, serial(e.Certificate().Leaf)) {
		t.Errorf("%+v", issued)
	}
	h.events.mu.Lock()
	defer h.events.mu.Unlock()
	for i := 1; i < len(h.events.all); i++ {
		if h.events.all[i].ID <= h.events.all[i-1].ID {
			t.Errorf("events are out of order: %+v", h.events.all)
		}
	}
}

func serial(c *x509.Certificate) string { return c.SerialNumber.Text(16) }
