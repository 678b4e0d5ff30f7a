package outbox_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
	"tapward/gateway/store"
	"tapward/sync/outbox"
	"tapward/sync/uplink"
)

// inWorld runs a test on a box, a broker and a hub in a bubble.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, path)
		defer w.stop()
		test(t, w)
	})
}

func TestRecordsArriveWithinASecond(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 5 {
			w.commit(3)
			<-time.After(time.Second)
			synctest.Wait()
			if !w.arrived() {
				t.Fatal("they did not arrive")
			}
		}
	})
}

// firstIndex is where the newest message's bundle begins.
func (b *broker) firstIndex(t testing.TB) int64 {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	bundle, err := audit.DecodeBundle(b.messages[len(b.messages)-1].Payload)
	must(t, err)
	return bundle.From()
}

// A broker that was made anew knows nothing, and the kept receipt is all there is to go on from.
func TestKeptReceiptOutlivesTheBroker(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.commit(300)
		w.await("they arrive", w.arrived)
		w.stop()
		w.broker.lose(1000)
		w.hub.newest = nil
		w.open()
		w.start()
		w.commit(7)
		w.await("they arrive", w.arrived)
		if from := w.broker.firstIndex(t); from != 300 {
			t.Errorf("went on from %d", from)
		}
	})
}

// With no receipt at all, the newest message at the broker says where to go on.
func TestBrokersNewestMessageOutlivesTheBox(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hub.setPaused(true)
		w.commit(10)
		w.await("they are sent", func() bool { return w.broker.count() == 1 })
		w.stop()
		w.open()
		w.start()
		w.commit(5)
		w.await("they are sent", func() bool { return w.broker.count() == 2 })
		if from := w.broker.firstIndex(t); from != 10 {
			t.Errorf("went on from %d", from)
		}
	})
}

func TestRefusalStopsAndShouts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.commit(10)
		w.await("they arrive", w.arrived)
		w.hub.refuse("made-up reason")
		w.commit(10)
		w.await("the refusal is known", func() bool { return strings.Contains(w.box.State().Trouble, "made-up reason") })
		if r := <-w.records; r.Kind != outbox.Changed || r.State != "refused" || !strings.Contains(r.Words, "made-up reason") {
			t.Errorf("recorded %+v", r)
		}
		sent := w.broker.count()
		w.commit(10)
		<-time.After(time.Hour)
		synctest.Wait()
		if w.broker.count() != sent {
			t.Error("it went on sending what is refused")
		}
		w.hub.refuse("")
		w.await("it goes on", w.arrived)
		if r := <-w.records; r.Kind != outbox.Changed || r.State != "taken-again" {
			t.Errorf("recorded %+v", r)
		}
		<-time.After(time.Minute)
		if s := w.box.State(); s.Trouble != "" || len(w.records) > 0 {
			t.Errorf("%+v, and %d more records", s, len(w.records))
		}
	})
}

// A request is obeyed until something was sent because of it, although nothing else is to be sent.
func TestRequestIsNotForgottenWhenSendingFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.commit(300)
		w.await("they arrive", w.arrived)
		w.broker.mu.Lock()
		w.broker.faults = []fault{dropped, dropped}
		w.broker.mu.Unlock()
		w.hub.mu.Lock()
		w.hub.archive = archive{}
		w.hub.answer(1, true)
		w.hub.mu.Unlock()
		w.await("they arrive again", w.arrived)
	})
}

func TestForkedEpochIsNotSigned(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.commit(10)
		w.await("they arrive", w.arrived)
		w.broker.setDown(true)
		w.commit(10)
		<-time.After(time.Minute)
		w.newEpoch(audit.Forked)
		w.broker.setDown(false)
		w.await("the new epoch arrives", func() bool { return w.hub.has(2) == 1 })
		if have := w.hub.has(1); have != 10 {
			t.Errorf("the hub has %d records of the forked epoch", have)
		}
		w.await("it is told", func() bool { return strings.Contains(w.box.State().Trouble, "forked") })
	})
}

func (h *hub) has(epoch uint32) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.archive.of(epoch).tree.Size()
}

// A hub that was restored from a backup older than the boxes' retention asks for what nobody has any more.
func TestRequestForPrunedRecordsIsTrouble(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.commit(100)
		w.await("they arrive", w.arrived)
		<-time.After(2 * retention)
		w.commit(1)
		w.await("they are pruned", func() bool { return w.newest().Pruned == 100 })
		if p := w.box.State().Pruned; p != 99 {
			t.Errorf("counted %d pruned records", p)
		}
		w.hub.back()
		w.hub.mu.Lock()
		newer := w.hub.backups[0].archive
		w.hub.archive = archive{}
		w.hub.answer(1, true)
		w.hub.mu.Unlock()
		w.await("it is told", func() bool { return strings.Contains(w.box.State().Trouble, "no longer has it") })
		if s := w.box.State(); s.Unstored != 100 { // the first of an epoch is never pruned
			t.Errorf("%+v", s)
		}
		w.hub.mu.Lock()
		w.hub.archive = newer
		w.hub.answer(1, false)
		w.hub.mu.Unlock()
		w.commit(1)
		w.await("it goes on", func() bool { return w.arrived() && w.box.State().Trouble == "" })
	})
}

// filling is a store on a disk that fills.
type filling struct {
	*store.Store
	mu   sync.Mutex
	used float64
}

func (f *filling) DiskUsed() (float64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used, nil
}

func TestFillingDiskIsRecordedOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		disk := &filling{Store: w.db}
		w.stopBox()
		w.change = func(c *outbox.Config) { c.Log = disk }
		w.start()
		for _, at := range []struct {
			used float64
			want string
		}{{0.5, ""}, {0.79, ""}, {0.8, outbox.Filling}, {0.9, ""}, {0.76, ""}, {0.81, ""}, {0.7, outbox.Eased}, {0.75, ""}} {
			disk.mu.Lock()
			disk.used = at.used
			disk.mu.Unlock()
			<-time.After(time.Minute)
			synctest.Wait()
			have := ""
			if len(w.records) > 0 {
				r := <-w.records
				if have = r.State; r.Kind != gateway.StorageChanged {
					t.Errorf("recorded %+v", r)
				}
			}
			if have != at.want || len(w.records) > 0 || w.box.State().Disk != at.used {
				t.Errorf("at %v: recorded %q and %d more; %+v", at.used, have, len(w.records), w.box.State())
			}
		}
	})
}

// A box whose log was put back finds its own newer promise at the broker and in the receipt.
func TestPromisesComeBackToTheLog(t *testing.T) {
	old := newPath(t)
	inWorld(t, func(t *testing.T, w *world) {
		w.commit(20)
		w.await("they arrive", w.arrived)
		w.stop()
		before := w.broker.count()

		w.path = old // another, younger log under the same name
		heard := make(chan audit.Head, 100)
		w.change = func(c *outbox.Config) {
			c.Witnessed = func(checkpoint string) {
				head, err := audit.OpenCheckpoint(checkpoint, w.keys.box)
				must(t, err)
				heard <- head
			}
		}
		w.open()
		w.commit(5)
		w.start()
		<-time.After(time.Minute)
		synctest.Wait()
		for range 2 { // the broker's and the hub's
			if head := <-heard; head.Size != 20 {
				t.Errorf("heard %+v", head)
			}
		}
		if w.broker.count() != before {
			t.Error("it sent another log over the one that is there")
		}
	})
}

func TestForgedReceiptsChangeNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.hub.setPaused(true)
		w.commit(20)
		w.await("they are sent", func() bool { return w.box.State().Unsent == 0 && w.broker.count() > 0 })
		head := w.db.Head()
		forged, err := audit.SignCheckpoint(address.Box, head, w.keys.signer)
		must(t, err)
		other := newKeys(t)
		cosigned, err := uplink.SignStored(forged, w.keys.box, other.cosigner)
		must(t, err)
		for name, r := range map[string]uplink.Receipt{
			"no cosignature": {Epoch: 1, Size: 20, Stored: forged}, "another hub's": {Epoch: 1, Size: 20, Stored: cosigned}, "no checkpoint": {Epoch: 1, Size: 20},
		} {
			in, err := r.Encode()
			must(t, err)
			w.box.Receipt(t.Context(), in)
			<-time.After(time.Minute)
			if s := w.box.State(); s.Unstored != 20 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		w.box.Receipt(t.Context(), []byte("{"))
		w.hub.setPaused(false)
		w.await("the true one is taken", func() bool { return w.box.State().Unstored == 0 })
	})
}

func TestLagIsCounted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.broker.setDown(true)
		since := time.Now()
		for range 10 {
			w.commit(30)
			<-time.After(time.Minute)
		}
		s := w.box.State()
		if s.Unsent != 300 || s.Unstored != 300 || !s.Oldest.Equal(since) || s.Bytes < 300*100 || s.Bytes > 300*1000 || !strings.Contains(s.Failing, "no answer") {
			t.Errorf("cut off: %+v", s)
		}
		w.hub.setPaused(true)
		w.broker.setDown(false)
		w.await("they are sent", func() bool { return w.box.State().Unsent == 0 })
		if s := w.box.State(); s.Unstored != 300 || s.Failing != "" || s.Bytes != 0 {
			t.Errorf("sent: %+v", s)
		}
		w.hub.setPaused(false)
		w.await("they are stored", func() bool { return w.box.State().Unstored == 0 })
		if s := w.box.State(); !s.Oldest.IsZero() {
			t.Errorf("stored: %+v", s)
		}
	})
}

// Records with long words are split by size, and the bundles fit.
func TestLargeRecordsTravelInSmallerBundles(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var entries []audit.Entry
		for range 300 {
			entries = append(entries, audit.Entry{At: time.Now(), Record: gateway.Record{Kind: gateway.OperatorActed, Words: strings.Repeat("word ", 2000)}})
		}
		_, err := w.db.Commit(context.Background(), session.State{Box: address.Box}, entries)
		must(t, err)
		w.await("they arrive", w.arrived)
		if n := w.broker.count(); n < 4 || n > 5 {
			t.Errorf("3 MB went in %d bundles", n)
		}
	})
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, c := range map[string]outbox.Config{"nothing": {}, "no keys": {Address: address}} {
		if _, err := outbox.New(c); err == nil || !strings.HasPrefix(err.Error(), "outbox: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ailing is a store whose log cannot be read for a while, and whose receipts cannot be written.
type ailing struct {
	*store.Store
	well atomic.Bool
}

var errDisk = errors.New("made-up disk error")

func (a *ailing) Outgoing(ctx context.Context) ([]audit.Outgoing, error) {
	if !a.well.Load() {
		return nil, errDisk
	}
	return a.Store.Outgoing(ctx)
}

func (a *ailing) KeepReceipt(ctx context.Context, epoch uint32, size int64, stored string) error {
	if !a.well.Load() {
		return errDisk
	}
	return a.Store.KeepReceipt(ctx, epoch, size, stored)
}

// The ward goes on when its outbox cannot, and the outbox goes on when it can again.
func TestLogThatCannotBeReadForAWhile(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.commit(10)
		w.await("they arrive", w.arrived)
		w.stopBox()
		log := &ailing{Store: w.db}
		w.change = func(c *outbox.Config) { c.Log = log }
		w.start()
		w.commit(10)
		w.await("it is told", func() bool { return strings.Contains(w.box.State().Failing, errDisk.Error()) })
		<-time.After(time.Hour)
		log.well.Store(true)
		w.await("they arrive", w.arrived)
		w.await("all is well", func() bool { s := w.box.State(); return s.Failing == "" && s.Unstored == 0 })
		w.await("the receipt is kept", func() bool {
			receipts, err := w.db.Receipts(t.Context())
			must(t, err)
			return len(receipts) == 1 && receipts[0].Size == 20
		})
	})
}

func TestRecordThatNoMessageHoldsIsTrouble(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.commit(3)
		_, err := w.db.Commit(context.Background(), session.State{Box: address.Box}, []audit.Entry{
			{At: time.Now(), Record: gateway.Record{Kind: gateway.OperatorActed, Words: strings.Repeat("x", audit.MaxBundleBytes)}},
		})
		must(t, err)
		w.await("it is told", func() bool { return strings.Contains(w.box.State().Trouble, "record 3 of epoch 1 cannot be sent") })
		if have := w.hub.has(1); have != 3 {
			t.Errorf("%d records came before it", have)
		}
	})
}
