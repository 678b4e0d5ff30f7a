package audit_test

import (
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// verify checks one or more epochs, in the order given.
func verify(t testing.TB, trusted []audit.Head, epochs ...*book) audit.Report {
	t.Helper()
	v := audit.NewVerifier(trusted...)
	for _, b := range epochs {
		if _, err := v.Epoch(b.tree.Epoch, sequence(b.records)); err != nil {
			t.Fatal(err)
		}
	}
	return v.Finish()
}

func sequence(records []audit.Stored) iter.Seq2[audit.Stored, error] {
	return func(yield func(audit.Stored, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func clone(b *book) *book {
	c := &book{tree: b.tree}
	for _, r := range b.records {
		r.Leaf, r.Hashes = slices.Clone(r.Leaf), slices.Clone(r.Hashes)
		r.Openings = slices.Clone(r.Openings)
		for i := range r.Openings {
			r.Openings[i].Value = slices.Clone(r.Openings[i].Value)
		}
		c.records = append(c.records, r)
	}
	return c
}

func TestTrueLogVerifies(t *testing.T) {
	b := newBook(t, 1, 50)
	at10, err := audit.OpenTree(1, 10, b)
	if err != nil {
		t.Fatal(err)
	}
	r := verify(t, []audit.Head{b.tree.Head(), at10.Head(), audit.Tree{Epoch: 1}.Head()}, b)
	if r.Bad != nil || r.Records != 50 || r.Openings != 250 || r.Forgotten != 0 || !slices.Equal(r.Heads, []audit.Head{b.tree.Head()}) {
		t.Errorf("have %+v (%v)", r, r.Bad)
	}
}

func TestForgottenOpeningsBreakNothing(t *testing.T) {
	b := newBook(t, 1, 3)
	b.records[1].Openings = nil
	if r := verify(t, []audit.Head{b.tree.Head()}, b); r.Bad != nil || r.Forgotten != 5 || r.Openings != 10 {
		t.Errorf("have %+v (%v)", r, r.Bad)
	}
}

func TestFirstBadRecordIsNamed(t *testing.T) {
	good := newBook(t, 1, 20)
	head := good.tree.Head()
	late := func(change func(*audit.Entry)) func(*book) {
		return func(b *book) {
			e := handOff()
			change(&e)
			b.write(t, e)
		}
	}
	for name, c := range map[string]struct {
		spoil   func(*book)
		trusted bool
		index   int64
		want    string
	}{
		"a leaf changed":            {func(b *book) { b.records[7].Leaf[40] ^= 1 }, false, 7, ""},
		"its own hash changed":      {func(b *book) { b.records[7].Hashes[0][0] ^= 1 }, false, 7, "one of the two"},
		"a subtree's hash changed":  {func(b *book) { b.records[7].Hashes[3][31] ^= 1 }, false, 7, "level 3"},
		"a hash too many":           {func(b *book) { b.records[6].Hashes = append(b.records[6].Hashes, tlog.Hash{}) }, false, 6, "2 stored hashes"},
		"no hash":                   {func(b *book) { b.records[6].Hashes = nil }, false, 6, "0 stored hashes"},
		"an opening changed":        {func(b *book) { b.records[9].Openings[2].Value[0] ^= 1 }, false, 9, "opening of operator"},
		"a record gone":             {func(b *book) { b.records = slices.Delete(b.records, 5, 6) }, false, 5, "missing"},
		"a record twice":            {func(b *book) { b.records = slices.Insert(b.records, 5, b.records[4]) }, false, 5, "missing"},
		"two records swapped":       {func(b *book) { b.records[3], b.records[4] = b.records[4], b.records[3] }, false, 3, "missing"},
		"two leaves swapped":        {func(b *book) { b.records[3].Leaf, b.records[4].Leaf = b.records[4].Leaf, b.records[3].Leaf }, false, 3, "record 4"},
		"the end cut off":           {func(b *book) { b.records = b.records[:15] }, true, 15, "missing, and all after"},
		"everything cut off":        {func(b *book) { b.records = nil }, true, 0, "missing, and all after"},
		"all rewritten as one":      {func(b *book) { *b = *newBook(t, 1, 0); rewrite(t, b, 20) }, true, -1, "records 0 to 19 were rewritten"},
		"a boot counter gone back":  {late(func(e *audit.Entry) { e.Boot = 6 }), false, 20, "boot counter"},
		"time since boot gone back": {late(func(e *audit.Entry) { e.Uptime = time.Second }), false, 20, "time since boot"},
		"an epoch in the midst":     {late(func(e *audit.Entry) { e.Record.Kind = audit.EpochOpened }), false, 20, "in its midst"},
	} {
		t.Run(name, func(t *testing.T) {
			b := clone(good)
			c.spoil(b)
			var trusted []audit.Head
			if c.trusted {
				trusted = append(trusted, head)
			}
			r := verify(t, trusted, b)
			if r.Bad == nil {
				t.Fatal("nobody noticed")
			}
			if r.Bad.Index != c.index || !strings.Contains(r.Bad.What, c.want) {
				t.Errorf("have %q, want record %d and %q", r.Bad, c.index, c.want)
			}
			if c.index > 0 && r.Records != c.index {
				t.Errorf("%d records counted before the bad one", r.Records)
			}
		})
	}
}

// rewrite is what somebody does who can write every file of the box but does not have the log's key.
func rewrite(t testing.TB, b *book, n int) {
	for range n {
		e := handOff()
		e.Record.Clinician = "c-made-up-9"
		b.write(t, e)
	}
}

func TestRewriteIsNarrowedDownBetweenCheckpoints(t *testing.T) {
	b := newBook(t, 1, 10)
	at10 := b.tree.Head()
	forged := clone(b)
	b.write(t, handOff(), handOff())
	rewrite(t, forged, 2)
	r := verify(t, []audit.Head{b.tree.Head(), at10}, forged)
	if r.Bad == nil || !strings.Contains(r.Bad.What, "records 10 to 11") {
		t.Errorf("have %v", r.Bad)
	}
}

func TestEpochsAreChained(t *testing.T) {
	one := newBook(t, 1, 5)
	two := &book{tree: audit.Tree{Epoch: 4}} // 2 and 3 were lost with a database
	two.write(t, opened("some checkpoint of epoch 3", one.tree.Head()), handOff())
	r := verify(t, nil, one, two)
	if r.Bad != nil || len(r.Heads) != 2 || len(r.Breaks) != 1 || r.Breaks[0].Entry.Prior != "some checkpoint of epoch 3" {
		t.Fatalf("have %+v (%v)", r, r.Bad)
	}
	for name, c := range map[string]struct {
		epochs []*book
		want   string
	}{
		"the older cut short": {[]*book{newBook(t, 1, 4), two}, "epoch 4, record 0: it says that the log before held 5 records of epoch 1"},
		"the older gone":      {[]*book{two}, "that is not so"},
		"no reason given":     {[]*book{one, newBook(t, 2, 1)}, "epoch 2, record 0: a later epoch must begin"},
		"out of order":        {[]*book{two, one}, "epoch 4"},
		"twice":               {[]*book{one, one}, "comes after a later epoch"},
	} {
		if r := verify(t, nil, c.epochs...); r.Bad == nil || !strings.Contains(r.Bad.String(), c.want) {
			t.Errorf("%s: have %v", name, r.Bad)
		}
	}
	lost := audit.Head{Epoch: 2, Size: 9, Root: gateway.Digest{1}}
	if r := verify(t, []audit.Head{lost}, one, two); r.Bad == nil || r.Bad.Epoch != 2 {
		t.Errorf("a checkpoint of a lost epoch: %v", r.Bad)
	}
}

func TestUnreadableLogIsAnErrorAndNotAVerdict(t *testing.T) {
	broken := errors.New("disk gone")
	v := audit.NewVerifier()
	_, err := v.Epoch(1, func(yield func(audit.Stored, error) bool) { yield(audit.Stored{}, broken) })
	if !errors.Is(err, broken) || v.Report().Bad != nil {
		t.Errorf("have %v, %v", err, v.Report().Bad)
	}
}

// One flipped bit anywhere in leaves, hashes and openings is found, and no record before it is blamed.
func TestEveryFlippedBitIsFound(t *testing.T) {
	good := newBook(t, 1, 16)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := clone(good)
		i := random.IntN(len(b.records))
		r := &b.records[i]
		var target []byte
		switch random.IntN(4) {
		case 0:
			target = r.Leaf
		case 1:
			target = r.Hashes[random.IntN(len(r.Hashes))][:]
		case 2:
			target = r.Openings[random.IntN(len(r.Openings))].Salt[:]
		case 3:
			target = r.Openings[random.IntN(len(r.Openings))].Value
		}
		target[random.IntN(len(target))] ^= 1 << random.IntN(8)
		if report := verify(t, nil, b); report.Bad == nil || report.Bad.Index != int64(i) {
			t.Fatalf("a bit flipped in record %d gave %v", i, report.Bad)
		}
	}
}
