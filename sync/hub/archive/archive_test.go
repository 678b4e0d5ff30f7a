package archive_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

func TestArchiveHoldsALogWhole(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, b, ctx := open(t, url), newBox("box-1").work(300), t.Context()
		for _, part := range [][2]int{{0, 1}, {1, 17}, {17, 256}, {256, 300}} {
			batch := b.batch(part[0], part[1], start)
			batch.Stored = fmt.Sprint("cosigned at ", part[1])
			if _, err := a.Append(ctx, batch); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := a.Leaves(ctx, b.origin, 0, 1000); err != nil || !reflect.DeepEqual(got, b.records) {
			t.Errorf("read %d records, %v; want the %d that were archived", len(got), err, len(b.records))
		}
		if got, err := a.Leaves(ctx, b.origin, 290, 5); err != nil || !reflect.DeepEqual(got, b.records[290:295]) {
			t.Errorf("read %d records from 290, %v", len(got), err)
		}
		if report := b.verify(t, a, 300); report.Forgotten != 0 || report.Openings != 1200 {
			t.Errorf("%d openings, %d forgotten", report.Openings, report.Forgotten)
		}
		s, err := a.Standing(ctx, b.origin)
		if head, errOpen := audit.OpenCheckpoint(s.Checkpoint, b.verifier); err != nil || errOpen != nil || head != b.tree.Head() || s.Size != 300 ||
			s.Stored != "cosigned at 300" || !s.Archived.Equal(start) || s.Refused != "" {
			t.Errorf("stands at %+v, %v, %v", s, err, errOpen)
		}
		if all, err := a.Origins(ctx); err != nil || !reflect.DeepEqual(all, []archive.Standing{s}) {
			t.Errorf("origins %+v, %v", all, err)
		}
		if tree, err := a.Tree(ctx, b.origin); err != nil || !reflect.DeepEqual(tree, b.tree) {
			t.Errorf("tree %+v, %v", tree, err)
		}
		if gaps, err := a.Gaps(ctx); err != nil || len(gaps) != 0 {
			t.Errorf("gaps %+v, %v", gaps, err)
		}
	})
}

// TestProofsFromTheArchiveAlone makes every kind of proof of every kind of size.
func TestProofsFromTheArchiveAlone(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, b, ctx := open(t, url), newBox("box-1").work(70), t.Context()
		b.send(t, a, 0, 70, start)
		stored := a.Hashes(ctx, b.origin)
		for size := int64(1); size <= 70; size++ {
			root := tlog.Hash(b.headAt(size).Root)
			index := size * 7 % size
			if proof, err := tlog.ProveRecord(size, index, stored); err != nil ||
				tlog.CheckRecord(proof, size, root, index, b.records[index].Hashes[0]) != nil {
				t.Errorf("record %d in the tree of %d: %v", index, size, err)
			}
			if proof, err := tlog.ProveTree(70, size, stored); err != nil ||
				tlog.CheckTree(proof, 70, tlog.Hash(b.tree.Head().Root), size, root) != nil {
				t.Errorf("the tree of %d in that of 70: %v", size, err)
			}
		}
		if _, err := tlog.TreeHash(71, stored); err == nil {
			t.Error("a tree larger than the archived one has a hash")
		}
		if hashes, err := a.LeafHashes(ctx, b.origin, 60, 100); err != nil || len(hashes) != 10 || hashes[3] != b.records[63].Hashes[0] {
			t.Errorf("%d leaf hashes from 60, %v", len(hashes), err)
		}
	})
}

func TestWhatIsNotThere(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, ctx := open(t, url), t.Context()
		nowhere := archive.Origin{Address: uplink.Address{Site: "north", Box: "box-9"}, Epoch: 3}
		if s, err := a.Standing(ctx, nowhere); err != nil || s != (archive.Standing{Origin: nowhere}) {
			t.Errorf("stands at %+v, %v", s, err)
		}
		if tree, err := a.Tree(ctx, nowhere); err != nil || tree.Size() != 0 || tree.Epoch != 3 {
			t.Errorf("tree of %d, epoch %d, %v", tree.Size(), tree.Epoch, err)
		}
		if records, err := a.Leaves(ctx, nowhere, 0, 10); err != nil || len(records) != 0 {
			t.Errorf("%d records, %v", len(records), err)
		}
		if records, err := a.Since(ctx, 0, 10); err != nil || len(records) != 0 {
			t.Errorf("%d records in the archive, %v", len(records), err)
		}
		if kept, err := a.Kept(ctx, nowhere); err != nil || kept != 0 {
			t.Errorf("kept from %d, %v", kept, err)
		}
	})
}

// TestBatchesThatDoNotFit sends what no longer or not yet belongs, and finds the archive as it was.
func TestBatchesThatDoNotFit(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, b, ctx := open(t, url), newBox("box-1").work(60), t.Context()
		b.send(t, a, 0, 20, start)
		for _, part := range [][2]int{{0, 20}, {10, 30}, {0, 30}, {21, 30}, {40, 60}} {
			if _, err := a.Append(ctx, b.batch(part[0], part[1], start)); !errors.Is(err, archive.ErrMoved) {
				t.Errorf("records %v behind 20: %v", part, err)
			}
		}
		for what, change := range map[string]func(*archive.Batch){
			"no records":         func(b *archive.Batch) { b.Records, b.Leaves = nil, nil },
			"a leaf too few":     func(b *archive.Batch) { b.Leaves = b.Leaves[1:] },
			"no time":            func(b *archive.Batch) { b.At = time.Time{} },
			"another checkpoint": func(c *archive.Batch) { c.Checkpoint = b.batch(20, 31, start).Checkpoint },
			"a gap": func(b *archive.Batch) {
				b.Records = append(slices.Clone(b.Records[:9]), audit.Stored{Sealed: audit.Sealed{Index: 30}})
			},
			"a hash too few": func(b *archive.Batch) {
				b.Records = slices.Clone(b.Records)
				b.Records[3].Hashes = b.Records[3].Hashes[1:]
			},
			"no name": func(b *archive.Batch) { b.Origin.Box = "" },
		} {
			bad := b.batch(20, 30, start)
			change(&bad)
			if _, err := a.Append(ctx, bad); err == nil || errors.Is(err, archive.ErrMoved) {
				t.Errorf("%s: %v", what, err)
			}
		}
		b.verify(t, a, 20)
		if records, err := a.Since(ctx, 0, 100); err != nil || len(records) != 20 {
			t.Errorf("the archive holds %d records, %v", len(records), err)
		}
	})
}

// TestTwoHubsStoreNothingTwice races two instances over the same batches.
func TestTwoHubsStoreNothingTwice(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		b := newBox("box-1").work(200)
		hubs := []*archive.Archive{open(t, url), open(t, url)}
		for from := 0; from < 200; from += 10 {
			batch := b.batch(from, from+10, start)
			errs := make([]error, len(hubs))
			var both sync.WaitGroup
			for i, hub := range hubs {
				both.Go(func() { _, errs[i] = hub.Append(t.Context(), batch) })
			}
			both.Wait()
			if won := slices.Index(errs, nil); won < 0 || !errors.Is(errs[1-won], archive.ErrMoved) {
				t.Fatalf("records from %d: %v", from, errs)
			}
		}
		b.verify(t, hubs[0], 200)
		if records, err := hubs[1].Since(t.Context(), 0, 1000); err != nil || len(records) != 200 {
			t.Errorf("the archive holds %d records, %v", len(records), err)
		}
	})
}

// TestReadersInOrderMissNothing reads on while many boxes append at the same time: each record comes once, and each
// box's in its order.
func TestReadersInOrderMissNothing(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		const boxes, parts, size = 8, 12, 5
		a := open(t, url)
		var writers sync.WaitGroup
		defer writers.Wait()
		for i := range boxes {
			b := newBox(fmt.Sprintf("box-%d", i)).work(parts * size)
			writers.Go(func() {
				for p := range parts {
					if _, err := a.Append(t.Context(), b.batch(p*size, (p+1)*size, start)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { writers.Wait(); close(done) }()
		next, seen, cursor := map[archive.Origin]int64{}, 0, int64(0)
		for finished := false; ; {
			records, err := a.Since(t.Context(), cursor, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				if r.Seq <= cursor || r.Leaf.Index != next[r.Origin] {
					t.Fatalf("record %d of %s at place %d, want record %d behind place %d", r.Leaf.Index, r.Origin, r.Seq, next[r.Origin], cursor)
				}
				cursor = r.Seq
				next[r.Origin]++
				seen++
			}
			if len(records) == 0 {
				if finished {
					break
				}
				select {
				case <-done:
					finished = true
				default:
				}
			}
		}
		if seen != boxes*parts*size {
			t.Errorf("read %d of %d records", seen, boxes*parts*size)
		}
		if settled, err := a.Settled(t.Context()); err != nil || settled != cursor {
			t.Errorf("settled at %d, %v; read up to %d", settled, err, cursor)
		}
		checkpoints(t, a, boxes*parts)
	})
}

// checkpoints reads the accepted checkpoints in small steps: sizes rise for each box, none is missed.
func checkpoints(t *testing.T, a *archive.Archive, want int) {
	t.Helper()
	sizes, seen := map[archive.Origin]int64{}, 0
	for cursor := int64(0); ; {
		accepted, err := a.Checkpoints(t.Context(), cursor, 5)
		if err != nil {
			t.Fatal(err)
		}
		if len(accepted) == 0 {
			break
		}
		for _, c := range accepted {
			_, head, err := audit.PeekCheckpoint(c.Checkpoint)
			if err != nil || head.Size <= sizes[c.Origin] || c.Seq <= cursor {
				t.Fatalf("%s: size %d behind %d, place %d behind %d, %v", c.Origin, head.Size, sizes[c.Origin], c.Seq, cursor, err)
			}
			sizes[c.Origin], cursor = head.Size, c.Seq
			seen++
		}
	}
	if seen != want {
		t.Errorf("%d accepted checkpoints, want %d", seen, want)
	}
}

// TestOddBytesAreNoDeadEnd archives what a box of another make may write and a database may refuse.
func TestOddBytesAreNoDeadEnd(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, b := open(t, url), newBox("box-1")
		b.write(gateway.Record{Kind: "odd\x00kind", Phone: gateway.PhoneID(strings.Repeat("\u2620", 1000)), Words: "nul \x00 inside",
			Clinician: gateway.ClinicianID(strings.Repeat("c", 9000)), Operator: "\u00e9"})
		b.send(t, a, 0, 1, start)
		b.verify(t, a, 1)
		if got, err := a.Since(t.Context(), 0, 1); err != nil || len(got) != 1 || got[0].Leaf.Entry.Record.Words != "nul \x00 inside" {
			t.Errorf("read %+v, %v", got, err)
		}
		if got, err := a.Search(t.Context(), archive.Query{Clinician: gateway.ClinicianID(strings.Repeat("c", 9000)), Limit: 5}); err != nil || len(got) != 1 {
			t.Errorf("found %d records of the person, %v", len(got), err)
		}
	})
}

func TestSearch(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		a, b, other, ctx := open(t, url), newBox("box-1").work(50), newBox("box-2").work(50), t.Context()
		b.send(t, a, 0, 20, start)
		other.send(t, a, 0, 50, start)
		b.write(gateway.Record{Kind: gateway.BoxStarted})
		b.send(t, a, 20, 51, start.AddDate(0, 1, 0))
		all, err := a.Since(ctx, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for what, query := range map[string]struct {
			archive.Query
			fits func(archive.Archived) bool
		}{
			"everything":   {archive.Query{}, func(archive.Archived) bool { return true }},
			"a box":        {archive.Query{Address: b.origin.Address}, func(r archive.Archived) bool { return r.Origin == b.origin }},
			"another site": {archive.Query{Address: uplink.Address{Site: "south"}}, func(archive.Archived) bool { return false }},
			"kinds": {archive.Query{Kinds: []gateway.RecordKind{gateway.BoxStarted, gateway.BoxStopped}},
				func(r archive.Archived) bool { return r.Leaf.Entry.Record.Kind == gateway.BoxStarted }},
			"a phone": {archive.Query{Phone: "phone-3"}, func(r archive.Archived) bool { return r.Leaf.Entry.Record.Phone == "phone-3" }},
			"a person in a time": {archive.Query{Clinician: "c-2", From: start.Add(5 * time.Second), To: start.Add(40 * time.Second)},
				func(r archive.Archived) bool {
					e := r.Leaf.Entry
					return (e.Record.Clinician == "c-2" || e.Record.Previous == "c-2") && !e.At.Before(start.Add(5*time.Second)) && e.At.Before(start.Add(40*time.Second))
				}},
		} {
			query.Limit = 1000
			got, err := a.Search(ctx, query.Query)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			want := slices.DeleteFunc(slices.Clone(all), func(r archive.Archived) bool { return !query.fits(r) })
			bySeq := func(x, y archive.Archived) int { return int(x.Seq - y.Seq) }
			if !slices.IsSortedFunc(got, func(x, y archive.Archived) int { return y.Leaf.Entry.At.Compare(x.Leaf.Entry.At) }) {
				t.Errorf("%s: the newest are not first", what)
			}
			if slices.SortFunc(got, bySeq); len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%s: found %d records, want %d", what, len(got), len(want))
			}
		}
	})
}
