package main

import (
	"os"
	"path/filepath"
	"testing"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
)

// TestHandsOffFromTheDatabaseAlone starts a box again with no network but its own loopback, no discovery, and the policy
// file gone: it goes on from what it stored.
func TestHandsOffFromTheDatabaseAlone(t *testing.T) {
	door, desk := newPort(t, "door"), newPort(t, "desk")
	b := newBox(t, func(c *Config) { c.Serial = append(c.Serial, door.config, desk.config) })
	people := b.staff(2)
	ana, ben := people[0], people[1]
	file := filepath.Join(t.TempDir(), "policy.toml")
	write(t, file, wardPolicy{Version: 1, Staff: people, Places: []gateway.Place{
		{Reader: "door", Pool: testPool}, {Reader: "desk", Pool: testPool, Phone: "phone-1"},
	}}.document())

	b.start()
	document, err := os.ReadFile(file)
	b.must(err)
	b.must(b.client.LoadPolicy(t.Context(), document))
	phone := newHandset(t, b, "phone-1", handsetWith{dials: true})
	b.must(b.client.AddPhone(t.Context(), phone.paired()))
	b.stop()
	b.must(os.Remove(file))

	door.plug()
	desk.plug()
	b.start()
	b.await("link and readers", ready("phone-1", "door", "desk"))
	door.tap(ana)
	phone.awaitName(ana)
	b.await("session of "+ana.Name, held("phone-1", ana))
	desk.tap(ben)
	phone.awaitName(ben)
	b.await("session of "+ben.Name, held("phone-1", ben))
	b.must(b.client.ReleasePhone(t.Context(), "phone-1"))
	phone.await("release", func(v agent.View) bool { return v.Screen == agent.ScreenFree })
	b.await("the phone's receipt", ready("phone-1"))
	b.stop()

	log := b.readLog()
	log.follows(t, "phone-1",
		event{gateway.CheckOutRequested, ana}, event{gateway.SessionOpened, ana},
		event{gateway.HandOffRequested, ben}, event{gateway.SessionCleared, ana}, event{gateway.SessionOpened, ben},
		event{gateway.SessionCleared, ben})
}
