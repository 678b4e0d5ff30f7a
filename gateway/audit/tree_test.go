package audit_test

import (
	"crypto/sha256"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// root is the tree hash of RFC 6962 section 2.1, written down as the specification has it: a dumb twin.
func root(leaves [][]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := root(leaves[:k]), root(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func TestTreeIsRFC6962AndStoresWhatTlogStores(t *testing.T) {
	b := &book{tree: audit.Tree{Epoch: 9}}
	var leaves [][]byte
	for size := range 130 {
		if have, want := b.tree.Head(), (audit.Head{Epoch: 9, Size: int64(size), Root: gateway.Digest(root(leaves))}); have != want {
			t.Fatalf("size %d: head %v, want %v", size, have, want)
		}
		reopened, err := audit.OpenTree(9, int64(size), b)
		if err != nil || reopened.Head() != b.tree.Head() {
			t.Fatalf("size %d: reopened tree has another head (%v)", size, err)
		}
		b.write(t, handOff())
		last := b.records[size]
		leaves = append(leaves, last.Leaf)
		want, err := tlog.StoredHashes(int64(size), last.Leaf, b)
		if err != nil || len(want) != len(last.Hashes) {
			t.Fatalf("size %d: %d stored hashes, tlog has %d (%v)", size, len(last.Hashes), len(want), err)
		}
		for i := range want {
			if want[i] != last.Hashes[i] {
				t.Fatalf("size %d: stored hash %d differs from tlog's", size, i)
			}
		}
	}
}

func TestAppendLeavesTheOldTreeAlone(t *testing.T) {
	b := newBook(t, 1, 7)
	before := b.tree
	head := before.Head()
	one, _ := before.Append([]byte("one"))
	two, _ := before.Append([]byte("two"))
	if before.Head() != head || one.Head() == two.Head() {
		t.Error("two appends to one tree got in each other's way")
	}
}

func TestProofsOverStoredHashes(t *testing.T) {
	b := newBook(t, 1, 100)
	head := b.tree.Head()
	for n, r := range b.records {
		proof, err := tlog.ProveRecord(100, int64(n), b)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(proof, 100, tlog.Hash(head.Root), int64(n), tlog.RecordHash(r.Leaf)); err != nil {
			t.Fatalf("record %d: %v", n, err)
		}
	}
	for size := int64(1); size <= 100; size++ {
		old, err := audit.OpenTree(1, size, b)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := tlog.ProveTree(100, size, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(proof, 100, tlog.Hash(head.Root), size, tlog.Hash(old.Head().Root)); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
	}
}

func TestConsistent(t *testing.T) {
	b := newBook(t, 1, 20)
	at10, err := audit.OpenTree(1, 10, b)
	if err != nil {
		t.Fatal(err)
	}
	other := at10.Head()
	other.Root[0] ^= 1
	bigger := b.tree.Head()
	bigger.Size++
	for name, c := range map[string]struct {
		head audit.Head
		want bool
	}{
		"an older head": {at10.Head(), true}, "the newest": {b.tree.Head(), true}, "the empty tree": {audit.Tree{Epoch: 1}.Head(), true},
		"another root": {other, false}, "a larger one": {bigger, false},
	} {
		if have, err := audit.Consistent(c.head, 20, b); err != nil || have != c.want {
			t.Errorf("%s: %v, %v", name, have, err)
		}
	}
}
