package pcsc

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/isolate"
	"tapward/reader/readertest"
	"tapward/reader/vpcd"
)

func TestMain(m *testing.M) { isolate.Main(m) }

// startDaemon starts the real pcscd with virtual readers, reached by this process alone. The library reads the path of
// the socket once, so it is the same for every test.
func startDaemon(t testing.TB, readers int) *vpcd.Daemon {
	t.Helper()
	socketDir := filepath.Join(os.TempDir(), fmt.Sprintf("tapward-pcsc-%d", os.Getpid()))
	if err := os.MkdirAll(socketDir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(socketDir) })
	d, err := vpcd.New(vpcd.Rig{Dir: t.TempDir(), Readers: readers, SocketDir: socketDir})
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

// configFor names a daemon's readers r1, r2, …
func configFor(d *vpcd.Daemon) Config {
	var c Config
	for i, slot := range d.Slots() {
		c.Readers = append(c.Readers, Reader{gateway.ReaderID(fmt.Sprintf("r%d", i+1)), slot.Name})
	}
	return c
}

// quickSource is a source for a daemon's readers that does not wait long after each start for a badge to be found: here
// none lies there but where a test puts one.
func quickSource(t testing.TB, d *vpcd.Daemon, log *slog.Logger) *Source {
	t.Helper()
	source, err := New(configFor(d), log)
	if err != nil {
		t.Fatal(err)
	}
	source.settling = 20 * time.Millisecond
	return source
}

func TestExamOnRealDaemon(t *testing.T) {
	readertest.Run(t, func(t *testing.T, log *slog.Logger) *readertest.Stage {
		d := startDaemon(t, 2)
		source := quickSource(t, d, log)
		return &readertest.Stage{
			Source: source, Equipment: &virtualEquipment{t, d, d.Slots()[0], false}, Reader: "r1",
			Origin: gateway.OriginPCSC, Kind: gateway.UID, Badges: badges,
		}
	})
}

// virtualEquipment unplugs the whole daemon: vpcd's readers cannot go one by one.
type virtualEquipment struct {
	t    *testing.T
	d    *vpcd.Daemon
	slot *vpcd.Slot
	lies bool
}

func (e *virtualEquipment) insert(c vpcd.Card) {
	e.lies = true
	if err := e.slot.Insert(e.t.Context(), c); err != nil {
		e.t.Fatal(err)
	}
}

func (e *virtualEquipment) Present(number []byte) { e.insert(vpcd.Card{UID: number}) }

func (e *virtualEquipment) Remove() {
	e.lies = false
	if err := e.slot.Remove(); err != nil {
		e.t.Fatal(err)
	}
}

func (e *virtualEquipment) Babble() {
	e.insert(vpcd.Card{ATR: []byte{0x3B, 0x80, 0x80, 0x01, 0x02}})
	e.Remove()
}

func (e *virtualEquipment) Unplug() {
	if e.lies {
		e.Remove()
	}
	e.d.Kill()
}

func (e *virtualEquipment) Replug() {
	if err := e.d.Start(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
}
