package audit_test

import (
	"strings"
	"testing"

	"tapward/gateway/audit"
)

// pruned is a book whose records from one index up to another have lost their leaves.
func pruned(b *book, from, to int) *book {
	b = clone(b)
	for i := from; i < to; i++ {
		b.records[i].Leaf, b.records[i].Openings = nil, nil
	}
	return b
}

func TestPrunedRecordsVerifyByTheirHashes(t *testing.T) {
	good := newBook(t, 1, 40)
	at20, err := audit.OpenTree(1, 20, good)
	if err != nil {
		t.Fatal(err)
	}
	other := newBook(t, 1, 0)
	rewrite(t, other, 40)
	for name, c := range map[string]struct {
		log   *book
		by    audit.Head
		index int64 // of the bad one; -2: none is
		want  string
	}{
		"all but the first":             {pruned(good, 1, 20), at20.Head(), -2, ""},
		"some in the midst":             {pruned(good, 5, 9), at20.Head(), -2, ""},
		"nothing":                       {good, at20.Head(), -2, ""},
		"one more than the receipt has": {pruned(good, 1, 21), at20.Head(), 20, "no receipt"},
		"without a receipt":             {pruned(good, 1, 20), audit.Head{}, 1, "no receipt"},
		"by a receipt of another epoch": {pruned(good, 1, 20), audit.Head{Epoch: 2, Size: 20}, 1, "no receipt"},
		"the first":                     {pruned(good, 0, 20), at20.Head(), 0, "first of an epoch"},
		"another log's hashes":          {pruned(other, 1, 20), at20.Head(), -1, "were rewritten"},
		"a hash changed": {func() *book {
			b := pruned(good, 1, 20)
			b.records[7].Hashes[0][0] ^= 1
			return b
		}(), at20.Head(), 7, "level"},
		"no hashes": {func() *book {
			b := pruned(good, 1, 20)
			b.records[7].Hashes = nil
			return b
		}(), at20.Head(), 7, "no stored hashes"},
		"openings without a leaf": {func() *book {
			b := pruned(good, 1, 20)
			b.records[7].Openings = good.records[7].Openings
			return b
		}(), at20.Head(), 7, "openings and no leaf"},
	} {
		t.Run(name, func(t *testing.T) {
			v := audit.NewVerifier()
			v.Pruned(c.by)
			if _, err := v.Epoch(1, sequence(c.log.records)); err != nil {
				t.Fatal(err)
			}
			r := v.Report()
			switch {
			case c.index == -2 && (r.Bad != nil || r.Records != 40):
				t.Errorf("%d records verified: %v", r.Records, r.Bad)
			case c.index != -2 && (r.Bad == nil || r.Bad.Index != c.index || !strings.Contains(r.Bad.What, c.want)):
				t.Errorf("have %v, want record %d and %q", r.Bad, c.index, c.want)
			}
		})
	}
}
