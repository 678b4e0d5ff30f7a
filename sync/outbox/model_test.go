package outbox_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"tapward/gateway/audit"
)

// act is something that happens to a box, its broker or its hub. n is how much of it.
type act struct {
	name string
	n    int
	do   func(w *world, n int)
}

var acts = []act{
	{"records are committed", 600, func(w *world, n int) { w.commit(1 + n) }},
	{"one record is committed", 1, func(w *world, _ int) { w.commit(1) }},
	{"minutes pass", 25, func(w *world, n int) { <-time.After(time.Duration(n) * time.Minute) }},
	{"a second passes", 3, func(w *world, n int) { <-time.After(time.Duration(n) * time.Second) }},
	{"publishes go wrong", 4 * 4 * 4, func(w *world, n int) {
		w.broker.mu.Lock()
		defer w.broker.mu.Unlock()
		for ; n > 0; n /= 4 {
			w.broker.faults = append(w.broker.faults, fault(n%4))
		}
	}},
	{"the broker goes down", 1, func(w *world, _ int) { w.broker.setDown(true) }},
	{"the broker comes up", 1, func(w *world, _ int) { w.broker.setDown(false) }},
	{"the broker loses its newest messages", 5, func(w *world, n int) { w.broker.lose(n) }},
	{"the hub stops", 1, func(w *world, _ int) { w.hub.setPaused(true) }},
	{"the hub starts", 1, func(w *world, _ int) { w.hub.setPaused(false) }},
	{"the hub is backed up", 1, func(w *world, _ int) { w.hub.back() }},
	{"the hub is restored from a backup", 10, func(w *world, n int) { w.hub.restore(n) }},
	{"the hub refuses", 1, func(w *world, _ int) { w.hub.refuse("made-up reason") }},
	{"the hub takes again", 1, func(w *world, _ int) { w.hub.refuse("") }},
	{"the newest receipt is heard again", 1, func(w *world, _ int) { w.hub.tell() }},
	{"the outbox restarts", 1, func(w *world, _ int) { w.stopBox(); w.start() }},
	{"the box restarts", 1, func(w *world, _ int) { w.stop(); w.open(); w.start() }},
	{"a new epoch begins", 1, func(w *world, _ int) { w.newEpoch(audit.RolledBack) }},
}

// TestEveryRecordArrivesOnce puts a box, its broker and its hub through whatever may happen to them. In the end the hub
// has every record once and in order, and at no time is anything pruned that it never said it had.
func TestEveryRecordArrivesOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		type drawn struct {
			act
			n int
		}
		var plan []drawn
		for _, which := range rapid.SliceOfN(rapid.IntRange(0, len(acts)-1), 5, 30).Draw(r, "acts") {
			a := acts[which]
			plan = append(plan, drawn{a, rapid.IntRange(0, a.n).Draw(r, a.name)})
		}
		path := newPath(t)
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, path)
			defer w.stop()
			told := ""
			defer func() {
				if t.Failed() {
					t.Log(told)
				}
			}()
			for _, d := range plan {
				told += fmt.Sprintf("%s (%d)\n", d.name, d.n)
				d.do(w, d.n)
				w.prunedOnlyWhatWasClaimed()
			}
			w.heal()
			w.commit(1) // what came before must not need it, but a hub that was stopped hears of a gap by it
			w.await("everything arrives", w.arrived)
			<-time.After(2 * retention)
			w.commit(1)
			w.await("what came last arrives", w.arrived)
			<-time.After(time.Hour)
			if e := w.newest(); e.Size > 2 && e.Pruned != e.Size-1 {
				t.Errorf("of %d records that the hub has for long, those from %d on were not pruned", e.Size, e.Pruned)
			}
			w.prunedOnlyWhatWasClaimed()
			w.verify()
			if w.hub.twice > 0 {
				t.Errorf("%d records came twice", w.hub.twice)
			}
		})
	})
}

// heal ends everything that is wrong for now.
func (w *world) heal() {
	w.broker.mu.Lock()
	w.broker.faults = nil
	w.broker.mu.Unlock()
	w.broker.setDown(false)
	w.hub.refuse("")
	w.hub.setPaused(false)
}
