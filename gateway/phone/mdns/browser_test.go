package mdns

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"tapward/gateway/phone"
)

func TestPhoneIsFoundBeforeAndAfterTheBrowserStarts(t *testing.T) {
	w := layWard(t)
	early, late := w.site("10.77.0.7/24"), w.site("10.77.0.8/24")
	early.phones(part{"phone-07", keyOf("7"), 7000})
	l := browse(t, newTestBrowser(PhoneService))
	if s := l.await("phone-07", "10.77.0.7:7000"); s.Key != keyOf("7") || s.At.IsZero() {
		t.Errorf("found %+v", s)
	}
	late.phones(part{"phone-08", keyOf("8"), 7001})
	l.await("phone-08", "10.77.0.8:7001")
}

func TestPhoneIsFoundWhereThereIsNoIPv4(t *testing.T) {
	w := layWard(t)
	w.site("fd77::7/64").phones(part{"phone-07", keyOf("7"), 7000})
	w.site("fe80::8/64").phones(part{"phone-08", keyOf("8"), 7000})
	l := browse(t, withPace(once))
	l.awaitAll(func(s phone.Sighting) string { return s.Addrs[0].String() },
		"[fd77::7]:7000", "[fe80::8%ward0]:7000")
}

func TestSixtyPhonesAreFoundAlsoByASlowReader(t *testing.T) {
	w := layWard(t)
	s := w.site("10.77.0.2/24")
	parts, names := manyParts(60)
	slow := browse(t, newTestBrowser(PhoneService)) // nobody reads it until the quick one has them all
	quick := browse(t, newTestBrowser(PhoneService))
	s.phones(parts...)
	quick.awaitAll(nameOf, names...)
	slow.awaitAll(nameOf, names...)
}

// The library alone would report whichever of the two was heard first, and never the other.
func TestSpoofHidesNobody(t *testing.T) {
	for name, order := range map[string]struct{ first, second string }{
		"spoof first": {"10.77.0.66", "10.77.0.7"},
		"spoof later": {"10.77.0.7", "10.77.0.66"},
	} {
		t.Run(name, func(t *testing.T) {
			w := layWard(t)
			first, second := w.site(order.first+"/24"), w.site(order.second+"/24")
			l := browse(t, withPace(once))
			first.phones(part{"phone-07", keyOf("7"), 7000})
			l.await("phone-07", order.first+":7000")
			second.phones(part{"phone-07", keyOf("7"), 7000})
			l.await("phone-07", order.second+":7000")
		})
	}
}

func TestBothClaimantsAreToldToANewBrowser(t *testing.T) {
	w := layWard(t)
	spoof, real := w.site("10.77.0.66/24"), w.site("10.77.0.7/24")
	watcher := browse(t, withPace(once))
	spoof.phones(part{"phone-07", keyOf("7"), 7000})
	watcher.await("phone-07", "10.77.0.66:7000")
	real.phones(part{"phone-07", keyOf("7"), 7000})
	watcher.await("phone-07", "10.77.0.7:7000")

	browse(t, withPace(once)).awaitAll(func(s phone.Sighting) string { return s.Addrs[0].String() },
		"10.77.0.66:7000", "10.77.0.7:7000")
}

func TestPhoneIsFoundOnItsNewAddress(t *testing.T) {
	w := layWard(t)
	s := w.site("10.77.0.7/24")
	s.phones(part{"phone-07", keyOf("7"), 7000})
	l := browse(t, withPace(once))
	l.await("phone-07", "10.77.0.7:7000")
	s.readdress("10.77.0.70/24")
	l.await("phone-07", "10.77.0.70:7000")
	s.unplug()
	s.plugIn("10.77.0.71/24")
	l.await("phone-07", "10.77.0.71:7000")
}

// The phone does not notice that the box's interface went away, so it is the box that must ask again, at once.
func TestBrowserHearsAgainOnARemadeInterface(t *testing.T) {
	w := layWard(t)
	s := w.site("10.77.0.7/24")
	s.phones(part{"phone-07", keyOf("7"), 7000})
	l := browse(t, withPace(once))
	l.await("phone-07", "10.77.0.7:7000")
	w.tearDown()
	remade := time.Now()
	w.lay()
	s.connect()
	late := w.site("10.77.0.8/24")
	late.phones(part{"phone-08", keyOf("8"), 7000})
	l.awaitAll(func(s phone.Sighting) string {
		if s.At.Before(remade) {
			return ""
		}
		return s.Name
	}, "phone-07", "phone-08")
}

func TestBrowserWaitsForItsInterface(t *testing.T) {
	l := browse(t, withPace(once))
	w := layWard(t)
	s := w.site("10.77.0.7/24")
	s.phones(part{"phone-07", keyOf("7"), 7000})
	l.await("phone-07", "10.77.0.7:7000")
}

func TestBoxIsFoundByItsService(t *testing.T) {
	layWard(t)
	advertise(t, Advert{Service: BoxService, Instance: "ward-3", Port: 7443, TXT: TXT{ID: "ward-3", Key: keyOf("box")}})
	advertise(t, Advert{Service: PhoneService, Instance: "phone-07", Port: 7000, TXT: TXT{ID: "phone-07"}})
	l := browse(t, newTestBrowser(BoxService))
	if s := l.await("ward-3", "10.77.0.1:7443"); s.Key != keyOf("box") {
		t.Errorf("found %+v", s)
	}
	l = browse(t, newTestBrowser(PhoneService))
	if s := l.await("phone-07", "10.77.0.1:7000"); !s.Key.IsZero() {
		t.Errorf("found %+v", s)
	}
}

func TestLoopbackWhereItIsChosen(t *testing.T) {
	advertise(t, Advert{Service: PhoneService, Instance: "phone-07", Port: 7000, TXT: TXT{ID: "phone-07"}, Interfaces: []string{"lo"}})
	browse(t, newTestBrowser(PhoneService, "lo")).await("phone-07", "127.0.0.1:7000")
}

func TestAdvertiseRefuses(t *testing.T) {
	good := Advert{Service: PhoneService, Instance: "phone-07", Port: 7000, TXT: TXT{ID: "phone-07", Key: keyOf("7")}}
	for name, edit := range map[string]func(*Advert){
		"service":  func(a *Advert) { a.Service = "_http._tcp" },
		"instance": func(a *Advert) { a.Instance = "phone 07" },
		"port":     func(a *Advert) { a.Port = 0 },
		"id":       func(a *Advert) { a.TXT = TXT{ID: "a.b"} },
	} {
		a := good
		edit(&a)
		if err := Advertise(context.Background(), a); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := good.check(); err != nil {
		t.Error(err)
	}
}

func advertise(t *testing.T, a Advert) (stop func()) {
	t.Helper()
	a.Log = slog.New(slog.DiscardHandler)
	return during(t, func(ctx context.Context) error { return Advertise(ctx, a) })
}
