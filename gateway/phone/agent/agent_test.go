package agent_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/link"
)

func TestBindThatWaitedWhileThePhoneSlept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west")
		w := r.boxes["west"].link("")
		w.hear()
		synctest.Wait() // its ack is heard, so the pipe is empty
		r.gesture("sleep", "")
		m := w.bind()
		w.write(m)
		<-time.After(link.ChallengeLife + time.Second)
		if err := r.phone.Gesture(t.Context(), agent.Gesture{Do: "dock", With: "1"}); !errors.Is(err, agent.ErrAsleep) {
			t.Errorf("a gesture to a sleeping phone: %v", err)
		}
		r.gesture("wake", "")
		if c := w.receipt(m.ID); c.Kind != gateway.Declined || c.Reason != link.StaleChallenge || c.Truth.Fence != 0 {
			t.Fatalf("the bind that waited: %+v", c)
		}
		if open, _, acts := r.device.stands(); open || acts > 0 {
			t.Fatal("the device did something")
		}
		w.want(w.bind(), gateway.Bound, "")
		r.stop()
	})
}

func TestReplayAndLowerFence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west")
		w := r.boxes["west"].link("")
		old := w.bind()
		w.want(old, gateway.Bound, "")
		w.want(w.order(gateway.Release), gateway.Cleared, "")
		old.ID, old.Challenge = link.NewNonce(), w.challenge
		w.want(old, gateway.Declined, link.FenceMismatch)
		low := w.order(gateway.Release)
		low.Expect, low.Next = 1, 2
		w.want(low, gateway.Declined, link.FenceMismatch)
		if got := r.store.last().Fence; got != 2 {
			t.Errorf("fence %d was stored, want 2", got)
		}
		r.stop()
	})
}

func TestTwoBoxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west", "east")
		west, east := r.boxes["west"].link(""), r.boxes["east"].link("")
		west.want(west.bind(), gateway.Bound, "")
		late := east.bind() // east still believes that the fence is 0
		east.want(late, gateway.Declined, link.FenceMismatch)
		east.want(east.bind(), gateway.Declined, link.SessionPresent)
		forged := east.bind()
		forged.Grant = west.bind().Grant
		east.want(forged, gateway.Declined, link.SessionPresent)
		east.want(east.order(gateway.Renew), gateway.Renewed, "") // any box of the site may
		east.want(east.order(gateway.Release), gateway.Cleared, "")
		east.want(east.bind(), gateway.Bound, "")
		if east.truth.Box != "east" {
			t.Errorf("the session is %s's", east.truth.Box)
		}
		r.stop()
	})
}

func TestDeadBoxLocksAtLeaseEndAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west", "east")
		west := r.boxes["west"].link("")
		west.want(west.bind(), gateway.Bound, "")
		began := time.Now()
		west.die()
		for {
			v, changed := r.phone.View()
			if v.Screen == agent.ScreenLocked {
				if v.Name != "Demo Nurse" || v.Why != gateway.LeaseEnded.Sentence() {
					t.Errorf("locked as %+v", v)
				}
				break
			}
			<-changed
		}
		if after := time.Since(began); after != 60*time.Second {
			t.Errorf("locked after %v, want the lease of 1m0s", after)
		}
		east := r.boxes["east"].link("")
		if !east.truth.Locked || east.truth.Box != "west" || east.hello.Held == "" {
			t.Fatalf("custody was lost: %+v", east.truth)
		}
		east.want(east.unlock(), gateway.Renewed, "")
		if open, holds, _ := r.device.stands(); !open || !holds {
			t.Error("the device is not open again with what the session had")
		}
		r.stop()
	})
}

func TestReboot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west")
		w := r.boxes["west"].link("")
		w.want(w.bind(), gateway.Bound, "")
		r.restart("boot-2", 20*time.Second)
		w = r.boxes["west"].link("")
		synctest.Wait()
		if open, holds, _ := r.device.stands(); open || !holds {
			t.Errorf("after a reboot the device is open=%v, holds=%v", open, holds)
		}
		if w.truth.Grant.IsZero() || w.hello.LeaseLeft != 0 {
			t.Errorf("after a reboot the hello says %+v, %d s left", w.truth, w.hello.LeaseLeft)
		}
		w.want(w.unlock(), gateway.Renewed, "")
		r.stop()
	})
}

// TestKilledBetweenStoringAndActing ends the agent after it stored a command and before the device did anything.
func TestKilledBetweenStoringAndActing(t *testing.T) {
	for _, kind := range []gateway.CommandKind{gateway.Bind, gateway.Release} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { killedInBetween(t, kind) })
		})
	}
}

func killedInBetween(t *testing.T, kind gateway.CommandKind) {
	r := newRig(t, "west")
	w := r.boxes["west"].link("")
	m := w.bind()
	if kind == gateway.Release {
		w.want(m, gateway.Bound, "")
		m = w.order(gateway.Release)
	}
	act := map[gateway.CommandKind]string{gateway.Bind: "open", gateway.Release: "clear"}[kind]
	r.device.set(func() { r.device.gate[act] = make(chan struct{}) })
	w.write(m)
	for w.truth.Fence = 0; r.store.last().Pending == nil; {
		w.hear()
	}
	r.device.set(func() { delete(r.device.gate, act) })
	r.restart("boot-1", 0)
	synctest.Wait()
	if s := r.store.last(); s.Fence != m.Next || s.Pending != nil {
		t.Fatalf("after the restart fence %d, pending %+v", s.Fence, s.Pending)
	}
	if open, holds, _ := r.device.stands(); open != (kind == gateway.Bind) || holds != (kind == gateway.Bind) {
		t.Fatalf("after the restart the device is open=%v, holds=%v", open, holds)
	}
	w = r.boxes["west"].link("")
	want := map[gateway.CommandKind]gateway.ReceiptKind{gateway.Bind: gateway.Bound, gateway.Release: gateway.Cleared}[kind]
	w.want(m, want, "") // repeated under its id
	if again := r.store.last().Fence; again != m.Next {
		t.Errorf("the repeated command moved the fence to %d", again)
	}
	r.stop()
}

func TestDeviceFails(t *testing.T) {
	broken := errors.New("broken")
	for name, does := range map[string]bool{"did not happen": false, "happened and said it failed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "west")
				w := r.boxes["west"].link("")
				fail := func(act string, err error) {
					r.device.set(func() { r.device.fails[act], r.device.does[act] = err, does })
				}

				fail("open", broken)
				if c := w.want(w.bind(), gateway.Declined, link.DeviceFailed); c.Truth != (gateway.Truth{Fence: 1}) {
					t.Errorf("a bind that failed leaves %+v", c.Truth)
				}
				if open, holds, _ := r.device.stands(); open || holds {
					t.Error("a bind that failed was not cleared")
				}
				fail("open", nil)
				w.want(w.bind(), gateway.Bound, "")

				fail("lock", broken)
				if c := w.want(w.order(gateway.Lock), gateway.Declined, link.DeviceFailed); c.Truth.Locked {
					t.Error("called locked although the device did not say so")
				}
				fail("lock", nil)
				if c := w.receipt(""); c.Kind != gateway.Locked || !c.Truth.Locked {
					t.Errorf("the lock that was owed: %+v", c)
				}

				fail("clear", broken)
				w.want(w.order(gateway.Release), gateway.ClearFailed, gateway.PhoneNotCleared)
				w.want(w.bind(), gateway.Declined, gateway.PhoneNotCleared)
				w.want(w.unlock(), gateway.Declined, link.NoSession)
				if v, _ := r.phone.View(); v.Screen != agent.ScreenOutOfService || v.Name != "" {
					t.Errorf("the screen shows %+v", v)
				}
				fail("clear", nil)
				w.want(w.order(gateway.Release), gateway.Cleared, "")
				w.want(w.bind(), gateway.Bound, "")
				r.stop()
			})
		})
	}
}

// TestStateCannotBeStored: nothing is done, what is there is locked, and the agent ends.
func TestStateCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west")
		w := r.boxes["west"].link("")
		w.want(w.bind(), gateway.Bound, "")
		full := errors.New("disk is gone")
		r.store.fail(full)
		w.write(w.order(gateway.Release))
		synctest.Wait()
		if err := r.stop(); !errors.Is(err, full) {
			t.Fatalf("ended with %v", err)
		}
		if open, holds, _ := r.device.stands(); open || !holds {
			t.Errorf("the device is open=%v, holds=%v: want it locked and not cleared", open, holds)
		}
	})
}

// TestCommandsWaitForTheDevice: while a bind is being carried out its repeats start nothing, and a release waits.
func TestCommandsWaitForTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west")
		w := r.boxes["west"].link("")
		gate := make(chan struct{})
		r.device.set(func() { r.device.gate["open"] = gate })
		m := w.bind()
		w.write(m)
		w.write(m)
		end := w.order(gateway.Release)
		end.Expect, end.Next, end.Digest = m.Next, m.Next+1, m.Digest
		w.write(end)
		w.write(link.Ping{})
		synctest.Wait()
		if s := r.store.last(); s.Fence != 1 || s.Pending == nil {
			t.Fatalf("fence %d, pending %v", s.Fence, s.Pending)
		}
		close(gate)
		if c := w.receipt(m.ID); c.Kind != gateway.Bound {
			t.Fatalf("bind: %+v", c)
		}
		if c := w.receipt(end.ID); c.Kind != gateway.Cleared || c.Truth.Fence != 2 {
			t.Fatalf("release: %+v", c)
		}
		r.device.set(func() {
			if got := r.device.acts; len(got) != 2 || got[0] != "open" || got[1] != "clear" {
				t.Errorf("the device did %v", got)
			}
		})
		r.stop()
	})
}

func TestStatusAndCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west")
		w := r.boxes["west"].link("box\n5\nroot\n")
		w.hear()
		r.gesture("dock", "3")
		for w.status.Slot != "3" {
			w.hear()
		}
		if !w.status.Charging || w.status.PickedUp || !w.status.Healthy {
			t.Errorf("docked: %+v", w.status)
		}
		r.gesture("undock", "")
		r.gesture("present", "door")
		for w.status.Presented != "door" {
			w.hear()
		}
		presented := time.Now()
		for w.status.Presented != "" {
			w.hear()
		}
		if lapsed := time.Since(presented); lapsed != 10*time.Second || !w.status.PickedUp {
			t.Errorf("presented for %v, picked up %v", lapsed, w.status.PickedUp)
		}
		w.write(link.Ack{Checkpoint: "box\n9\nroot\n"})
		w.write(link.Ack{Checkpoint: "box\n7\nroot\n"})
		w.write(link.Ack{Checkpoint: "no checkpoint"})
		w.hear()
		w.hear() // the regular status stores what may wait
		r.restart("boot-1", 0)
		w = r.boxes["west"].link("")
		if got := w.hello.Checkpoints["west"]; got != "box\n9\nroot\n" {
			t.Errorf("the hello returns %q", got)
		}
		r.stop()
	})
}

// left is what tells a phone that came back to a dock from one that never went: it lasts through links and restarts, and
// ends with the session.
func TestLeftItsDock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west")
		w := r.boxes["west"].link("")
		says := func(slot string, left bool) {
			t.Helper()
			for range 3 { // one may be under way, and there is one every few seconds
				w.hear()
			}
			if w.status.Slot != slot || w.status.Left != left {
				t.Errorf("it says slot %q, left %v; want %q, %v", w.status.Slot, w.status.Left, slot, left)
			}
		}
		r.gesture("dock", "3")
		w.want(w.bind(), gateway.Bound, "")
		r.gesture("use", "")
		for !w.status.PickedUp {
			w.hear()
		}
		if w.status.Left {
			t.Error("used in its dock, it says that it left it")
		}
		w.die()
		w = r.boxes["west"].link("")
		for w.status.Slot != "3" {
			w.hear()
		}
		if w.status.Left {
			t.Error("on a new link it says that it left its dock")
		}
		r.gesture("undock", "")
		says("", true)
		r.restart("boot-1", 0)
		w = r.boxes["west"].link("")
		r.gesture("dock", "4")
		says("4", true)
		w.want(w.order(gateway.Release), gateway.Cleared, "")
		says("4", false)
		r.gesture("undock", "")
		w.want(w.bind(), gateway.Bound, "")
		r.gesture("dock", "3") // at once, and never used
		says("3", true)
		r.stop()
	})
}

func TestLinksEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west")
		w := r.boxes["west"].link("")
		r.gesture("offline", "")
		expectEnd(t, w, "offline")
		r.gesture("online", "")
		w = r.boxes["west"].link("") // dialled again
		r.gesture("drop", "")
		expectEnd(t, w, "drop")
		w = r.boxes["west"].link("")
		began := time.Now() // nothing is acknowledged from here on
		expectEnd(t, w, "silence")
		if after := time.Since(began); after < link.DeadAfter || after > link.DeadAfter+link.StatusEvery {
			t.Errorf("a silent box lost its link after %v", after)
		}
		w = r.boxes["west"].link("")
		if err := r.phone.Trust(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		expectEnd(t, w, "no longer trusted")
		if err := r.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// expectEnd reads until the phone closed the link.
func expectEnd(t *testing.T, w *talk, why string) {
	t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		if _, err := w.conn.Read(); err != nil {
			if timeout := interface{ Timeout() bool }(nil); errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatalf("%s: the link stands", why)
			}
			return
		}
	}
}
