package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
	"tapward/gateway/store"
)

const retention = 24 * time.Hour

// day is the n-th day of a made-up year.
func day(n int) time.Time { return time.Date(2026, 1, 1+n, 12, 0, 0, 0, time.UTC) }

// record writes one record of a day; a clock that is not synchronised says 1970.
func record(t testing.TB, s *store.Store, at time.Time, clock audit.Clock, state session.State, r gateway.Record) {
	t.Helper()
	if clock != audit.Synchronised {
		at = time.Unix(s.Head().Size, 0)
	}
	r.Words = "made-up words"
	state.Box = "box-1"
	if _, err := s.Commit(t.Context(), state, []audit.Entry{{At: at, Clock: clock, Record: r}}); err != nil {
		t.Fatal(err)
	}
}

// year writes one record a day.
func year(t testing.TB, s *store.Store, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		record(t, s, day(n), audit.Synchronised, session.State{}, gateway.Record{Kind: gateway.TapRefused, Reader: "door"})
	}
}

// receipt keeps one that covers the first records; its cosignature is for the outbox to check, not for the store.
func receipt(t testing.TB, s *store.Store, epoch uint32, size int64) audit.Head {
	t.Helper()
	root, err := tlog.TreeHash(size, s.Hashes(t.Context(), epoch))
	if err != nil {
		t.Fatal(err)
	}
	head := audit.Head{Epoch: epoch, Size: size, Root: gateway.Digest(root)}
	signer, _ := key(t)
	checkpoint, err := audit.SignCheckpoint("box-1", head, signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.KeepReceipt(t.Context(), epoch, size, checkpoint); err != nil {
		t.Fatal(err)
	}
	return head
}

// prune prunes an epoch to its end and says how many records went.
func prune(t testing.TB, s *store.Store, epoch uint32) (pruned int) {
	t.Helper()
	for from := int64(0); ; {
		next, n, err := s.Prune(t.Context(), epoch, from, retention, 7)
		if err != nil {
			t.Fatal(err)
		}
		if pruned += n; next == from {
			return pruned
		}
		from = next
	}
}

// left are the indexes of an epoch's records that are still whole.
func left(t testing.TB, s *store.Store, epoch uint32) string {
	t.Helper()
	records, err := s.Leaves(t.Context(), epoch, 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var indexes []int64
	for _, r := range records {
		indexes = append(indexes, r.Index)
	}
	return fmt.Sprint(indexes)
}

// verifyPruned re-checks a database by the receipts in it.
func verifyPruned(t testing.TB, path string, covered ...audit.Head) audit.Report {
	t.Helper()
	c, err := store.OpenCopy(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	v := audit.NewVerifier()
	for _, head := range covered {
		v.Pruned(head)
	}
	report, err := c.Verify(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestPruneLeavesEveryProof(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	year(t, s, 0, 50)
	floor, err := s.Floor(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	head := receipt(t, s, 1, 40)
	if n := prune(t, s, 1); n != 39 { // but the first
		t.Fatalf("%d records went: %s", n, left(t, s, 1))
	}
	if n := prune(t, s, 1); n != 0 {
		t.Errorf("%d more went the second time", n)
	}
	if have := left(t, s, 1); have != "[0 40 41 42 43 44 45 46 47 48 49]" {
		t.Errorf("left: %s", have)
	}
	if again, err := s.Floor(t.Context(), 0); err != nil || again != floor {
		t.Errorf("the floor moved from %v to %v (%v)", floor, again, err)
	}
	for n := range int64(50) {
		proof, err := tlog.ProveRecord(50, n, s.Hashes(t.Context(), 1))
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := s.Hashes(t.Context(), 1).ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
		if err != nil || tlog.CheckRecord(proof, 50, tlog.Hash(s.Head().Root), n, hashes[0]) != nil {
			t.Errorf("record %d is no longer proven: %v", n, err)
		}
	}
	log, err := s.Outgoing(t.Context())
	if err != nil || len(log) != 1 || log[0].Pruned != 40 || log[0].Size != 50 {
		t.Errorf("outgoing %+v, %v", log, err)
	}
	shut(t, s)
	if r := verifyPruned(t, path, head); r.Bad != nil || r.Records != 50 || r.Pruned != 39 || r.Openings != 11 {
		t.Errorf("verified %+v, %v", r, r.Bad)
	}
	s = open(t, config(t, path))
	year(t, s, 50, 60)
	if why, err := s.Compare(t.Context(), head); why != "" || err != nil {
		t.Errorf("after a restart the log disagrees with the receipt: %v, %v", why, err)
	}
	shut(t, s)
	if r := verifyPruned(t, path, head); r.Bad != nil || r.Records != 60 {
		t.Errorf("verified %+v, %v", r, r.Bad)
	}
}

func TestPruneTakesOnlyWhatIsOldAndReceipted(t *testing.T) {
	refused := gateway.Record{Kind: gateway.TapRefused, Reader: "door"}
	for name, c := range map[string]struct {
		write func(t *testing.T, s *store.Store)
		want  string // left
	}{
		"no receipt": {func(t *testing.T, s *store.Store) { year(t, s, 0, 5) }, "[0 1 2 3 4]"},
		"a receipt of all": {func(t *testing.T, s *store.Store) {
			year(t, s, 0, 5)
			receipt(t, s, 1, 5)
		}, "[0 3 4]"}, // index 3 is exactly as old as the retention
		"a smaller receipt came later": {func(t *testing.T, s *store.Store) {
			year(t, s, 0, 5)
			receipt(t, s, 1, 5)
			receipt(t, s, 1, 2)
		}, "[0 2 3 4]"},
		"the receipt was taken back": {func(t *testing.T, s *store.Store) {
			year(t, s, 0, 5)
			receipt(t, s, 1, 5)
			if err := s.KeepReceipt(t.Context(), 1, 0, ""); err != nil {
				t.Fatal(err)
			}
		}, "[0 1 2 3 4]"},
		"young": {func(t *testing.T, s *store.Store) {
			for n := range 5 {
				record(t, s, day(0).Add(time.Duration(n)*time.Hour), audit.Synchronised, session.State{}, refused)
			}
			receipt(t, s, 1, 5)
		}, "[0 1 2 3 4]"},
		"no clock was ever synchronised": {func(t *testing.T, s *store.Store) {
			for range 5 {
				record(t, s, time.Time{}, audit.NotSynchronised, session.State{}, refused)
			}
			receipt(t, s, 1, 5)
		}, "[0 1 2 3 4]"},
		"clocks without time between old ones": {func(t *testing.T, s *store.Store) {
			year(t, s, 0, 1)
			for range 20 { // more than one batch
				record(t, s, time.Time{}, audit.NotSynchronised, session.State{}, refused)
			}
			year(t, s, 1, 5)
			receipt(t, s, 1, 25)
		}, "[0 23 24]"},
		"clocks without time after the newest old one": {func(t *testing.T, s *store.Store) {
			year(t, s, 0, 2)
			for range 3 {
				record(t, s, time.Time{}, audit.NotSynchronised, session.State{}, refused)
			}
			year(t, s, 2, 3)
			receipt(t, s, 1, 6)
		}, "[0 1 2 3 4 5]"},
		"a session that is not over": {func(t *testing.T, s *store.Store) {
			bound := session.State{Custody: 7, Phones: []session.Phone{{ID: "phone-01", Phase: session.Bound, Custody: 7}}}
			for n := range 6 {
				r := refused
				if n == 2 || n == 3 {
					r = gateway.Record{Kind: gateway.SessionOpened, Phone: "phone-01", Custody: 7}
				}
				record(t, s, day(n), audit.Synchronised, bound, r)
			}
			receipt(t, s, 1, 6)
		}, "[0 2 3 4 5]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, config(t, filepath.Join(t.TempDir(), "ward.db")))
			c.write(t, s)
			prune(t, s, 1)
			if have := left(t, s, 1); have != c.want {
				t.Errorf("left %s, want %s", have, c.want)
			}
		})
	}
}

// What was kept for a session goes when it is over.
func TestPruneComesBackForASessionThatEnded(t *testing.T) {
	s := open(t, config(t, filepath.Join(t.TempDir(), "ward.db")))
	opened := gateway.Record{Kind: gateway.SessionOpened, Phone: "phone-01", Custody: 7}
	bound := session.State{Custody: 7, Phones: []session.Phone{{ID: "phone-01", Phase: session.Bound, Custody: 7}}}
	for n := range 10 {
		record(t, s, day(n), audit.Synchronised, bound, map[bool]gateway.Record{true: opened, false: {Kind: gateway.TapRefused}}[n == 3])
	}
	receipt(t, s, 1, 10)
	prune(t, s, 1)
	if have := left(t, s, 1); have != "[0 3 8 9]" {
		t.Fatalf("left %s", have)
	}
	free := session.State{Custody: 7, Phones: []session.Phone{{ID: "phone-01"}}}
	record(t, s, day(10), audit.Synchronised, free, gateway.Record{Kind: gateway.SessionCleared, Phone: "phone-01", Custody: 7})
	prune(t, s, 1)
	if have := left(t, s, 1); have != "[0 9 10]" {
		t.Errorf("left %s", have)
	}
}

func TestPruneGoesByNoReceiptOfAnotherLog(t *testing.T) {
	other := open(t, config(t, filepath.Join(t.TempDir(), "ward.db")))
	year(t, other, 100, 110)
	receipt(t, other, 1, 10)
	foreign, err := other.Receipts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, config(t, filepath.Join(t.TempDir(), "ward.db")))
	year(t, s, 0, 20)
	for name, stored := range map[string]string{"another log's": foreign[0].Stored, "no checkpoint": "made-up"} {
		if err := s.KeepReceipt(t.Context(), 1, 10, stored); err != nil {
			t.Fatal(err)
		}
		if n := prune(t, s, 1); n != 0 {
			t.Errorf("%s: %d records went", name, n)
		}
	}
}

// An ended epoch is judged by the time that a later one knows.
func TestPruneAcrossEpochs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	year(t, s, 0, 10)
	signer, _ := key(t)
	prior, err := audit.SignCheckpoint("box-1", audit.Head{Epoch: 1, Size: 99}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.OpenEpoch(t.Context(), audit.RolledBack, prior, audit.Entry{At: day(10)}); err != nil {
		t.Fatal(err)
	}
	year(t, s, 20, 30)
	one, two := receipt(t, s, 1, 10), receipt(t, s, 2, 11)
	prune(t, s, 1)
	prune(t, s, 2)
	if have := left(t, s, 1) + left(t, s, 2); have != "[0 9][0 9 10]" {
		t.Errorf("left %s", have)
	}
	shut(t, s)
	if r := verifyPruned(t, path, one, two); r.Bad != nil || r.Records != 21 || r.Pruned != 16 || len(r.Breaks) != 1 {
		t.Errorf("verified %+v, %v", r, r.Bad)
	}
}

// TestEveryChangeOfAPrunedLogIsFound changes what is left as somebody with a database shell does.
func TestEveryChangeOfAPrunedLogIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	year(t, s, 0, 30)
	head := receipt(t, s, 1, 20)
	prune(t, s, 1)
	shut(t, s)
	if r := verifyPruned(t, path, head); r.Bad != nil || r.Pruned != 19 {
		t.Fatalf("%+v, %v", r, r.Bad)
	}
	if r := verifyPruned(t, path); r.Bad == nil || r.Bad.Index != 1 {
		t.Errorf("nobody says who has what was pruned, and it verifies: %+v", r)
	}
	for _, statement := range []string{
		"UPDATE pruned SET hashes = zeroblob(32) WHERE id & 0xff = 4",
		"UPDATE pruned SET hashes = substr(hashes, 1, 40) WHERE id & 0xff = 3",
		"UPDATE pruned SET hashes = x'' WHERE id & 0xff = 4",
		"UPDATE pruned SET hashes = (SELECT hashes FROM pruned WHERE id & 0xff = 6) WHERE id & 0xff = 4",
		"DELETE FROM pruned WHERE id & 0xff = 4",
		"DELETE FROM pruned",
		"INSERT INTO pruned SELECT id, hashes FROM leaf WHERE idx = 25; DELETE FROM opening WHERE leaf & 0xff = 25; DELETE FROM leaf WHERE idx = 25",
		"INSERT INTO pruned SELECT id, hashes FROM leaf WHERE idx = 0; DELETE FROM opening WHERE leaf & 0xff = 0; DELETE FROM leaf WHERE idx = 0",
		"INSERT INTO pruned SELECT id, hashes FROM leaf WHERE idx = 25",
		"INSERT INTO pruned SELECT id + 1, hashes FROM leaf WHERE idx = 29",
		"INSERT INTO opening SELECT (leaf & ~0xff) | 4, field, salt, value FROM opening WHERE leaf & 0xff = 25",
	} {
		spoiled := filepath.Join(t.TempDir(), "ward.db")
		copyFile(t, path, spoiled)
		if err := change(spoiled, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
			continue
		}
		if r := verifyPruned(t, spoiled, head); r.Bad == nil {
			t.Errorf("%s: nobody noticed", statement)
		}
	}
}

// The pages of what was pruned are used again: a box's file stops growing.
func TestPrunedRoomIsUsedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	size := func() int64 {
		stat, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return stat.Size()
	}
	var full int64
	for round := range 5 {
		s := open(t, config(t, path))
		var entries []audit.Entry
		for n := range 2000 {
			entries = append(entries, audit.Entry{At: day(100 * round).Add(time.Duration(n)), Clock: audit.Synchronised, Record: gateway.Record{
				Kind: gateway.TapRefused, Reader: "door", Words: "made-up words", Receipt: fmt.Sprintf("%0500d", n),
			}})
		}
		if _, err := s.Commit(t.Context(), session.State{Box: "box-1"}, entries); err != nil {
			t.Fatal(err)
		}
		receipt(t, s, 1, s.Head().Size)
		for from := int64(0); ; {
			next, _, err := s.Prune(t.Context(), 1, from, retention, 500)
			if err != nil {
				t.Fatal(err)
			}
			if next == from {
				break
			}
			from = next
		}
		shut(t, s)
		if round == 1 {
			full = size()
		}
	}
	// What stays of a record, and what one round holds, against what five rounds held.
	if now, grown := size(), int64(3*2000*150); now > full+grown {
		t.Errorf("the file grew from %d to %d bytes", full, now)
	}
}

func TestReceiptsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	year(t, s, 0, 5)
	receipt(t, s, 1, 3)
	shut(t, s)
	s = open(t, config(t, path))
	have, err := s.Receipts(t.Context())
	if err != nil || len(have) != 1 || have[0].Epoch != 1 || have[0].Size != 3 || time.Since(have[0].Heard) > time.Minute {
		t.Errorf("have %+v, %v", have, err)
	}
	if log, err := s.Outgoing(t.Context()); err != nil || log[0].Stored != have[0].Stored {
		t.Errorf("outgoing %+v, %v", log, err)
	}
}

// A database of the first release is read as it is, and brought up to date when it is opened.
func TestDatabaseOfTheFirstRelease(t *testing.T) {
	path := ward(t, 10)
	alter(t, path, "DROP TABLE receipt; DROP TABLE pruned; DROP TABLE revocations; DELETE FROM schema_version WHERE version_id > 1")
	if r := mustVerify(t, path); r.Records != 10 {
		t.Errorf("%d records", r.Records)
	}
	c, err := store.OpenCopy(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if have, err := c.Receipts(t.Context()); err != nil || have != nil {
		t.Errorf("receipts %v, %v", have, err)
	}
	if _, err := tlog.ProveRecord(10, 3, c.Hashes(t.Context(), 1)); err != nil {
		t.Error(err)
	}
	s := open(t, config(t, path))
	receipt(t, s, 1, 5)
}

func TestSafeToSendIsWhatTheAnchorHolds(t *testing.T) {
	s := open(t, config(t, filepath.Join(t.TempDir(), "ward.db")))
	year(t, s, 0, 5)
	outgoing := func() audit.Outgoing {
		log, err := s.Outgoing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return log[0]
	}
	if have := outgoing(); have.Safe != 0 || have.Size != 5 {
		t.Errorf("before the anchor: %+v", have)
	}
	path := filepath.Join(t.TempDir(), "ward.db")
	s = open(t, config(t, path))
	year(t, s, 0, 5)
	shut(t, s) // anchors
	s = open(t, config(t, path))
	year(t, s, 5, 7)
	if have := outgoing(); have.Safe != 5 || have.Size != 7 {
		t.Errorf("after the anchor: %+v", have)
	}
}

func TestDiskUsed(t *testing.T) {
	s := open(t, config(t, filepath.Join(t.TempDir(), "ward.db")))
	if used, err := s.DiskUsed(); err != nil || used <= 0 || used >= 1 {
		t.Errorf("used %v, %v", used, err)
	}
}

// Pruning beside commits: neither sees half of the other.
func TestPruneBesideCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	year(t, s, 0, 300)
	head := receipt(t, s, 1, 250)
	done := make(chan int)
	go func() { done <- prune(t, s, 1) }()
	year(t, s, 300, 330)
	if n := <-done; n != 249 {
		t.Errorf("%d went", n)
	}
	shut(t, s)
	if r := verifyPruned(t, path, head); r.Bad != nil || r.Records != 330 || r.Pruned != 249 {
		t.Errorf("verified %+v, %v", r, r.Bad)
	}
}
