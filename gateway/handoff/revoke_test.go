package handoff_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
)

// revocations is a list through a number, of entries like "clinician c-ana".
func revocations(through uint64, entries ...string) gateway.InstallRevocations {
	r := gateway.Revocations{Through: through, Issued: time.Now(), Digest: sha256.Sum256(fmt.Append(nil, through, entries))}
	for i, e := range entries {
		target, id, _ := strings.Cut(e, " ")
		r.List = append(r.List, gateway.Revocation{Number: uint64(i + 1), Target: gateway.RevocationTarget(target), ID: id, At: time.Now(), Reason: "left"})
	}
	return gateway.InstallRevocations{Revocations: r}
}

// A revoked person's session ends at once, nothing is given to them, and neither a restart nor a newer policy that still
// lists them changes that.
func TestRevokedPersonIsOut(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		synctest.Wait()
		w.must(revocations(1, "clinician c-ana"))
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
		w.logged(gateway.RevokedLoaded, gateway.ReleaseRequested, gateway.SessionCleared)
		all := w.records()
		loaded, ended := all[len(all)-3], all[len(all)-2]
		if loaded.State != "version-1" || loaded.Operator != "tester" || !strings.Contains(loaded.Words, "new: 1 people") || strings.Contains(loaded.Words, "c-ana") {
			t.Errorf("the leaf is %+v", loaded)
		}
		if ended.Reasons[0] != gateway.Barred || ended.Clinician != "c-ana" {
			t.Errorf("the session's end is %+v", ended)
		}
		refused := func(when string) {
			t.Helper()
			w.tap("ana", "door")
			w.told("door", gateway.Refused, gateway.RevokedBadge)
			if t.Failed() {
				t.Fatal(when)
			}
		}
		refused("at once")
		w.must(gateway.LoadPolicy{Document: policyText(2)})
		refused("after a policy")
		w.stop()
		w.start()
		w.phones.link("phone-1")
		w.phones.link("phone-2")
		refused("after a restart")
		if picture, _ := w.engine.Ward(); picture.Revoked.Through != 1 || picture.Revoked.Listed != 1 || picture.Policy.Version != 2 {
			t.Errorf("the picture has %+v, policy %d", picture.Revoked, picture.Policy.Version)
		}
		w.must(revocations(2))
		w.tap("ana", "door")
		w.told("door", gateway.Granted, gateway.CheckOut)
	})
}

// Who waits for a colleague's phone and is revoked meanwhile does not get it.
func TestRevokedWhileWaiting(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.dock("phone-1", "slot-1")
		w.tap("ana", "dock")
		w.phones.change("phone-1", func(h *handset) { h.deaf = true })
		w.tap("ben", "dock")
		w.shows("phone-1", "Ana Test", "releasing")
		w.must(revocations(1, "clinician c-ben"))
		w.told("dock", gateway.Refused, gateway.Barred)
		w.phones.change("phone-1", func(h *handset) { h.deaf = false })
		w.pass(time.Minute)
		w.shows("phone-1", "", "free")
	})
}

// One badge of a person is blocked: it opens nothing, and the session goes on.
func TestRevokedBadge(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.must(revocations(1, "badge "+badge("ana").Hash(badgeKey).String(), "badge no hash at all", "teapot x"))
		w.tap("ana", "door")
		w.told("door", gateway.Refused, gateway.RevokedBadge)
		w.shows("phone-1", "Ana Test", "bound")
	})
}

// A revoked phone is released, whoever has it or waits for it, and given to nobody: not as the best one, not where it is
// docked, not by a take-over that was armed before, not after it was paired anew.
func TestRevokedPhone(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.dock("phone-1", "slot-1")
		w.tap("ana", "dock")
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.must(revocations(1, "phone phone-1"))
		w.phones.change("phone-1", func(h *handset) { h.deaf = true })
		w.tap("ben", "door")
		w.shows("phone-2", "Ben Test", "bound")
		w.phones.pick("phone-2")
		w.phones.change("phone-1", func(h *handset) { h.deaf = false })
		w.pass(time.Minute)
		w.shows("phone-1", "", "free")
		if got := w.phone("phone-1").Reason; got != gateway.RevokedPhone {
			t.Errorf("the station says %q", got)
		}
		for range 2 {
			w.tap("cai", "dock")
			w.told("dock", gateway.Refused, gateway.NoPhoneFree)
			w.must(gateway.RemovePhone{Phone: "phone-1"})
			w.pair("phone-1")
			w.phones.dock("phone-1", "slot-1")
			w.pass(time.Minute)
		}
		w.must(revocations(2))
		w.tap("cai", "dock")
		w.told("dock", gateway.Granted, gateway.CheckOut)
	})
}

func TestRevokedPhoneDuringAHandOff(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.dock("phone-1", "slot-1")
		w.tap("ana", "dock")
		w.phones.change("phone-1", func(h *handset) { h.deaf = true })
		w.tap("ben", "dock")
		w.must(revocations(1, "phone phone-1"))
		w.told("dock", gateway.Refused, gateway.RevokedPhone)
		w.phones.change("phone-1", func(h *handset) { h.deaf = false })
		w.pass(time.Minute)
		w.shows("phone-1", "", "free")
	})
}

func TestRevokedPhoneWhileItIsPrepared(t *testing.T) {
	inWard(t, func(w *ward) {
		w.phones.change("phone-1", func(h *handset) { h.mute = true })
		w.tap("ana", "door")
		w.must(revocations(1, "phone phone-1"))
		w.pass(time.Second)
		w.shows("phone-2", "Ana Test", "bound")
		w.phones.change("phone-1", func(h *handset) { h.mute = false })
		w.pass(time.Minute)
		w.shows("phone-1", "", "free")
	})
}

func TestOlderRevocationsAreRefused(t *testing.T) {
	inWard(t, func(w *ward) {
		w.must(revocations(5, "clinician c-ana"))
		before := len(w.records())
		w.must(revocations(5, "clinician c-ana")) // the same once more is no act
		if n := len(w.records()); n != before {
			t.Errorf("%d records more", n-before)
		}
		for _, old := range []gateway.InstallRevocations{revocations(4), revocations(5), revocations(0)} {
			var why *gateway.Refusal
			if err := w.engine.Do(w.t.Context(), "tester", old); !errors.As(err, &why) || why.Reason != gateway.OldRevocations {
				t.Errorf("number %d: %v", old.Revocations.Through, err)
			}
			synctest.Wait()
			w.logged(gateway.OperatorRefused)
		}
		w.tap("ana", "door")
		w.told("door", gateway.Refused, gateway.RevokedBadge)
	})
}

// Taking away does not wait for a disk: on a full one the list is in force, and it is durable once there is room.
func TestRevocationsOnAFullDisk(t *testing.T) {
	inWard(t, func(w *ward) {
		w.tap("ana", "door")
		w.phones.pick("phone-1")
		w.must(gateway.TakeOver{Reader: "door", Phone: "phone-1"})
		w.journal.breaks(fault{refuse: gateway.ErrStorageFull})
		w.must(revocations(1, "clinician c-ana"))
		w.must(revocations(2, "clinician c-ana", "clinician c-ben"))
		w.pass(time.Second)
		w.shows("phone-1", "", "free")
		w.tap("ana", "door")
		w.told("door", gateway.Refused, gateway.RevokedBadge)
		w.journal.breaks(fault{})
		w.pass(10 * time.Second)
		loaded := 0
		for _, k := range w.kinds() {
			if k == gateway.RevokedLoaded {
				loaded++
			}
		}
		w.stop()
		w.start()
		w.phones.link("phone-1")
		w.phones.link("phone-2")
		for _, name := range []string{"ana", "ben"} {
			w.tap(name, "door")
			w.told("door", gateway.Refused, gateway.RevokedBadge)
		}
		if loaded != 2 {
			t.Errorf("%d leaves say that revocations were loaded", loaded)
		}
	})
}

// The engine ends before or after the write, without knowing which. What the database then says is what holds: the list
// with the session's end, or neither.
func TestCrashWhileRevoking(t *testing.T) {
	for name, f := range map[string]fault{
		"not written": {refuse: errors.New("broken")}, "written in secret": {lie: errors.New("broken")},
	} {
		t.Run(name, func(t *testing.T) {
			inWard(t, func(w *ward) {
				w.tap("ana", "door")
				w.phones.pick("phone-1")
				synctest.Wait()
				w.journal.breaks(f)
				ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
				defer cancel()
				if err := w.engine.Do(ctx, "tester", revocations(1, "clinician c-ana")); err == nil {
					t.Error("it is said to be done although nobody knows")
				}
				synctest.Wait()
				w.crashed()
				w.start()
				written := f.lie != nil
				w.phones.link("phone-1")
				w.phones.link("phone-2")
				w.pass(time.Second)
				want, phase := "Ana Test", "bound"
				if written {
					want, phase = "", "free"
				}
				w.shows("phone-1", want, phase)
				w.must(revocations(1, "clinician c-ana")) // the hub's message comes again
				w.pass(time.Second)
				w.shows("phone-1", "", "free")
			})
		})
	}
}

// Whatever happens on a ward, after every step: nobody who is revoked holds a phone or waits for one, and no revoked phone
// has an owner.
func TestNothingGetsPastARevocation(t *testing.T) {
	for seed := range uint64(12) {
		inWard(t, func(w *ward) {
			r := rand.New(rand.NewPCG(seed, 1))
			var list []string
			through, version := uint64(0), 1
			var story []string
			for range 60 {
				name, id := staff[r.IntN(4)], []gateway.PhoneID{"phone-1", "phone-2"}[r.IntN(2)]
				move := ""
				switch r.IntN(16) {
				case 0:
					entry := []string{"clinician c-" + name, "phone " + string(id), "badge " + badge(name).Hash(badgeKey).String()}[r.IntN(3)]
					if len(list) == 2 { // or soon nobody would be left
						list = list[1:]
					}
					list = append(list, entry)
					through++
					move = "revoke " + entry
					w.must(revocations(through, list...))
				case 1:
					version++
					move = "policy"
					w.must(gateway.LoadPolicy{Document: policyText(version)})
				case 2:
					move = "deaf " + string(id)
					w.phones.change(id, func(h *handset) { h.deaf = !h.deaf })
				case 3:
					move = "dock " + string(id)
					w.phones.dock(id, "slot-1")
				case 4:
					move = "relink " + string(id)
					w.phones.unlink(id)
					w.phones.link(id)
				case 5:
					move = "release " + string(id)
					w.engine.Do(w.t.Context(), "tester", gateway.ReleasePhone{Phone: id})
				case 6:
					move = "take over " + string(id)
					w.engine.Do(w.t.Context(), "tester", gateway.TakeOver{Reader: "door", Phone: id})
				case 7:
					move = "pick " + string(id)
					w.phones.pick(id)
				case 8:
					move = "restart"
					w.stop()
					w.start()
					w.phones.link("phone-1")
					w.phones.link("phone-2")
				default:
					at := []gateway.ReaderID{"door", "dock"}[r.IntN(2)]
					move = "tap " + name + " at " + string(at)
					w.tap(name, at)
				}
				story = append(story, move)
				synctest.Wait()
				picture, _ := w.engine.Ward()
				for _, p := range picture.Phones {
					holds := p.Phase == "bound" || p.Phase == "binding"
					for _, e := range list {
						if holds && (e == "clinician "+string(p.HolderID) || e == "phone "+string(p.ID)) {
							t.Fatalf("%s is %s to %s although revoked: %s\n%s", p.ID, p.Phase, p.HolderID, e, strings.Join(story, "\n"))
						}
					}
				}
				w.pass(time.Duration(r.IntN(2000)) * time.Millisecond)
			}
		})
	}
}

// The leaf of a policy says in numbers what changes, and names nobody.
func TestPolicyLeafSaysWhatChanges(t *testing.T) {
	inWard(t, func(w *ward) {
		first := w.records()[1]
		if first.Kind != gateway.PolicyLoaded || !strings.HasPrefix(first.Words, "people: 5 added, 0 removed, 0 changed; classes: ") || !strings.HasSuffix(first.Words, "readers: 2 added, 0 removed, 0 changed") {
			t.Errorf("the first policy's leaf is %+v", first)
		}
		w.must(gateway.LoadPolicy{Document: policyText(2, "ana", "ben")})
		all := w.records()
		if r := all[len(all)-1]; r.Words != "people: 0 added, 0 removed, 2 changed" {
			t.Errorf("the next one's leaf is %+v", r)
		}
		w.must(gateway.LoadPolicy{Document: policyText(3, "ana", "ben")})
		all = w.records()
		if r := all[len(all)-1]; r.Words != "nothing changes on this ward" {
			t.Errorf("the third one's leaf is %+v", r)
		}
	})
}
