package audit

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway"
)

// Limits of one bundle. The bytes fit a message of the transport with room for its headers.
const (
	MaxBundle      = 256 // records
	MaxBundleBytes = 1_000_000
)

// Bundle is how records travel from a box to the hospital: some records of one epoch without a gap, and the box's signed
// promise about the log up to the last of them.
type Bundle struct {
	Box        gateway.BoxID
	Epoch      uint32
	Records    []Sealed    // at least one, by index
	Checkpoint string      // signed; its size is End
	Proof      []tlog.Hash // that the tree at Checkpoint continues the one of size From; nil where From is zero
}

// From is the index of the first record.
func (b Bundle) From() int64 { return b.Records[0].Index }

// End is the index after the last record, and so the size of the log that the checkpoint covers.
func (b Bundle) End() int64 { return b.From() + int64(len(b.Records)) }

// Fault is what is wrong with a log as it came from its box. Reason is Gapped, Forked or Malformed. Forked is said of
// whatever cannot be part of the log that was accepted before: by the box's doing or by that of somebody on the way.
type Fault struct {
	Reason gateway.Reason
	What   string
}

func (f *Fault) Error() string { return f.What }

// What a bundle can show of a log, besides what opens an epoch.
const (
	Gapped    gateway.Reason = "log-gapped"    // records before it have not come
	Malformed gateway.Reason = "log-malformed" // not what a box writes: no claim about the log at all
)

// NewBundle makes a bundle of records that the log holds without a gap, with a checkpoint and a proof made from the log's
// stored hashes. The caller may sign: a checkpoint at least as large is already safe outside the database.
func NewBundle(box gateway.BoxID, epoch uint32, records []Sealed, stored tlog.HashReader, signer note.Signer) (Bundle, error) {
	if len(records) == 0 {
		return Bundle{}, errors.New("make bundle: there are no records")
	}
	b := Bundle{Box: box, Epoch: epoch, Records: records}
	root, err := tlog.TreeHash(b.End(), stored)
	if err != nil {
		return Bundle{}, fmt.Errorf("make bundle: %w", err)
	}
	if b.From() > 0 {
		if b.Proof, err = tlog.ProveTree(b.End(), b.From(), stored); err != nil {
			return Bundle{}, fmt.Errorf("make bundle: %w", err)
		}
	}
	b.Checkpoint, err = SignCheckpoint(box, Head{Epoch: epoch, Size: b.End(), Root: gateway.Digest(root)}, signer)
	if err != nil {
		return Bundle{}, fmt.Errorf("make bundle: %w", err)
	}
	return b, nil
}

// Open checks all that a bundle says by itself: the box's signature, that the checkpoint covers exactly these records,
// that every leaf is canonical and of this box, epoch and index, and every opening the right one. An error is a *Fault.
func (b Bundle) Open(verifier note.Verifier) (Head, []Leaf, error) {
	head, err := OpenCheckpoint(b.Checkpoint, verifier)
	if err != nil {
		return Head{}, nil, malformed("%v", err)
	}
	if box, _, _ := PeekCheckpoint(b.Checkpoint); box != b.Box || head.Epoch != b.Epoch || head.Size != b.End() {
		return Head{}, nil, malformed("the checkpoint is of %s at %d, the records are of %s up to %d",
			Origin(box, head.Epoch), head.Size, Origin(b.Box, b.Epoch), b.End())
	}
	leaves := make([]Leaf, len(b.Records))
	for i, r := range b.Records {
		if leaves[i], err = b.leaf(r); err != nil {
			return Head{}, nil, malformed("record %d: %v", r.Index, err)
		}
	}
	return head, leaves, nil
}

// leaf is one record with its openings in place.
func (b Bundle) leaf(r Sealed) (Leaf, error) {
	l, err := Decode(r.Leaf)
	if err != nil {
		return Leaf{}, err
	}
	if l.Epoch != b.Epoch || l.Index != r.Index || l.Entry.Machine != string(b.Box) {
		return Leaf{}, fmt.Errorf("the leaf says that it is record %d of epoch %d of %q", l.Index, l.Epoch, l.Entry.Machine)
	}
	l, _, err = l.Reveal(r.Openings)
	return l, err
}

// Extend appends to t what the bundle holds beyond it, and compares the outcome with the opened checkpoint head. t is
// the tree of the records that were accepted before, of the bundle's epoch; added are the new records with the hashes to
// store, none where the bundle repeats what is known. Whether the records that it repeats are the same ones is for the
// caller to compare. An error is a *Fault.
func (b Bundle) Extend(t Tree, head Head) (next Tree, added []Stored, err error) {
	if b.From() > t.Size() {
		return t, nil, &Fault{Gapped, fmt.Sprintf("records %d to %d are missing", t.Size(), b.From()-1)}
	}
	if b.From() == t.Size() && b.From() > 0 {
		err := tlog.CheckTree(b.Proof, head.Size, tlog.Hash(head.Root), t.Size(), tlog.Hash(t.Head().Root))
		if err != nil {
			return t, nil, &Fault{Forked, fmt.Sprintf("the log at %d does not continue the one accepted at %d", head.Size, t.Size())}
		}
	}
	next = t
	for _, r := range b.Records[min(t.Size()-b.From(), int64(len(b.Records))):] {
		var hashes []tlog.Hash
		next, hashes = next.Append(r.Leaf)
		added = append(added, Stored{r, hashes})
	}
	if len(added) > 0 && next.Head() != head {
		return t, nil, &Fault{Forked, fmt.Sprintf("records %d to %d do not add up to the box's checkpoint", b.From(), b.End()-1)}
	}
	return next, added, nil
}

func malformed(format string, args ...any) error {
	return &Fault{Malformed, fmt.Sprintf(format, args...)}
}
