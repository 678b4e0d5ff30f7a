package pcsc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ebfe/scard"

	"tapward/gateway"
	"tapward/reader"
	"tapward/reader/vpcd"
)

// ward is a source at work on the real daemon.
type ward struct {
	t      *testing.T
	daemon *vpcd.Daemon
	source *Source
	events chan reader.Event
	stop   context.CancelFunc
	ended  chan error
	log    *syncBuffer
}

const tooLong = 20 * time.Second

// startWard starts a source with the daemon's readers, supervised or not, and waits until all are up.
func startWard(t *testing.T, d *vpcd.Daemon, settling time.Duration, run func(*Source, context.Context, chan<- reader.Event) error) *ward {
	t.Helper()
	log := &syncBuffer{}
	source := quickSource(t, d, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	source.settling = max(source.settling, settling)
	ctx, stop := context.WithCancel(t.Context())
	w := &ward{t, d, source, make(chan reader.Event, 256), stop, make(chan error, 1), log}
	go func() { w.ended <- run(source, ctx, w.events) }()
	for range source.Readers() {
		w.await(gateway.ReaderUp)
	}
	return w
}

// end stops the run and says how long that took.
func (w *ward) end() time.Duration {
	w.t.Helper()
	begin := time.Now()
	w.stop()
	select {
	case err := <-w.ended:
		if !errors.Is(err, context.Canceled) {
			w.t.Errorf("run ended with %v", err)
		}
	case <-time.After(tooLong):
		w.t.Fatal("the run did not end")
	}
	return time.Since(begin)
}

func (w *ward) next() reader.Event {
	w.t.Helper()
	select {
	case e := <-w.events:
		return e
	case <-time.After(tooLong):
		w.t.Fatalf("nothing came; the log is\n%s", w.log)
		return nil
	}
}

// await waits for one status of that state; a tap meanwhile is a failure.
func (w *ward) await(state gateway.ReaderState) reader.Status {
	w.t.Helper()
	for {
		switch e := w.next().(type) {
		case reader.Status:
			if e.State == state {
				return e
			}
		default:
			w.t.Fatalf("waiting for %v: %+v", state, e)
		}
	}
}

// tapped waits for a tap of that number at that reader.
func (w *ward) tapped(id gateway.ReaderID, number []byte) gateway.Tap {
	w.t.Helper()
	for {
		if tap, ok := w.next().(reader.Tap); ok {
			if tap.Reader != id || !tap.Credential.Equal(gateway.NewCredential(gateway.UID, number)) {
				w.t.Fatalf("a tap at %q that was not made", tap.Reader)
			}
			return tap.Tap
		}
	}
}

// quiet fails if a tap has come that nobody waited for.
func (w *ward) quiet() {
	w.t.Helper()
	for {
		select {
		case e := <-w.events:
			if _, ok := e.(reader.Tap); ok {
				w.t.Fatal("a tap that nobody made, or one too many")
			}
		default:
			return
		}
	}
}

func insert(t testing.TB, s *vpcd.Slot, c vpcd.Card) {
	t.Helper()
	if err := s.Insert(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// armAll arms all slots, the i-th with number(i).
func armAll(t testing.TB, slots []*vpcd.Slot) {
	var arming sync.WaitGroup
	for i, slot := range slots {
		arming.Go(func() {
			if err := slot.Arm(t.Context(), vpcd.Card{UID: number(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	arming.Wait()
}

func tap(t testing.TB, s *vpcd.Slot) {
	t.Helper()
	if err := s.Tap(); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, s *vpcd.Slot) {
	t.Helper()
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func number(i int) []byte { return []byte{0x04, 0xC0, 0xFF, 0xEE, 0x10, 0x20, byte(i)} }

func TestEightReadersAtTheSameInstant(t *testing.T) {
	d := startDaemon(t, 8)
	w := startWard(t, d, 0, (*Source).Run)
	armAll(t, d.Slots())
	for _, slot := range d.Slots() {
		tap(t, slot)
	}
	seen := make(map[gateway.ReaderID]bool)
	for range d.Slots() {
		got := w.next().(reader.Tap)
		var i int
		fmt.Sscanf(string(got.Reader), "r%d", &i)
		if seen[got.Reader] || !got.Credential.Equal(gateway.NewCredential(gateway.UID, number(i-1))) {
			t.Errorf("reader %q gives another's badge, or twice", got.Reader)
		}
		seen[got.Reader] = true
	}
	if took := w.end(); took >= patience {
		t.Errorf("stopping a run that waits took %v", took)
	}
	w.quiet()
	if log := strings.ToLower(w.log.String()); strings.Contains(log, "04c0ffee") || strings.Contains(log, "04 c0 ff ee") {
		t.Errorf("a badge number stands in the log:\n%s", log)
	}
}

// gated holds the watcher up before each wait, once closed.
type gated struct {
	daemon
	gate chan struct{}
}

type gatedConnection struct {
	connection
	gate chan struct{}
}

func (g gated) establish(ctx context.Context) (connection, error) {
	c, err := g.daemon.establish(ctx)
	return gatedConnection{c, g.gate}, err
}

func (c gatedConnection) GetStatusChange(states []scard.ReaderState, timeout time.Duration) error {
	c.gate <- struct{}{}
	<-c.gate
	return c.connection.GetStatusChange(states, timeout)
}

func TestRemovedAndTappedAgainBetweenTwoWaits(t *testing.T) {
	d := startDaemon(t, 1)
	gate := make(chan struct{})
	open := make(chan struct{})
	hold := make(chan chan struct{}) // asks for the watcher to be held; answered when it is
	go func() {
		for {
			select {
			case <-gate:
				gate <- struct{}{}
			case held := <-hold:
				<-gate
				held <- struct{}{}
				<-held
				gate <- struct{}{}
			case <-open:
				return
			}
		}
	}()
	w := startWard(t, d, 0, func(s *Source, ctx context.Context, out chan<- reader.Event) error {
		s.daemon = gated{s.daemon, gate}
		return s.Run(ctx, out)
	})
	slot := d.Slots()[0]
	insert(t, slot, vpcd.Card{UID: number(1)})
	w.tapped("r1", number(1))

	held := make(chan struct{})
	hold <- held
	<-held
	remove(t, slot)
	insert(t, slot, vpcd.Card{UID: number(1)})
	awaitCard(t, slot.Name)
	held <- struct{}{}
	w.tapped("r1", number(1))

	remove(t, slot)
	insert(t, slot, vpcd.Card{UID: number(2)})
	w.tapped("r1", number(2))
	w.end()
	w.quiet()
	close(open)
}

// awaitCard waits, as another program does, until the daemon knows of a card in a reader. It does not use
// GetStatusChange, which this process may not call twice at a time.
func awaitCard(t *testing.T, name string) {
	t.Helper()
	c, err := scard.EstablishContext()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	for deadline := time.Now().Add(tooLong); time.Now().Before(deadline); {
		card, err := c.Connect(name, scard.ShareShared, scard.ProtocolT0|scard.ProtocolT1)
		if err == nil {
			card.Disconnect(scard.LeaveCard)
			return
		}
	}
	t.Fatal("the card was never seen")
}

func TestLyingThereAtStartAndAfterTheDaemonsReturn(t *testing.T) {
	d := startDaemon(t, 1)
	slot := d.Slots()[0]
	insert(t, slot, vpcd.Card{UID: number(1)})
	awaitCard(t, slot.Name)
	w := startWard(t, d, settling, (*Source).Run)
	remove(t, slot)
	insert(t, slot, vpcd.Card{UID: number(1)})
	w.tapped("r1", number(1))

	d.Kill()
	if err := <-w.ended; err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("run ended with %v when the daemon died", err)
	}
	slot.Remove() // its driver is gone
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	insert(t, slot, vpcd.Card{UID: number(1)})
	awaitCard(t, slot.Name)
	w = startWard(t, d, settling, (*Source).Run)
	remove(t, slot)
	insert(t, slot, vpcd.Card{UID: number(2)})
	w.tapped("r1", number(2))
	w.end()
	w.quiet()
}

func supervised(s *Source, ctx context.Context, out chan<- reader.Event) error {
	return reader.Supervise(ctx, s.log, s, out, func(wait time.Duration) time.Duration { return wait })
}

func TestDaemonKilledFiveTimes(t *testing.T) {
	d := startDaemon(t, 8)
	w := startWard(t, d, 0, supervised)
	sockets := len(daemonSockets())
	for range 5 {
		killed := time.Now()
		d.Kill()
		for range d.Slots() {
			if s := w.await(gateway.ReaderDown); s.Reason != gateway.ReaderUnplugged || !strings.Contains(s.Note, "is pcscd running") {
				t.Errorf("down: %+v", s)
			}
		}
		noticed := time.Since(killed)
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		for range d.Slots() {
			if s := w.await(gateway.ReaderUp); s.Reason != gateway.ReaderRecovered {
				t.Errorf("up again: %+v", s)
			}
		}
		t.Logf("down after %v, up %v after the daemon", noticed.Round(time.Millisecond), time.Since(started).Round(time.Millisecond))
		if noticed > time.Second {
			t.Errorf("the daemon's death was noticed after %v", noticed)
		}
	}
	if now := len(daemonSockets()); now > sockets {
		t.Errorf("%d sockets to the daemon are open, %d were at first", now, sockets)
	}
	insert(t, d.Slots()[5], vpcd.Card{UID: number(5)})
	w.tapped("r6", number(5))
	d.Stop()
	w.await(gateway.ReaderDown)
	w.end()
}

// hanging is a card that does not answer for that long, the first time it is asked.
func hanging(uid []byte, span time.Duration, asked chan<- struct{}) vpcd.Card {
	var once sync.Once
	return vpcd.Card{UID: uid, Answer: func(ctx context.Context, _ []byte) ([]byte, bool) {
		once.Do(func() {
			asked <- struct{}{}
			select {
			case <-ctx.Done():
			case <-time.After(span):
			}
		})
		return nil, false
	}}
}

func TestCardThatHangs(t *testing.T) {
	d := startDaemon(t, 4)
	w := startWard(t, d, 0, (*Source).Run)
	armAll(t, d.Slots()[1:])
	asked := make(chan struct{}, 1)
	insert(t, d.Slots()[0], hanging(number(0), 3*time.Second, asked))
	<-asked
	begin := time.Now()
	for i := 1; i < 4; i++ {
		tap(t, d.Slots()[i])
		w.tapped(gateway.ReaderID(fmt.Sprintf("r%d", i+1)), number(i-1))
	}
	if took := time.Since(begin); took > budget/2 {
		t.Errorf("the others' taps took %v", took)
	}
	if s := w.await(gateway.ReaderDegraded); s.Reader != "r1" || s.Reason != gateway.ReaderSlow || s.Note == "" {
		t.Errorf("degraded: %+v", s)
	}
	if took := time.Since(begin); took < budget/2 || took > 2*budget {
		t.Errorf("degraded after %v, want about %v", took, budget)
	}
	remove(t, d.Slots()[0])
	insert(t, d.Slots()[0], vpcd.Card{UID: number(7)})
	w.tapped("r1", number(7))
	if s := w.await(gateway.ReaderUp); s.Reader != "r1" || s.Reason != gateway.ReaderRecovered {
		t.Errorf("recovered: %+v", s)
	}
	w.end()
}

func TestStopWhileACardHangs(t *testing.T) {
	d := startDaemon(t, 2)
	w := startWard(t, d, 0, (*Source).Run)
	asked := make(chan struct{}, 1)
	insert(t, d.Slots()[0], hanging(number(0), 10*time.Second, asked))
	<-asked
	if took := w.end(); took > budget/2 {
		t.Errorf("stopping took %v", took)
	}
	w.quiet()
	if left := len(daemonSockets()); left != 0 {
		t.Errorf("%d sockets to the daemon are left open", left)
	}
}

func TestStopWhileTheDaemonIsFrozen(t *testing.T) {
	d := startDaemon(t, 2)
	w := startWard(t, d, 0, (*Source).Run)
	if err := d.Freeze(); err != nil {
		t.Fatal(err)
	}
	if took := w.end(); took > 4*patience {
		t.Errorf("stopping took %v", took)
	}
	if err := d.Thaw(); err != nil {
		t.Fatal(err)
	}
	if left := len(daemonSockets()); left != 0 {
		t.Errorf("%d sockets to the daemon are left open", left)
	}
}

// Whoever is done with the daemon when it hangs is not held up by it.
func TestReleaseWhileTheDaemonIsFrozen(t *testing.T) {
	d := startDaemon(t, 2)
	conn, err := (&library{}).establish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Freeze(); err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	go func() { released <- conn.Release() }()
	select {
	case err := <-released:
		if err != nil {
			t.Errorf("released with %v", err)
		}
	case <-time.After(tooLong):
		t.Error("the release waits for a daemon that hangs")
	}
	if err := d.Thaw(); err != nil {
		t.Fatal(err)
	}
	if left := len(daemonSockets()); left != 0 {
		t.Errorf("%d sockets to the daemon are left open", left)
	}
}

func TestConnectedTellsNames(t *testing.T) {
	d := startDaemon(t, 2)
	names, err := Connected(t.Context())
	if err != nil || len(names) != 2 || names[0] != d.Slots()[0].Name {
		t.Errorf("connected: %q, %v", names, err)
	}
	d.Kill()
	if _, err := Connected(t.Context()); err == nil || !strings.Contains(err.Error(), "is pcscd running") {
		t.Errorf("without a daemon: %v", err)
	}
}
