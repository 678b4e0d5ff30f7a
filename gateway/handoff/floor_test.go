package handoff_test

import (
	"bytes"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// A bubble's time begins at the same moment again and again, as that of a box without a battery for its clock does. What
// the log knows keeps a badge that has expired from being good again, and lets the others in.
func TestBoxThatBootsInThePast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	boot := func(id string, f func(w *ward)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := &ward{t: t, path: path, boot: id, phones: newHandsets(), readers: &lights{}}
			w.start()
			f(w)
			w.stop()
		})
	}
	phone := func(w *ward, id gateway.PhoneID) {
		w.phones.add(id)
		w.phones.link(id)
		w.pass(time.Second)
	}
	refused := func(w *ward, name string) {
		t.Helper()
		w.tap(name, "door")
		w.told("door", gateway.Refused, gateway.ExpiredBadge)
	}
	// Eli's badge is good for two days of the bubble's time, Dee's for six.
	first := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	document := bytes.Replace(policyText(1), []byte("1999-12-31T08:00:00Z"), []byte(first.AddDate(0, 0, 2).Format(time.RFC3339)), 1)
	dee := []byte(badge("dee").Hash(badgeKey).String() + "\"]\n")
	document = bytes.Replace(document, dee, append(dee, "expires = "+first.AddDate(0, 0, 6).Format(time.RFC3339)+"\n"...), 1)

	boot("boot-1", func(w *ward) {
		w.must(gateway.LoadPolicy{Document: document})
		w.pair("phone-1")
		w.engine.Clock(w.t.Context(), audit.Synchronised)
		w.tap("eli", "door")
		w.told("door", gateway.Granted, gateway.CheckOut)
		w.phones.pick("phone-1")
		for range 3 * 24 * 60 {
			w.engine.Clock(w.t.Context(), audit.Synchronised)
			w.pass(time.Minute)
		}
		refused(w, "eli")
		w.shows("phone-1", "", "free")
	})
	boot("boot-2", func(w *ward) {
		phone(w, "phone-1")
		refused(w, "eli")
		w.engine.Clock(w.t.Context(), audit.NotSynchronised)
		refused(w, "eli")
		w.phones.change("phone-1", func(h *handset) { h.picked = false })
		w.phones.status("phone-1")
		w.tap("dee", "door")
		w.told("door", gateway.Granted, gateway.CheckOut)
		w.phones.pick("phone-1")
		w.pass(2 * 24 * time.Hour)                      // the wall clock says the third day, and it is the fifth at least
		w.shows("phone-1", "locked: Dee Test", "bound") // past its limit, and still hers
		w.pass(24 * time.Hour)
		w.shows("phone-1", "", "free")
		refused(w, "dee")
	})
	boot("boot-3", func(w *ward) {
		phone(w, "phone-1")
		refused(w, "dee")
		w.engine.Clock(w.t.Context(), audit.Synchronised) // wrongly; the floor stands all the same
		refused(w, "dee")
		w.phones.change("phone-1", func(h *handset) { h.picked = false })
		w.phones.status("phone-1")
		w.tap("ana", "door")
		w.told("door", gateway.Granted, gateway.CheckOut)
	})
}
