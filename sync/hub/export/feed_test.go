package export_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/export"
	"tapward/sync/hub/export/exporttest"
)

var engines databasetest.Engines

func TestMain(m *testing.M) { engines.Main(m) }

// receiver is a target that does as it is told.
type receiver struct {
	mu      sync.Mutex
	got     []int64          // places, as often as they came
	refuses map[int64]string // records, for what they are
	all     string           // refuses everything
	down    error            // before anything happened
	lost    error            // the answer, after it took the first half
	silent  bool             // it does not confirm
	closed  int
	asked   chan struct{} // gets a token for each delivery, where somebody listens
}

func (r *receiver) Confirms() bool { return !r.silent }

func (r *receiver) Close() error {
	r.set(func(r *receiver) { r.closed++ })
	return nil
}

func (r *receiver) Deliver(_ context.Context, records []export.Record) (answers []export.Answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		select {
		case r.asked <- struct{}{}:
		default:
		}
	}()
	if r.down != nil {
		return nil, r.down
	}
	for i, one := range records {
		words := r.refuses[one.Seq]
		if words == "" {
			words = r.all
		}
		if words == "" {
			r.got = append(r.got, one.Seq)
		}
		answers = append(answers, export.Answer{Refused: words})
		if r.lost != nil && i >= len(records)/2 {
			return answers[:len(answers)-1], r.lost
		}
	}
	return answers, nil
}

func (r *receiver) set(change func(r *receiver)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

type rig struct {
	*export.Exporter
	archive *exporttest.Archive
	target  *receiver
	stop    func()
}

func records(t testing.TB, from, to int64) (all []export.Record) {
	t.Helper()
	for i := from; i <= to; i++ {
		r, err := exporttest.Of(i-1, exporttest.Entry(i, gateway.SessionOpened))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func open(t *testing.T, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// start runs one feed until the test or stop ends it.
func start(t *testing.T, db *database.DB, archive *exporttest.Archive, target *receiver, change func(*export.Feed)) *rig {
	t.Helper()
	target.asked = make(chan struct{}, 1000)
	f := export.Feed{Name: "siem", Target: target, Batch: 10, Patience: 5}
	if change != nil {
		change(&f)
	}
	e, err := export.New(export.Config{
		Database: db, Archive: archive, Feeds: []export.Feed{f}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Poll: 5 * time.Millisecond, First: time.Millisecond, Most: 4 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	r := &rig{e, archive, target, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})}
	t.Cleanup(r.stop)
	return r
}

// until asks the ledger after each delivery or look of the feed, until it stands as wanted.
func (r *rig) until(t *testing.T, what string, ok func(export.Standing) bool) export.Standing {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for {
		s, err := r.Standing(t.Context(), "siem")
		if err != nil && !errors.Is(err, export.ErrNoFeed) {
			t.Fatal(err)
		}
		if err == nil && ok(s) {
			return s
		}
		select {
		case <-end:
			t.Fatalf("%s: the feed stands at %+v", what, s)
		case <-r.target.asked:
		case <-tick.C:
		}
	}
}

func at(place int64) func(export.Standing) bool {
	return func(s export.Standing) bool { return s.Place == place }
}

func (r *rig) got(want ...int64) error {
	r.target.mu.Lock()
	defer r.target.mu.Unlock()
	if !slices.Equal(r.target.got, want) {
		return fmt.Errorf("the receiver got %v, want %v", r.target.got, want)
	}
	r.target.got = nil
	return nil
}

func run(from, to int64) (places []int64) {
	for i := from; i <= to; i++ {
		places = append(places, i)
	}
	return places
}

// TestEachRecordOnce delivers across a restart, and across the retention.
func TestEachRecordOnce(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		db, archive, target := open(t, url), &exporttest.Archive{}, &receiver{}
		archive.Add(records(t, 1, 25)...)
		first := start(t, db, archive, target, nil)
		first.until(t, "25 records", at(25))
		first.stop()
		if target.closed != 1 {
			t.Errorf("the receiver was closed %d times", target.closed)
		}
		archive.Add(records(t, 26, 60)...)
		archive.Drop(40)
		second := start(t, db, archive, target, nil)
		s := second.until(t, "60 records", at(60))
		if s.Delivered != 45 || s.Sent != 0 || s.Dead != 0 || s.Trouble != "" || s.Answered.IsZero() || s.Lag(60) != 0 {
			t.Errorf("stands at %+v", s)
		}
		if err := second.got(append(run(1, 25), run(41, 60)...)...); err != nil {
			t.Error(err)
		}
		archive.Add(records(t, 61, 70)...)
		archive.Drop(70)
		if s := second.until(t, "what is no longer kept", at(70)); s.Delivered != 45 {
			t.Errorf("stands at %+v", s)
		}
	})
}

// TestARefusedRecordDoesNotStopTheOthers sees the receiver's words, and the record delivered later.
func TestARefusedRecordDoesNotStopTheOthers(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		target := &receiver{refuses: map[int64]string{7: "422 no\nsource", 8: "422 nothing", 9: "422 never"}}
		r := start(t, open(t, url), &exporttest.Archive{}, target, nil)
		r.archive.Add(records(t, 1, 12)...)
		r.Wake()
		s := r.until(t, "12 records", at(12))
		dead, err := r.Dead(ctx, "siem", 0, 10)
		if err != nil || len(dead) != 3 || s.Dead != 3 || s.Delivered != 9 {
			t.Fatalf("%d dead letters, %v, %+v", len(dead), err, s)
		}
		d := dead[0]
		if d.Seq != 7 || d.Record != "north/box-1/2/6" || d.Kind != "session.opened" || d.Words != "422 no source" || d.Times != 1 || d.First.IsZero() {
			t.Errorf("dead letter %+v", d)
		}
		target.set(func(r *receiver) { delete(r.refuses, 7); r.refuses[9] = "422 still not" })
		if n, err := r.Retry(ctx, "siem", 7, 9); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		r.until(t, "another try", func(s export.Standing) bool { return s.Dead == 2 && s.Delivered == 10 })
		r.until(t, "the other try", func(export.Standing) bool {
			dead, err = r.Dead(ctx, "siem", 8, 10)
			return err == nil && len(dead) == 1 && dead[0].Times == 2
		})
		if dead[0].Words != "422 still not" || dead[0].Retry || !dead[0].Last.After(dead[0].First) {
			t.Errorf("dead letter %+v", dead[0])
		}
		if n, err := r.Dismiss(ctx, "siem", 9); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		r.archive.Drop(12)
		if n, err := r.Retry(ctx, "siem"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		r.until(t, "a record that is gone", func(export.Standing) bool {
			dead, err = r.Dead(ctx, "siem", 0, 10)
			return err == nil && len(dead) == 1 && dead[0].Times == 2
		})
		if !strings.Contains(dead[0].Words, "no longer keeps") {
			t.Errorf("dead letter %+v", dead[0])
		}
	})
}

// TestAReceiverThatIsAway fails in both ways: before it took anything, and after it took some.
func TestAReceiverThatIsAway(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		target := &receiver{down: errors.New("503 down")}
		r := start(t, open(t, url), &exporttest.Archive{}, target, nil)
		r.archive.Add(records(t, 1, 10)...)
		s := r.until(t, "down", func(s export.Standing) bool { return s.Trouble != "" })
		if s.Place != 0 || s.Trouble != "503 down" || s.Troubled.IsZero() || s.Dead != 0 {
			t.Errorf("stands at %+v", s)
		}
		target.set(func(r *receiver) { r.down, r.lost = nil, errors.New("connection reset") })
		r.until(t, "half of it", func(s export.Standing) bool { return s.Place >= 5 && s.Trouble == "connection reset" })
		target.set(func(r *receiver) { r.lost = nil })
		s = r.until(t, "up", at(10))
		target.set(func(r *receiver) {
			slices.Sort(r.got)
			if got := slices.Compact(r.got); !slices.Equal(got, run(1, 10)) {
				t.Errorf("the receiver got %v", got)
			}
		})
		if s.Trouble != "" || s.Delivered != 10 || !s.Troubled.IsZero() {
			t.Errorf("stands at %+v", s)
		}
		r.archive.Fail(errors.New("archive away"))
		r.until(t, "no archive", func(s export.Standing) bool { return s.Trouble == "archive away" })
		r.archive.Fail(nil)
		r.until(t, "no trouble any more", func(s export.Standing) bool { return s.Trouble == "" })
	})
}

// TestAReceiverThatRefusesEverything is taken to be wrong, and nothing more goes to the dead letters.
func TestAReceiverThatRefusesEverything(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		target := &receiver{all: "400 you are not configured"}
		r := start(t, open(t, url), &exporttest.Archive{}, target, nil)
		r.archive.Add(records(t, 1, 30)...)
		s := r.until(t, "patience", func(s export.Standing) bool { return s.Trouble != "" })
		if s.Place != 5 || s.Dead != 5 || !strings.Contains(s.Trouble, "400 you are not configured") {
			t.Errorf("stands at %+v", s)
		}
		if err := r.Resume(t.Context(), "siem"); err != nil {
			t.Fatal(err)
		}
		r.until(t, "five more", func(s export.Standing) bool { return s.Place == 10 && s.Trouble != "" })
		target.set(func(r *receiver) { r.all = "" })
		s = r.until(t, "all", at(30))
		if s.Dead != 10 || s.Delivered != 20 || s.Refused != 0 {
			t.Errorf("stands at %+v", s)
		}
	})
}

// TestBackfill sends again from a place, while the feed runs, and begins a new feed with what comes.
func TestBackfill(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		archive := &exporttest.Archive{}
		archive.Add(records(t, 1, 20)...)
		r := start(t, open(t, url), archive, &receiver{silent: true}, func(f *export.Feed) { f.FromNow = true })
		r.until(t, "begun", at(20))
		archive.Add(records(t, 21, 23)...)
		if s := r.until(t, "3 records", at(23)); s.Sent != 3 || s.Delivered != 0 {
			t.Errorf("stands at %+v", s)
		}
		if err := r.got(21, 22, 23); err != nil {
			t.Error(err)
		}
		if err := r.Move(t.Context(), "siem", 11); err != nil {
			t.Fatal(err)
		}
		r.until(t, "again", func(s export.Standing) bool { return s.Place == 23 && s.Sent == 15 })
		if err := r.got(run(12, 23)...); err != nil {
			t.Error(err)
		}
		if err := r.Move(t.Context(), "nobody", 1); !errors.Is(err, export.ErrNoFeed) {
			t.Errorf("moved a feed that is not: %v", err)
		}
		if all, err := r.Standings(t.Context()); err != nil || len(all) != 1 || all[0].Feed != "siem" {
			t.Errorf("feeds %+v, %v", all, err)
		}
	})
}

func TestFeedsThatAreNone(t *testing.T) {
	for what, feeds := range map[string][]export.Feed{
		"no name":     {{Target: &receiver{}}},
		"no receiver": {{Name: "a"}},
		"twice":       {{Name: "a", Target: &receiver{}}, {Name: "a", Target: &receiver{}}},
	} {
		if _, err := export.New(export.Config{Feeds: feeds, Logger: slog.Default()}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

type names struct{}

func (names) Begin() []byte { return []byte("begin\n") }

func (names) Append(to []byte, r export.Record) ([]byte, error) {
	return append(to, r.Name()+"\n"...), nil
}

// TestWriteSince finds the place of every time.
func TestWriteSince(t *testing.T) {
	archive := &exporttest.Archive{}
	all := records(t, 1, 50)
	for i := range all {
		all[i].Archived = exporttest.Start.Add(time.Duration(i) * time.Hour)
		all[i].Seq = int64(i)*3 + 1 // what the retention took lies between
	}
	archive.Add(all...)
	archive.Drop(10)
	for i := range 53 {
		since := exporttest.Start.Add(time.Duration(i) * time.Hour)
		var out bytes.Buffer
		n, err := export.Write(t.Context(), names{}, archive, since, &out)
		if want := 50 - max(i, 4); err != nil || n != int64(max(want, 0)) || strings.Count(out.String(), "\n") != int(n)+1 {
			t.Errorf("since hour %d: %d records, %v; want %d", i, n, err, want)
		}
	}
	if n, err := export.Write(t.Context(), names{}, archive, time.Time{}, io.Discard); n != 46 || err != nil {
		t.Errorf("all: %d, %v", n, err)
	}
	archive.Fail(errors.New("away"))
	if _, err := export.Write(t.Context(), names{}, archive, time.Time{}, io.Discard); err == nil {
		t.Error("an archive that is away was written")
	}
}
