package archive

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway/audit"
)

func (b Batch) from() int64 { return b.Records[0].Index }

func (b Batch) end() int64 { return b.from() + int64(len(b.Records)) }

// check refuses what no verified batch can be, before it meets the database.
func (b Batch) check() error {
	if err := b.Origin.Valid(); err != nil {
		return err
	}
	switch n := len(b.Records); {
	case n == 0 || n > MaxBatch:
		return fmt.Errorf("%d records: a batch has 1 to %d", n, MaxBatch)
	case len(b.Leaves) != n:
		return fmt.Errorf("%d records have %d decoded leaves", n, len(b.Leaves))
	case b.At.IsZero() || b.Checkpoint == "":
		return errors.New("its checkpoint or its time is missing")
	}
	for i, r := range b.Records {
		index := b.from() + int64(i)
		if r.Index != index || b.Leaves[i].Index != index || b.Leaves[i].Epoch != b.Origin.Epoch {
			return fmt.Errorf("record %d stands where %d belongs", r.Index, index)
		}
		if len(r.Hashes) != 1+bits.TrailingZeros64(uint64(index)+1) {
			return fmt.Errorf("record %d completes %d subtrees, and that is not so", index, len(r.Hashes))
		}
	}
	_, head, err := audit.PeekCheckpoint(b.Checkpoint)
	if err == nil && (head.Epoch != b.Origin.Epoch || head.Size != b.end()) {
		err = fmt.Errorf("its checkpoint is of epoch %d at %d", head.Epoch, head.Size)
	}
	return err
}

// The columns of the rows of record i, in the order of the tables below.

func (b Batch) leafRow(i int, origin int64, m month) []any {
	return []any{origin, b.Records[i].Index, int64(m), join(b.Records[i].Hashes)}
}

func (b Batch) bodyRow(i int, origin int64, m month) []any {
	e := b.Leaves[i].Entry
	return []any{int64(m), origin, b.Records[i].Index,
		e.At.UnixNano(), word(string(e.Record.Kind)), word(string(e.Record.Phone)), b.Records[i].Leaf}
}

func openingRow(o audit.Opening, index, origin int64, m month) []any {
	value := o.Value
	if value == nil {
		value = []byte{} // not NULL
	}
	return []any{int64(m), origin, index, numberOf(o.Field), o.Salt[:], value}
}

var (
	leafColumns    = []string{"origin", "idx", "month", "hashes"}
	bodyColumns    = []string{"month", "origin", "idx", "at", "kind", "phone", "body"}
	openingColumns = []string{"month", "origin", "idx", "field", "salt", "value"}
)

// maxWord bounds what is searched for: labels are shorter, and an index has limits of its own.
const maxWord = 64

// word is text that any database takes: what a box of another make may put into a leaf, PostgreSQL may refuse.
func word(s string) string {
	s = plain(s)
	for len(s) > maxWord {
		s = strings.ToValidUTF8(s[:maxWord], "")
	}
	return s
}

func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// numberOf is a field's number in docs/audit.md, fieldOf the way back; 0 and empty where it has none.
func numberOf(f audit.Field) int64 {
	for i, known := range audit.Fields {
		if known == f {
			return int64(i + 1)
		}
	}
	return 0
}

func fieldOf(number int64) audit.Field {
	if number < 1 || number > int64(len(audit.Fields)) {
		return ""
	}
	return audit.Fields[number-1]
}

func join(hashes []tlog.Hash) []byte {
	joined := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		joined = append(joined, h[:]...)
	}
	return joined
}

// split cuts a row's hashes apart. A length that is no multiple of a hash gives one zero hash more, which no tree has.
func split(joined []byte) []tlog.Hash {
	hashes := make([]tlog.Hash, (len(joined)+tlog.HashSize-1)/tlog.HashSize)
	joined = joined[:len(joined)-len(joined)%tlog.HashSize]
	for i := 0; len(joined) > 0; i++ {
		joined = joined[copy(hashes[i][:], joined):]
	}
	return hashes
}
