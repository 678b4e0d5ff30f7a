package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/handoff"
	"tapward/gateway/store"
	"tapward/sync/claim"
	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

// TestRecordsReachTheHospital is the box's whole way with the hub, on real parts: it asks to join while it works, a
// person compares the codes, its log goes up; the hub dies and comes back, twice, and the ward goes on; and in the end the
// archive holds what the box wrote, once, byte for byte.
func TestRecordsReachTheHospital(t *testing.T) {
	h := newHub(t)
	door := newPort(t, "door")
	b := newBox(t, func(c *Config) {
		c.Serial = append(c.Serial, door.config)
		c.Uplink = h.config()
		c.Metrics.Listen = metricsAt
	})
	people := b.staff(11) // each taps once: a badge that comes back within two seconds is the same presentation

	// Nobody is there yet, and the ward is open all the same.
	b.start()
	b.must(b.client.LoadPolicy(t.Context(), wardPolicy{Version: 1, Staff: people, Places: []gateway.Place{{Reader: "door", Pool: testPool, Phone: "phone-1"}}}.document()))
	phone := newHandset(t, b, "phone-1", handsetWith{})
	b.must(b.client.AddPhone(t.Context(), phone.paired()))
	b.await("link", ready("phone-1", "door"))
	b.await("why the box has not joined", func(w *gateway.Ward) bool { return w.Uplink.State == gateway.UplinkJoining && w.Why != "" })
	next := people
	pass := func() {
		t.Helper()
		who := next[0]
		next = next[1:]
		door.tap(who)
		phone.awaitName(who)
		b.await("session of "+who.Name, held("phone-1", who))
	}
	pass()

	// A person confirms the code that both sides show.
	h.start()
	b.joins(h)
	h.await("what happened before the box joined", 1, b.written())
	b.await("revocation", func(w *gateway.Ward) bool { return w.Revoked.Through == 1 && !w.Heard.IsZero() })
	h.until("the box's report", func() bool { return h.reported == 1 })
	door.tap(people[10])
	b.await("refusal of the revoked", func(w *gateway.Ward) bool {
		return w.Taps[0].Signal == gateway.Refused && w.Taps[0].Reason == gateway.RevokedBadge
	})
	b.await("connection", connected)
	b.measures(people, `tapward_taps_total{outcome="granted"} 1$`, `tapward_taps_total{outcome="refused"} 1$`, "tapward_sessions 1$",
		"tapward_phones 1$", "tapward_readers 1$", "tapward_readers_up 1$", `tapward_storage_state{state="ok"} 1$`, `tapward_storage_state{state="low"} 0$`,
		"tapward_uplink_connected 1$", "tapward_certificate_expiry_timestamp_seconds [1-9]", "tapward_revocations_issued_timestamp_seconds [1-9]",
		"tapward_commit_duration_seconds_count [1-9]")

	// The hub dies; people go on.
	h.kill()
	b.await("the cut", func(w *gateway.Ward) bool {
		return w.Uplink.State == gateway.UplinkCutOff && w.Why != "" && !w.Uplink.Since.IsZero()
	})
	for range 6 {
		pass()
	}
	b.await("records that wait", func(w *gateway.Ward) bool { return w.Waiting > 0 && !w.Oldest.IsZero() })
	b.measures(people, `tapward_taps_total{outcome="granted"} 7$`, "tapward_uplink_connected 0$",
		"tapward_outbox_records [1-9]", "tapward_outbox_oldest_age_seconds [0-9.]*[1-9]")
	b.kill() // the box restarts without a hub: its certificate and its log are all it has
	door.plug()
	b.start()
	b.await("link", func(w *gateway.Ward) bool { return phoneOf(w, "phone-1").Linked && readersUp(w, "door") })

	// The hub comes back, and dies again in the middle of what it missed.
	before := b.written()
	h.start()
	h.await("the first of what waited", 1, min(before, h.size(1)+1))
	h.kill()
	pass()
	h.start()
	b.await("connection", connected)
	pass()
	h.await("everything", 1, b.written())
	b.await("receipts", func(w *gateway.Ward) bool { return connected(w) && w.Waiting == 0 && w.Trouble == "" })
	b.stop()

	// The end of the box's day is sent at its next start.
	b.start()
	b.await("connection", connected)
	all := b.written()
	h.await("what the box wrote while it stopped and started", 1, all)
	b.kill()
	h.kill()
	if err := b.readLog().alternates(); err != nil {
		t.Error(err)
	}
	c, err := store.OpenCopy(t.Context(), filepath.Join(b.config.Data, "ward.db"))
	b.must(err)
	defer c.Close()
	if said, err := os.ReadFile(b.logPath()); err != nil || !strings.Contains(string(said), "the certificate was renewed") {
		t.Errorf("no certificate was renewed: %v", err)
	}
	h.holds(archive.Origin{Address: uplink.Address{Site: hubSite, Box: b.config.Box}, Epoch: 1}, all, c, b.verifier)
	b.receipted(c, h)
}

// joins lets a person compare the codes and confirm the box.
func (b *testBox) joins(h *testHub) {
	b.t.Helper()
	w := b.await("the code", func(w *gateway.Ward) bool { return w.Code != "" })
	code, err := claim.ParseCode(w.Code)
	b.must(err)
	asks := h.pending(b.config.Box)
	if asks.Code != code || asks.Ward != testWard || asks.Link != b.identity.Fingerprint() {
		b.t.Fatalf("the box shows %s, the hub %+v", w.Code, asks)
	}
	h.must(h.boxes.Confirm(b.t.Context(), asks.Claim, code, "security desk"))
	b.await("connection", connected)
}

func connected(w *gateway.Ward) bool { return w.Uplink.State == gateway.UplinkConnected }

// written is how many records the running box has.
func (b *testBox) written() int64 {
	b.t.Helper()
	w, err := b.client.Ward(b.t.Context())
	b.must(err)
	return w.Log.Size
}

// receipted checks that the box holds receipts, and none for more than the archive has.
func (b *testBox) receipted(c *store.Copy, h *testHub) {
	b.t.Helper()
	receipts, err := c.Receipts(b.t.Context())
	b.must(err)
	if len(receipts) != 1 || receipts[0].Size == 0 || receipts[0].Size > h.size(1) {
		b.t.Errorf("the box holds the receipts %+v, the archive %d records", receipts, h.size(1))
	}
	stored, err := uplink.NewStoredVerifier(h.seed.Name)
	b.must(err)
	for _, r := range receipts {
		if head, _, err := uplink.OpenStored(r.Stored, b.verifier, stored); err != nil || head.Size != r.Size {
			b.t.Errorf("a receipt for %d records says %d: %v", r.Size, head.Size, err)
		}
	}
}

// TestRolledBackBoxIsFoundOut puts back a box's disk, with everything on it that could tell, to an earlier day. What the
// hospital holds of the box tells: the log goes on in a new epoch, which is archived beside the old one.
func TestRolledBackBoxIsFoundOut(t *testing.T) {
	h := newHub(t)
	h.start()
	b := newBox(t, func(c *Config) { c.Uplink = h.config() })
	b.start()
	b.joins(h)
	b.stop()
	earlier := filepath.Join(t.TempDir(), "data")
	b.must(exec.Command("cp", "-a", b.config.Data, earlier).Run())

	b.start()
	for version := range uint64(3) {
		b.must(b.client.LoadPolicy(t.Context(), wardPolicy{Version: version + 1}.document()))
	}
	b.await("connection", connected)
	later := b.written()
	h.await("the later days", 1, later)
	b.kill()
	b.must(os.RemoveAll(b.config.Data))
	b.must(exec.Command("cp", "-a", earlier, b.config.Data).Run())

	b.start()
	h.await("the new epoch", 2, 1)
	if n := h.size(1); n < later {
		t.Errorf("the archive had %d records of the old epoch and has %d", later, n)
	}
	b.stop()
	if log := b.readLog(); len(log.report.Breaks) != 1 || log.report.Breaks[0].Entry.Record.Kind != audit.EpochOpened {
		t.Errorf("the box's log breaks at %+v", log.report.Breaks)
	}
}

// TestRefusedBoxWorksOn: a hub that will not have the box, and one that is not the hospital's, are named in words, and the
// ward is open.
func TestRefusedBoxWorksOn(t *testing.T) {
	h := newHub(t)
	h.start()
	door := newPort(t, "door")
	for words, change := range map[string]func(*Uplink){
		`this hub is of site "northside"`:              func(u *Uplink) { u.Site = "southside" },
		"its CA is not the one that this box was told": func(u *Uplink) { u.CA = gateway.FingerprintOf([]byte("another")) },
	} {
		b := newBox(t, func(c *Config) {
			c.Serial = append(c.Serial, door.config)
			c.Uplink = h.config()
			change(c.Uplink)
		})
		door.plug()
		b.start()
		b.await(words, func(w *gateway.Ward) bool {
			return w.Uplink.State == gateway.UplinkJoining && strings.Contains(w.Why, words)
		})
		door.tap(b.staff(1)[0])
		b.await("an answer to a tap", func(w *gateway.Ward) bool { return len(w.Taps) > 0 && w.Taps[0].Reason == gateway.NoPolicy })
		b.stop()
	}
}

// TestRefusalIsTriedAgain: minutes later, and boxes that were refused together come apart.
func TestRefusalIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hospital{
			engine: handoff.New(handoff.Config{Uptime: func() time.Duration { return time.Hour }}), log: slog.New(slog.DiscardHandler),
		}
		waits := map[time.Duration]bool{}
		for range 20 {
			began := time.Now()
			h.failed(context.Background(), gateway.UplinkJoining, errors.New("made up"))
			wait := time.Since(began)
			if wait < askAgain/2 || wait > askAgain {
				t.Errorf("the box waits %s", wait)
			}
			waits[wait] = true
		}
		if len(waits) < 2 {
			t.Errorf("every wait is as long: %v", waits)
		}
	})
}

// TestUplinkConfiguration names what is wrong with it, all at once.
func TestUplinkConfiguration(t *testing.T) {
	good := Uplink{Site: "northside", Hub: "https://hub.example:7700", CA: gateway.FingerprintOf([]byte("made up"))}
	if wrong := good.validate("5b"); wrong != nil {
		t.Errorf("a right configuration is refused: %v", wrong)
	}
	for ward, u := range map[string]Uplink{
		"Ward 5B": good,
		"5b":      {Site: "north side", Hub: good.Hub, CA: good.CA},
		"5c":      {Site: good.Site, Hub: "hub.example:7700", CA: good.CA},
		"5d":      {Site: good.Site, Hub: "https://hub.example", CA: good.CA},
		"5e":      {Site: good.Site, Hub: "https://hub.example:7700/enrol", CA: good.CA},
		"5f":      {Site: good.Site, Hub: good.Hub},
	} {
		if wrong := u.validate(ward); len(wrong) != 1 {
			t.Errorf("ward %q, %+v: %v", ward, u, wrong)
		}
	}
	c := Config{Box: "box-a", Ward: "Ward 5B", Data: "/data", Metrics: Metrics{Listen: ":9464"}, Uplink: &Uplink{}}
	err := c.validate()
	for _, key := range []string{"uplink.site", "uplink.hub", "uplink.ca", "ward", "metrics.listen"} {
		if err == nil || !strings.Contains(err.Error(), key+":") {
			t.Errorf("nothing is said of %s: %v", key, err)
		}
	}
}
