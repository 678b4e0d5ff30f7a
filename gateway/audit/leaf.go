package audit

import (
	"fmt"
	"io"
	"slices"

	"tapward/gateway"
)

// Schema is the version of the leaf format written here.
const Schema = 1

// MaxLeaf bounds the bytes of one leaf.
const MaxLeaf = 16 << 10

// Leaf is a decoded leaf. The personal fields of Entry.Record are empty until Reveal fills them in.
type Leaf struct {
	Epoch       uint32
	Index       int64
	Entry       Entry
	Commitments map[Field]gateway.Digest
}

// Sealed is one record as it is stored and sent: its leaf, and beside it the openings that were not erased.
type Sealed struct {
	Index    int64
	Leaf     []byte
	Openings []Opening
}

// Seal makes the canonical bytes of an entry and the openings of what names a person in it. random gives salts of 16
// bytes; the same entry and the same salts make the same bytes. Text that is not UTF-8 is mended, never refused: a tap
// is not lost for a reader's odd character.
func Seal(epoch uint32, index int64, e Entry, random io.Reader) (leaf []byte, openings []Opening, err error) {
	if index < 0 {
		return nil, nil, fmt.Errorf("seal %s: index %d is negative", e.Record.Kind, index)
	}
	if openings, err = commit(&e.Record, random); err != nil {
		return nil, nil, fmt.Errorf("seal %s: %w", e.Record.Kind, err)
	}
	l := Leaf{Epoch: epoch, Index: index, Entry: e, Commitments: make(map[Field]gateway.Digest, len(openings))}
	for _, o := range openings {
		l.Commitments[o.Field] = o.Commitment()
	}
	if leaf, err = l.Encode(); err != nil {
		return nil, nil, fmt.Errorf("seal %s: %w", e.Record.Kind, err)
	}
	return leaf, openings, nil
}

// Reveal returns the leaf with the values of the openings in place, and the fields whose opening is missing (forgotten),
// in the order of Fields. An opening that does not belong is an error and reveals nothing.
func (l Leaf) Reveal(openings []Opening) (_ Leaf, forgotten []Field, err error) {
	revealed := l
	for i, o := range openings {
		want, ok := l.Commitments[o.Field]
		if !ok {
			return l, nil, fmt.Errorf("opening of %q: the leaf holds no such field", o.Field)
		}
		if slices.ContainsFunc(openings[:i], func(p Opening) bool { return p.Field == o.Field }) {
			return l, nil, fmt.Errorf("opening of %s: there are two", o.Field)
		}
		if o.Commitment() != want {
			return l, nil, fmt.Errorf("opening of %s does not match the leaf", o.Field)
		}
		setPersonal(&revealed.Entry.Record, o.Field, string(o.Value))
	}
	for _, f := range Fields {
		_, committed := l.Commitments[f]
		if committed && !slices.ContainsFunc(openings, func(o Opening) bool { return o.Field == f }) {
			forgotten = append(forgotten, f)
		}
	}
	return revealed, forgotten, nil
}
