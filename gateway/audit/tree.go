package audit

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
)

// FirstEpoch is the number of a new log's tree.
const FirstEpoch = 1

// Head is the state of one epoch's tree. The root of an empty tree is the SHA-256 of nothing.
type Head struct {
	Epoch uint32
	Size  int64
	Root  gateway.Digest
}

// Tree is the right edge of one epoch's RFC 6962 tree: all that is needed to append. It is a value; Append returns a
// new one, so that a commit which did not happen costs nothing.
type Tree struct {
	Epoch uint32
	size  int64
	edge  []tlog.Hash // the roots of the perfect subtrees that make up the tree, largest first
}

// OpenTree reads the edge of a tree of the given size from its stored hashes.
func OpenTree(epoch uint32, size int64, stored tlog.HashReader) (Tree, error) {
	edge, err := stored.ReadHashes(edgeIndexes(size))
	if err != nil {
		return Tree{}, fmt.Errorf("open tree of %d records: %w", size, err)
	}
	return Tree{Epoch: epoch, size: size, edge: edge}, nil
}

// Size is the number of leaves, and so the index of the next.
func (t Tree) Size() int64 { return t.size }

// Head hashes the edge together.
func (t Tree) Head() Head {
	if t.size == 0 {
		root, _ := tlog.TreeHash(0, nil) // needs no hashes and cannot fail
		return Head{Epoch: t.Epoch, Root: gateway.Digest(root)}
	}
	root := t.edge[len(t.edge)-1]
	for i := len(t.edge) - 2; i >= 0; i-- {
		root = tlog.NodeHash(t.edge[i], root)
	}
	return Head{Epoch: t.Epoch, Size: t.size, Root: gateway.Digest(root)}
}

// Append adds a leaf. completed are the hashes to store with it, lowest first: its own, then those of the subtrees that
// it completes. They are tlog's stored hashes from StoredHashIndex(0, size) on.
func (t Tree) Append(leaf []byte) (next Tree, completed []tlog.Hash) {
	return t.appendHash(tlog.RecordHash(leaf))
}

// appendHash adds a leaf of which only the hash is at hand.
func (t Tree) appendHash(hash tlog.Hash) (next Tree, completed []tlog.Hash) {
	completed = append(completed, hash)
	edge := t.edge
	for n := t.size; n&1 == 1; n >>= 1 {
		hash = tlog.NodeHash(edge[len(edge)-1], hash)
		completed = append(completed, hash)
		edge = edge[:len(edge)-1]
	}
	grown := make([]tlog.Hash, len(edge)+1)
	copy(grown, edge)
	grown[len(edge)] = hash
	return Tree{Epoch: t.Epoch, size: t.size + 1, edge: grown}, completed
}

// edgeIndexes are tlog's storage indexes of the edge of a tree, one for each bit of its size.
func edgeIndexes(size int64) []int64 {
	var indexes []int64
	for start := int64(0); start < size; {
		level := bits.Len64(uint64(size-start)) - 1
		indexes = append(indexes, tlog.StoredHashIndex(level, start>>level))
		start += 1 << level
	}
	return indexes
}

// Consistent says whether a tree with these stored hashes and this size holds, as its first head.Size leaves, exactly
// what head covers. A smaller tree does not.
func Consistent(head Head, size int64, stored tlog.HashReader) (bool, error) {
	if head.Size > size {
		return false, nil
	}
	root, err := tlog.TreeHash(head.Size, stored)
	if err != nil {
		return false, fmt.Errorf("hash the first %d records: %w", head.Size, err)
	}
	return gateway.Digest(root) == head.Root, nil
}
