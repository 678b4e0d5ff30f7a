package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/mdns"
	"tapward/gateway/store"
)

// advertised lets a handset be found on loopback, with a key that need not be its own.
func advertised(instance string, key func(*handset) gateway.Fingerprint) func(*handset) func(context.Context) error {
	return func(h *handset) func(context.Context) error {
		return func(ctx context.Context) error {
			return mdns.Advertise(ctx, mdns.Advert{
				Service: mdns.PhoneService, Instance: instance, Port: uint16(h.listen.Addr().(*net.TCPAddr).Port),
				TXT:        mdns.TXT{ID: instance, Key: key(h)},
				Interfaces: []string{"lo"}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			})
		}
	}
}

func ownKey(h *handset) gateway.Fingerprint { return h.identity.Fingerprint() }

// TestPhoneChangesHands is the main story on real parts: badges at the real PC/SC daemon, a phone found over real mDNS
// and linked over real TLS, a check-out, a hand-off at the dock's reader, a return; and a phone with a wrong key that
// wants to be in it.
func TestPhoneChangesHands(t *testing.T) {
	readers := startReaders(t, "door", "dock-reader")
	b := newBox(t, func(c *Config) {
		c.PCSC = readers.config()
		c.Phones.Quiet, c.Phones.Interfaces = false, []string{"lo"}
	})
	people := b.staff(2)
	ana, ben := people[0], people[1]
	b.start()
	b.must(b.client.LoadPolicy(t.Context(), wardPolicy{Version: 1, Staff: people, Places: []gateway.Place{
		{Reader: "door", Pool: testPool}, {Reader: "dock-reader", Pool: testPool, Slot: "dock-1"},
	}}.document()))

	phone := newHandset(t, b, "phone-1", handsetWith{advertise: advertised("phone-1", ownKey)})
	phone.gesture("dock", "dock-1")
	b.await("the phone among those found", func(w *gateway.Ward) bool {
		return len(w.Seen) == 1 && w.Seen[0].Key == phone.identity.Fingerprint()
	})
	found := phone.paired()
	found.Addrs = nil // it is reached where it was found
	b.must(b.client.AddPhone(t.Context(), found))
	b.await("link", func(w *gateway.Ward) bool {
		return ready("phone-1", "door", "dock-reader")(w) && phoneOf(w, "phone-1").Slot == "dock-1"
	})

	// The impostor calls itself phone-1, dials in with a key of its own, and advertises phone-1's key at its own address.
	theirs := func(*handset) gateway.Fingerprint { return phone.identity.Fingerprint() }
	knocking := newHandset(t, b, "phone-1", handsetWith{dials: true})
	luring := newHandset(t, b, "phone-1", handsetWith{advertise: advertised("phone-9", theirs)})
	b.await("refusal of the impostor", func(*gateway.Ward) bool { return b.logged(gateway.PhoneRefused) })

	phone.took()
	readers.tap("door", ana, func() {
		phone.awaitName(ana)
		b.await("session of "+ana.Name, held("phone-1", ana))
	})
	readers.tap("dock-reader", ben, func() {
		phone.awaitName(ben)
		b.await("session of "+ben.Name, held("phone-1", ben))
	})
	phone.gesture("undock", "")
	b.await("pick-up", func(w *gateway.Ward) bool { return b.logged(gateway.SessionUsed) })
	phone.gesture("dock", "dock-1")
	phone.await("return", func(v agent.View) bool { return v.Screen == agent.ScreenFree })
	b.await("return", ready("phone-1"))
	b.stop()

	owners := []gateway.ClinicianID{""}
	for _, s := range phone.took() {
		owner := gateway.ClinicianID("")
		if s.Session != nil && !s.Session.Closed {
			owner = s.Session.Grant.Clinician
		}
		if last := owners[len(owners)-1]; owner != last {
			if owner != "" && last != "" {
				t.Errorf("the phone went from %s to %s with nothing in between", last, owner)
			}
			owners = append(owners, owner)
		}
	}
	if len(owners) != 5 || owners[1] != ana.ID || owners[3] != ben.ID {
		t.Errorf("the phone was in the hands of %q", owners)
	}
	for _, h := range []*handset{knocking, luring} {
		if v, _ := h.View(); v.Screen != agent.ScreenFree || v.Fence != 0 || v.Boxes != "" {
			t.Errorf("the impostor got somewhere: it is linked with %q, shows %s at fence %d", v.Boxes, v.Screen, v.Fence)
		}
	}
	log := b.readLog()
	log.follows(t, "phone-1",
		event{gateway.CheckOutRequested, ana}, event{gateway.SessionOpened, ana},
		event{gateway.HandOffRequested, ben}, event{gateway.SessionCleared, ana}, event{gateway.SessionOpened, ben},
		event{gateway.SessionUsed, ben}, event{gateway.SessionCleared, ben})
	passed := log.find(func(r gateway.Record) bool { return r.Kind == gateway.HandOffRequested })[0].Entry.Record
	opened := log.find(func(r gateway.Record) bool { return r.Kind == gateway.SessionOpened && r.Custody == passed.Custody })
	if passed.Previous != ana.ID || passed.Clinician != ben.ID || len(opened) != 1 || opened[0].Entry.Record.Previous != ana.ID {
		t.Errorf("the hand-off does not name both people under one custody: %+v, then %+v", passed, opened)
	}
}

// logged says that the running box's log has a record of a kind.
func (b *testBox) logged(kind gateway.RecordKind) bool {
	b.t.Helper()
	c, err := store.OpenCopy(b.t.Context(), filepath.Join(b.config.Data, "ward.db"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	found, err := audit.Take(c.Backwards(b.t.Context(), audit.Filter{Kind: kind}), 1)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(found) > 0
}

// TestBindThatWaitedIsRefused lets a phone sleep, in the way that phones do: its connection stands, its clock runs, it
// hears nothing. What was sent to it meanwhile must not open it when it wakes.
func TestBindThatWaitedIsRefused(t *testing.T) {
	door := newPort(t, "door")
	b := newBox(t, func(c *Config) { c.Serial = append(c.Serial, door.config) })
	people := b.staff(1)
	b.start()
	b.must(b.client.LoadPolicy(t.Context(), wardPolicy{
		Version: 1, Class: "bind = \"1s\"\nrelease = \"1s\"", Staff: people, Places: []gateway.Place{{Reader: "door", Pool: testPool}},
	}.document()))
	phone := newHandset(t, b, "phone-1", handsetWith{})
	b.must(b.client.AddPhone(t.Context(), phone.paired()))
	b.await("link", ready("phone-1", "door"))

	phone.gesture("sleep", "")
	door.tap(people[0])
	b.await("end of the bind", func(w *gateway.Ward) bool {
		p := phoneOf(w, "phone-1")
		return p.Phase == "quarantined" && p.Linked
	})
	phone.suspend.Store(int64(11 * time.Second))
	phone.gesture("wake", "")
	b.await("the phone's way back", ready("phone-1"))
	phone.await("the phone's way back", func(v agent.View) bool { return v.Screen == agent.ScreenFree && v.Boxes != "" })
	b.stop()

	for _, s := range phone.took() {
		if s.Session != nil {
			t.Errorf("the phone took the grant that had waited: %+v", s.Session.Grant)
		}
	}
	log := b.readLog()
	for kind, want := range map[gateway.RecordKind]int{gateway.BindFailed: 1, gateway.CustodyFailed: 1, gateway.PhoneQuarantined: 1, gateway.SessionOpened: 0} {
		if n := len(log.find(func(r gateway.Record) bool { return r.Kind == kind })); n != want {
			t.Errorf("the log has %d records %s, want %d", n, kind, want)
		}
	}
}

// TestBoxDiesWithTenPhonesOut: the phones stay open until their leases end, then lock, and each stays its holder's. The
// box comes back, and each holder's next tap opens the own phone again.
func TestBoxDiesWithTenPhonesOut(t *testing.T) {
	const out = 10
	door := newPort(t, "door")
	b := newBox(t, func(c *Config) { c.Serial = append(c.Serial, door.config) })
	people := b.staff(out)
	b.start()
	b.must(b.client.LoadPolicy(t.Context(), wardPolicy{
		Version: 1, Class: "lease = \"10s\"\ndrift = \"1s\"\nidle = \"1h\"\npickup = \"10m\"", Staff: people,
		Places: []gateway.Place{{Reader: "door", Pool: testPool}},
	}.document()))
	phones := map[gateway.PhoneID]*handset{}
	for _, id := range []gateway.PhoneID{"p-0", "p-1", "p-2", "p-3", "p-4", "p-5", "p-6", "p-7", "p-8", "p-9"} {
		phones[id] = newHandset(t, b, id, handsetWith{})
		b.must(b.client.AddPhone(t.Context(), phones[id].paired()))
	}
	for id := range phones {
		b.await("link", ready(id, "door"))
	}
	holds := map[gateway.PhoneID]person{}
	for _, who := range people {
		door.tap(who)
		w := b.await("check-out of "+who.Name, func(w *gateway.Ward) bool { return holding(w, who) != "" })
		holds[holding(w, who)] = who
	}
	if len(holds) != out {
		t.Fatalf("%d people hold %d phones", out, len(holds))
	}

	b.kill()
	for id, who := range holds {
		if v, _ := phones[id].View(); v.Screen != agent.ScreenUnlocked || v.Name != who.Name {
			t.Errorf("%s shows %s %q as soon as the box is dead", id, v.Screen, v.Name)
		}
	}
	for id, who := range holds {
		phones[id].await("lock at the lease's end", func(v agent.View) bool { return v.Screen == agent.ScreenLocked && v.Name == who.Name })
	}

	door.plug()
	b.start()
	b.await("all ten back, locked, with their holders", func(w *gateway.Ward) bool {
		for id, who := range holds {
			if p := phoneOf(w, id); !p.Linked || p.Phase != "bound" || !p.Locked || p.HolderID != who.ID {
				return false
			}
		}
		return readersUp(w, "door")
	})
	for id, who := range holds {
		door.tap(who)
		phones[id].awaitName(who)
		b.await("resumption", held(id, who))
	}
	b.stop()
	log := b.readLog()
	for id, who := range holds {
		log.follows(t, id, event{gateway.SessionOpened, who}, event{gateway.SessionLocked, who}, event{gateway.SessionResumed, who})
	}
}

// holding is the phone that somebody has, unlocked.
func holding(w *gateway.Ward, who person) gateway.PhoneID {
	for _, p := range w.Phones {
		if held(p.ID, who)(w) {
			return p.ID
		}
	}
	return ""
}
