package bundle_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/sync/uplink"
)

// A release is in force at once, its leaf says who released what and how much it changes, and the report says so.
func TestReleasesAreTaken(t *testing.T) {
	inBox(t, func(b *box) {
		b.put(uplink.Policy, signed(t, release(uplink.Policy, 3, document(3, 4)), hubKey))
		b.put(uplink.Revocations, signed(t, release(uplink.Revocations, 2, revoked(t, 2)), hubKey))
		b.inForce(3, 2)
		for n, want := range []gateway.Reason{gateway.RevokedBadge, gateway.RevokedBadge, gateway.NoPhoneFree, gateway.NoPhoneFree} {
			if got := b.answer(n); got != want {
				t.Errorf("person %d: %s, want %s", n, got, want)
			}
		}
		b.put(uplink.Policy, signed(t, release(uplink.Policy, 4, document(4, 3)), hubKey))
		b.inForce(4, 2)
		leaves := words(b.records(), gateway.PolicyLoaded)
		if len(leaves) != 2 || !strings.HasPrefix(leaves[0], "hub release 3: people: 4 added") || leaves[1] != "hub release 4: people: 0 added, 1 removed, 0 changed" {
			t.Errorf("the leaves say %q", leaves)
		}
		if r := b.hub.report(); r.Version != "1.2.3" || r.Ward != "5b" || r.Stored != 7 || r.Epoch != 1 || r.Applied[uplink.Policy].At.IsZero() {
			t.Errorf("the report is %+v", r)
		}
	})
}

// A hundred revocations are decided while the box is deaf. The one message that it then hears has them all.
func TestAHundredRevocationsWhileDeaf(t *testing.T) {
	inBox(t, func(b *box) {
		b.put(uplink.Policy, signed(t, release(uplink.Policy, 1, document(1, 101)), hubKey))
		b.hub.cut(true)
		for n := range 100 {
			time.Sleep(time.Minute)
			b.put(uplink.Revocations, signed(t, release(uplink.Revocations, uint64(n+1), revoked(t, n+1)), hubKey))
		}
		if got := b.answer(0); got != gateway.NoPhoneFree {
			t.Fatalf("the box is not deaf: %s", got)
		}
		b.hub.cut(false)
		synctest.Wait()
		for n := range 100 {
			if got := b.answer(n); got != gateway.RevokedBadge {
				t.Errorf("person %d: %s", n, got)
			}
		}
		if got := b.answer(100); got != gateway.NoPhoneFree {
			t.Errorf("who was not revoked: %s", got)
		}
		if n := b.count(gateway.RevokedLoaded); n != 1 {
			t.Errorf("%d leaves for one message", n)
		}
		time.Sleep(31 * time.Second)
		b.inForce(1, 100)
	})
}

// What is not the hub's, not this box's, or older is not taken, whether it comes before or after a restart.
func TestRefusedReleases(t *testing.T) {
	inBox(t, func(b *box) {
		old := signed(t, release(uplink.Revocations, 4, revoked(t, 4)), hubKey)
		oldPolicy := signed(t, release(uplink.Policy, 4, document(4, 1)), hubKey)
		b.put(uplink.Policy, oldPolicy)
		b.put(uplink.Policy, signed(t, release(uplink.Policy, 5, document(5, 9)), hubKey))
		b.put(uplink.Revocations, old)
		b.put(uplink.Revocations, signed(t, release(uplink.Revocations, 5, revoked(t, 5)), hubKey))
		again := func() {
			t.Helper()
			b.refuses(uplink.Revocations, signed(t, release(uplink.Revocations, 9, revoked(t, 9)), otherKey), "signature")
			b.refuses(uplink.Revocations, []byte("{"), "open release")
			b.refuses(uplink.Revocations, old, "version 4 is not above 5")
			b.refuses(uplink.Revocations, signed(t, release(uplink.Revocations, 5, revoked(t, 3)), hubKey), "version 5 is not above 5")
			b.refuses(uplink.Revocations, signed(t, release(uplink.Revocations, 8, revoked(t, 7)), hubKey), "goes through number 7")
			b.refuses(uplink.Revocations, signed(t, release(uplink.Revocations, 8, []byte("[]")), hubKey), "read revocations")
			elsewhere := release(uplink.Revocations, 9, revoked(t, 9))
			elsewhere.Site = "south"
			b.refuses(uplink.Revocations, signed(t, elsewhere, hubKey), `it is of site "south"`)
			b.refuses(uplink.Revocations, signed(t, release(uplink.Policy, 9, document(9, 1)), hubKey), "where revocations are kept")

			b.refuses(uplink.Policy, oldPolicy, "version 4 is not above 5")
			b.refuses(uplink.Policy, signed(t, release(uplink.Policy, 9, document(8, 1)), hubKey), "the document is version 8")
			b.refuses(uplink.Policy, signed(t, release(uplink.Policy, 9, bytes.ReplaceAll(document(9, 1), []byte("north"), []byte("south"))), hubKey), `site "south"`)
			b.refuses(uplink.Policy, signed(t, release(uplink.Policy, 9, bytes.ReplaceAll(document(9, 0), []byte("5b"), []byte("icu"))), hubKey), `it has no ward "5b"`)
			b.refuses(uplink.Policy, signed(t, release(uplink.Policy, 9, []byte("version = ")), hubKey), "version 9")
			roster := release(uplink.Roster, 9, []byte("x"))
			roster.Ward = "icu"
			b.refuses(uplink.Policy, signed(t, roster, hubKey), "a release of roster")
			b.inForce(5, 5)
		}
		again()
		b.stop()
		b.start()
		again()
		// The same mistake told again and again is one leaf for each start.
		for range 5 {
			b.put(uplink.Policy, signed(t, release(uplink.Policy, 9, []byte("version = ")), hubKey))
		}
		if n := b.count(gateway.OperatorRefused); n > 6 {
			t.Errorf("%d leaves say that an act was refused", n)
		}
		// And the right one is taken all the same, and takes the complaint away.
		b.put(uplink.Policy, signed(t, release(uplink.Policy, 9, document(9, 1)), hubKey))
		b.put(uplink.Revocations, signed(t, release(uplink.Revocations, 9, revoked(t, 9)), hubKey))
		b.inForce(9, 9)
		for kind, a := range b.hub.report().Applied {
			if a.Refused != "" {
				t.Errorf("%s: the report still says %q", kind, a.Refused)
			}
		}
	})
}

// The heartbeat is the same list signed anew: it changes nothing but how fresh the box knows itself to be, and an older
// one does not make it fresher.
func TestHeartbeat(t *testing.T) {
	inBox(t, func(b *box) {
		first := signed(t, release(uplink.Revocations, 1, revoked(t, 1)), hubKey)
		body := revoked(t, 1)
		b.put(uplink.Revocations, first)
		began := b.bundle.State().Heard
		if began.IsZero() {
			t.Fatal("nothing was heard")
		}
		for range 3 {
			time.Sleep(time.Minute)
			b.put(uplink.Revocations, signed(t, release(uplink.Revocations, 1, body), hubKey))
		}
		if s := b.bundle.State(); s.Heard.Sub(began) != 3*time.Minute || time.Since(s.Issued) != 0 {
			t.Errorf("after three heartbeats: %+v", s)
		}
		time.Sleep(time.Minute)
		b.put(uplink.Revocations, first)
		if s := b.bundle.State(); time.Since(s.Heard) != time.Minute || time.Since(s.Issued) != time.Minute {
			t.Errorf("an old message made the box fresher: %+v", s)
		}
		if n := b.count(gateway.RevokedLoaded); n != 1 {
			t.Errorf("%d leaves", n)
		}
	})
}

func TestReportsEveryHalfMinute(t *testing.T) {
	inBox(t, func(b *box) {
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if n := len(b.hub.reports); n < 10 || n > 12 {
			t.Errorf("%d reports in five minutes", n)
		}
		b.hub.cut(true)
		time.Sleep(10 * time.Minute)
		b.hub.cut(false)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if age := time.Since(b.hub.report().At); age > 31*time.Second {
			t.Errorf("the newest report is %s old", age)
		}
	})
}

// Policies are replaced while people tap: every tap is judged by one of them, never by an older one than the tap before,
// and none is lost.
func TestReleaseDuringTaps(t *testing.T) {
	inBox(t, func(b *box) {
		b.put(uplink.Policy, signed(t, release(uplink.Policy, 1, document(1, 5)), hubKey))
		const rounds = 40
		done := make(chan struct{})
		go func() {
			defer close(done)
			for v := range uint64(rounds) {
				b.hub.put(uplink.Policy, signed(t, release(uplink.Policy, v+2, document(v+2, 5)), hubKey))
			}
		}()
		for n := range 5 * rounds {
			b.engine.Tap(b.t.Context(), gateway.Tap{Reader: "door", Credential: badge(n % 5), Assurance: gateway.Assurance{Card: gateway.CardNumber}, At: time.Now()})
		}
		<-done
		b.inForce(rounds+1, 0)
		all := b.records()
		slices.Reverse(all)
		order, taps, last := map[gateway.Digest]int{}, 0, 0
		for _, r := range all {
			switch r.Kind {
			case gateway.PolicyLoaded:
				order[r.Policy] = len(order) + 1
			case gateway.TapRefused:
				taps++
				at := order[r.Policy]
				if at == 0 || at < last || r.Reasons[0] != gateway.NoPhoneFree {
					t.Errorf("tap %d was judged by policy %d after %d: %v", taps, at, last, r.Reasons)
				}
				last = at
			}
		}
		if taps != 5*rounds || len(order) != rounds+1 {
			t.Errorf("%d taps and %d policies are in the log", taps, len(order))
		}
	})
}

// The power goes between hearing of a release and its commit, or right after it. The box comes back with all of it or
// nothing, hears of it again, and has it once.
func TestCrashBetweenHearingAndApplying(t *testing.T) {
	broken := errors.New("the disk is gone")
	for name, f := range map[string][2]error{"not written": {broken, nil}, "written in secret": {nil, broken}} {
		t.Run(name, func(t *testing.T) {
			inBox(t, func(b *box) {
				b.put(uplink.Policy, signed(t, release(uplink.Policy, 1, document(1, 3)), hubKey))
				b.breaks.set(f[0], f[1])
				go b.hub.put(uplink.Revocations, signed(t, release(uplink.Revocations, 2, revoked(t, 2)), hubKey))
				synctest.Wait()
				select {
				case err := <-b.ended:
					if err == nil {
						t.Error("the engine ended as if nothing were wrong")
					}
					b.ended <- err
				default:
					t.Fatal("the engine goes on")
				}
				b.stop()
				b.start()
				b.inForce(1, 2)
				if n := b.count(gateway.RevokedLoaded); n != 1 {
					t.Errorf("%d leaves", n)
				}
				if got := b.answer(1); got != gateway.RevokedBadge {
					t.Error(got)
				}
			})
		})
	}
}

// A full disk is no reason to forget: a policy that could not be written is tried again, revocations hold at once.
func TestReleasesOnAFullDisk(t *testing.T) {
	inBox(t, func(b *box) {
		b.put(uplink.Policy, signed(t, release(uplink.Policy, 1, document(1, 3)), hubKey))
		b.breaks.set(gateway.ErrStorageFull, nil)
		b.put(uplink.Revocations, signed(t, release(uplink.Revocations, 2, revoked(t, 2)), hubKey))
		b.refuses(uplink.Policy, signed(t, release(uplink.Policy, 2, document(2, 3)), hubKey), "disk is full")
		b.inForce(1, 2)
		b.breaks.set(nil, nil)
		time.Sleep(time.Minute)
		b.inForce(2, 2)
		b.stop()
		b.start()
		b.inForce(2, 2)
	})
}

// An operator has loaded a newer policy by hand: the report says what is in force, and the hub's older one is refused.
func TestPolicyLoadedByHand(t *testing.T) {
	inBox(t, func(b *box) {
		if err := b.engine.Do(b.t.Context(), "uid 0", gateway.LoadPolicy{Document: document(7, 2)}); err != nil {
			t.Fatal(err)
		}
		b.inForce(7, 0)
		b.refuses(uplink.Policy, signed(t, release(uplink.Policy, 6, document(6, 2)), hubKey), "version 6 is not above 7")
		b.put(uplink.Policy, signed(t, release(uplink.Policy, 7, document(7, 2)), hubKey))
		b.inForce(7, 0)
		if why := b.hub.report().Applied[uplink.Policy].Refused; why != "" {
			t.Errorf("the very same policy is refused: %s", why)
		}
	})
}
