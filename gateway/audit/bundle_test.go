package audit_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// bundleOf is records from to to of a book, as its box sends them.
func bundleOf(t testing.TB, b *book, from, to int) audit.Bundle {
	t.Helper()
	signer, _, _ := testKey(t)
	var records []audit.Sealed
	for _, r := range b.records[from:to] {
		records = append(records, r.Sealed)
	}
	bundle, err := audit.NewBundle("box-1", b.tree.Epoch, records, b, signer)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// accept is what a hub does with a bundle.
func accept(b audit.Bundle, tree audit.Tree, v note.Verifier) (audit.Tree, []audit.Stored, error) {
	in, err := b.Encode()
	if err != nil {
		return tree, nil, err
	}
	if b, err = audit.DecodeBundle(in); err != nil {
		return tree, nil, err
	}
	head, _, err := b.Open(v)
	if err != nil {
		return tree, nil, err
	}
	return b.Extend(tree, head)
}

func TestBundlesCarryALogWhole(t *testing.T) {
	_, verifier, _ := testKey(t)
	b := newBook(t, 1, 50)
	tree := audit.Tree{Epoch: 1}
	var got []audit.Stored
	for _, part := range [][2]int{{0, 1}, {1, 17}, {10, 17}, {12, 30}, {30, 50}, {0, 50}} {
		next, added, err := accept(bundleOf(t, b, part[0], part[1]), tree, verifier)
		if err != nil {
			t.Fatalf("records %v: %v", part, err)
		}
		tree, got = next, append(got, added...)
	}
	if tree.Head() != b.tree.Head() || !reflect.DeepEqual(got, b.records) {
		t.Errorf("arrived %d records and head %+v, want %d and %+v", len(got), tree.Head(), len(b.records), b.tree.Head())
	}
}

func TestBundleFaults(t *testing.T) {
	_, verifier, _ := testKey(t)
	b := newBook(t, 1, 40)
	other := newBook(t, 1, 0)
	for range 40 {
		e := handOff()
		e.Boot++
		other.write(t, e)
	}
	at20, err := audit.OpenTree(1, 20, b)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*audit.Bundle)) audit.Bundle {
		c := bundleOf(t, clone(b), 20, 30)
		change(&c)
		return c
	}
	tests := map[string]struct {
		bundle audit.Bundle
		want   gateway.Reason
	}{
		"a gap":                     {bundleOf(t, b, 21, 30), audit.Gapped},
		"another history":           {bundleOf(t, other, 20, 30), audit.Forked},
		"another history, overlaps": {bundleOf(t, other, 10, 30), audit.Forked},
		"a changed proof":           {changed(func(c *audit.Bundle) { c.Proof[0][0] ^= 1 }), audit.Forked},
		"no proof":                  {changed(func(c *audit.Bundle) { c.Proof = nil }), audit.Forked},
		"a changed leaf":            {changed(func(c *audit.Bundle) { c.Records[3].Leaf[20] ^= 1 }), audit.Forked},
		"a changed opening":         {changed(func(c *audit.Bundle) { c.Records[3].Openings[0].Value[0] ^= 1 }), audit.Malformed},
		"two records swapped": {changed(func(c *audit.Bundle) {
			c.Records[1].Leaf, c.Records[2].Leaf = c.Records[2].Leaf, c.Records[1].Leaf
		}), audit.Malformed},
		"a record short":     {changed(func(c *audit.Bundle) { c.Records = c.Records[:9] }), audit.Malformed},
		"another epoch":      {changed(func(c *audit.Bundle) { c.Epoch = 2 }), audit.Malformed},
		"another box's name": {changed(func(c *audit.Bundle) { c.Box = "box-2" }), audit.Malformed},
		"a changed checkpoint": {changed(func(c *audit.Bundle) {
			at := len(c.Checkpoint) / 2
			c.Checkpoint = c.Checkpoint[:at] + string(c.Checkpoint[at]^1) + c.Checkpoint[at+1:]
		}), audit.Malformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree, added, err := accept(test.bundle, at20, verifier)
			var fault *audit.Fault
			if !errors.As(err, &fault) || fault.Reason != test.want || fault.What == "" {
				t.Errorf("got %v, want a fault of %s", err, test.want)
			}
			if len(added) > 0 || !reflect.DeepEqual(tree, at20) {
				t.Error("a refused bundle changed the tree")
			}
		})
	}
}

func TestRepeatedBundleAddsNothing(t *testing.T) {
	_, verifier, _ := testKey(t)
	b := newBook(t, 1, 30)
	tree, added, err := accept(bundleOf(t, b, 3, 12), b.tree, verifier)
	if err != nil || len(added) != 0 || tree.Head() != b.tree.Head() {
		t.Errorf("added %d, %v", len(added), err)
	}
}

func TestErasedOpeningsTravelAsForgotten(t *testing.T) {
	_, verifier, _ := testKey(t)
	b := newBook(t, 1, 3)
	b.records[1].Openings = nil
	if _, added, err := accept(bundleOf(t, b, 0, 3), audit.Tree{Epoch: 1}, verifier); err != nil || len(added) != 3 {
		t.Errorf("added %d, %v", len(added), err)
	}
}

func TestEncodeBundleRefuses(t *testing.T) {
	b := newBook(t, 1, 3)
	many := newBook(t, 1, audit.MaxBundle+1)
	for name, records := range map[string][]audit.Sealed{
		"none":     nil,
		"a gap":    {b.records[0].Sealed, b.records[2].Sealed},
		"too many": sealed(many.records),
		"too large": func() []audit.Sealed {
			r := sealed(many.records)[:audit.MaxBundle]
			for i := range r {
				r[i].Leaf = slices.Grow(make([]byte, 5000), 0)
			}
			return r
		}(),
	} {
		if _, err := (audit.Bundle{Box: "box-1", Epoch: 1, Records: records}).Encode(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func sealed(records []audit.Stored) (s []audit.Sealed) {
	for _, r := range records {
		s = append(s, r.Sealed)
	}
	return s
}

// FuzzDecodeBundle: what is taken is canonical, and nothing that was not signed opens.
func FuzzDecodeBundle(f *testing.F) {
	_, verifier, _ := testKey(f)
	b := newBook(f, 1, 5)
	for _, part := range [][2]int{{0, 5}, {2, 4}} {
		in, err := bundleOf(f, b, part[0], part[1]).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(in)
		f.Add(in[:len(in)/2])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		bundle, err := audit.DecodeBundle(in)
		if err != nil {
			return
		}
		again, err := bundle.Encode()
		if err != nil || string(again) != string(in) {
			t.Fatalf("decoded but not canonical: %v", err)
		}
		head, _, err := bundle.Open(verifier)
		if err == nil && head.Size > 5 {
			t.Fatalf("opened a head of %d records that nobody signed", head.Size)
		}
	})
}
