package vpcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebfe/scard"

	"tapward/gateway/isolate"
)

func TestMain(m *testing.M) { isolate.Main(m) }

// startDaemon starts a daemon that this process's library talks to. The library reads the path of the socket once, so
// it is the same for every test.
func startDaemon(t *testing.T, rig Rig) *Daemon {
	t.Helper()
	rig.Dir = t.TempDir()
	rig.SocketDir = filepath.Join(os.TempDir(), fmt.Sprintf("tapward-vpcd-%d", os.Getpid()))
	t.Cleanup(func() { os.RemoveAll(rig.SocketDir) })
	d, err := New(rig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	t.Setenv("PCSCLITE_CSOCK_NAME", d.Socket())
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func establish(t *testing.T) *scard.Context {
	t.Helper()
	c, err := scard.EstablishContext()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// awaitState waits until a reader has a card or none.
func awaitState(t *testing.T, c *scard.Context, name string, want scard.StateFlag) {
	t.Helper()
	states := []scard.ReaderState{{Reader: name}}
	for states[0].EventState&want == 0 {
		if err := c.GetStatusChange(states, 5*time.Second); err != nil {
			t.Fatalf("wait for state %X of %q: %v", want, name, err)
		}
		states[0].CurrentState = states[0].EventState &^ scard.StateChanged
	}
}

func ask(t *testing.T, c *scard.Context, name string, command []byte) []byte {
	t.Helper()
	card, err := c.Connect(name, scard.ShareShared, scard.ProtocolT0|scard.ProtocolT1)
	if err != nil {
		t.Fatal(err)
	}
	defer card.Disconnect(scard.LeaveCard)
	answer, err := card.Transmit(command)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// A foreign client sees the readers and reads the badge, in our network namespace and in one of the daemon's own.
func TestDaemonServesBadges(t *testing.T) {
	for _, apart := range []bool{false, true} {
		d := startDaemon(t, Rig{Readers: 3, Apart: apart})
		c := establish(t)
		names, err := c.ListReaders()
		if err != nil {
			t.Fatal(err)
		}
		for i, slot := range d.Slots() {
			if names[i] != slot.Name {
				t.Errorf("apart %v: reader %d is %q, the slot says %q", apart, i, names[i], slot.Name)
			}
		}
		slots, err := OpenSlots(d.rig.Dir) // as another process would
		if err != nil || len(slots) != 3 {
			t.Fatalf("apart %v: slots %v, %v", apart, slots, err)
		}
		uid := []byte{0x04, 1, 2, 3, 4, 5, 6}
		if err := slots[2].Insert(t.Context(), Card{UID: uid}); err != nil {
			t.Fatal(err)
		}
		awaitState(t, c, slots[2].Name, scard.StatePresent)
		if got := ask(t, c, slots[2].Name, []byte{0xFF, 0xCA, 0, 0, 0}); !bytes.Equal(got, append(uid, 0x90, 0)) {
			t.Errorf("apart %v: UID answer % X", apart, got)
		}
		if err := slots[2].Remove(); err != nil {
			t.Error(err)
		}
		awaitState(t, c, slots[2].Name, scard.StateEmpty)
		if err := c.Release(); err != nil {
			t.Error(err)
		}
		d.Close()
	}
}

// However soon a card goes and the next one comes, the daemon sees both.
func TestEveryInsertionIsSeen(t *testing.T) {
	d := startDaemon(t, Rig{Readers: 1})
	c := establish(t)
	defer c.Release()
	slot := d.Slots()[0]
	// The daemon does not wait for a counter that was 0, so it is asked again and again.
	counts := func(want uint16) (got uint16) {
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
			states := []scard.ReaderState{{Reader: slot.Name}}
			if err := c.GetStatusChange(states, time.Second); err != nil {
				t.Fatal(err)
			}
			if got = uint16(states[0].EventState >> 16); got == want {
				break
			}
		}
		return got
	}
	for i := range 2 {
		if err := slot.Insert(t.Context(), Card{UID: []byte{1, 2, 3, 4}}); err != nil {
			t.Fatal(err)
		}
		if err := slot.Remove(); err != nil {
			t.Fatal(err)
		}
		// Gone in the middle of a command.
		asked := make(chan struct{})
		hung := Card{UID: []byte{1, 2, 3, 4}, Answer: func(ctx context.Context, _ []byte) ([]byte, bool) {
			close(asked)
			<-ctx.Done()
			return nil, false
		}}
		if err := slot.Insert(t.Context(), hung); err != nil {
			t.Fatal(err)
		}
		client := establish(t)
		card, err := connect(client, slot.Name)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			card.Transmit([]byte{0xFF, 0xCA, 0, 0, 0})
		}()
		<-asked
		if err := slot.Remove(); err != nil {
			t.Fatal(err)
		}
		<-done
		card.Disconnect(scard.LeaveCard)
		client.Release()
		if err := slot.Insert(t.Context(), Card{UID: []byte{1, 2, 3, 4}}); err != nil {
			t.Fatal(err)
		}
		if err := slot.Remove(); err != nil {
			t.Fatal(err)
		}
		if want := uint16(6 * (i + 1)); counts(want) != want {
			t.Fatalf("round %d: the daemon counts %d insertions and removals, want %d", i, counts(want), want)
		}
	}
}

// connect waits for a card that was just tapped.
func connect(c *scard.Context, name string) (*scard.Card, error) {
	for deadline := time.Now().Add(5 * time.Second); ; {
		card, err := c.Connect(name, scard.ShareShared, scard.ProtocolT0|scard.ProtocolT1)
		if err == nil || time.Now().After(deadline) {
			return card, err
		}
	}
}

func TestDaemonDiesAndStartsAgain(t *testing.T) {
	d := startDaemon(t, Rig{Readers: 1})
	if err := d.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
	for _, end := range []func(){d.Kill, d.Stop, d.Kill} {
		if err := d.Slots()[0].Arm(t.Context(), Card{}); err != nil {
			t.Fatal(err)
		}
		ended := d.Ended()
		end()
		<-ended
		if d.Ended() != nil {
			t.Error("a daemon that does not run is to end")
		}
		end() // nothing runs any more
		if err := d.Slots()[0].Tap(); err != nil {
			t.Error(err)
		}
		<-d.Slots()[0].card.ended
		if err := d.Slots()[0].Remove(); err == nil {
			t.Error("a card whose driver has died was removed without a word")
		}
		if err := d.Slots()[0].Arm(t.Context(), Card{}); err == nil {
			t.Error("a card came near a driver that is gone")
		}
		if d.Freeze() == nil || d.Thaw() == nil {
			t.Error("froze what does not run")
		}
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDaemonRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		rig  Rig
		want string
	}{
		"no reader":       {Rig{Dir: t.TempDir()}, "1 to 16"},
		"too many":        {Rig{Dir: t.TempDir(), Readers: 17}, "1 to 16"},
		"below /run":      {Rig{Dir: "/run/ward", Readers: 1}, "below /run"},
		"a long path":     {Rig{Dir: filepath.Join(t.TempDir(), strings.Repeat("x", 100)), Readers: 1}, "shorter"},
		"a file in place": {Rig{Dir: os.Args[0], Readers: 1}, "not a directory"},
	} {
		if _, err := New(c.rig); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", what, err, c.want)
		}
	}
	d := startDaemon(t, Rig{Readers: 1})
	d.Kill()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Start(over); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("start with a context that is over: %v", err)
	}
	d.Kill()
	if err := os.RemoveAll(filepath.Join(d.driverDir())); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err == nil || !strings.Contains(err.Error(), d.driverDir()) {
		t.Errorf("start without drivers: %v", err)
	}
}
