package uplink

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/formats/proof"
	sumdb "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"tapward/gateway/audit"
)

// Accepted is one entry of the hub's own log: a box's checkpoint that the archive has fulfilled.
type Accepted struct {
	Site       string
	Checkpoint string // with the box's signature
}

// Witnessed is the proof that a checkpoint of a box is in the hub's log, at a size that independent witnesses have seen
// grow. With the box's records it proves offline that nobody, the hospital included, rewrote them since.
type Witnessed struct {
	Accepted
	Index  int64       // in the hub's log
	Proof  []tlog.Hash // that it is there
	Signed string      // the hub's checkpoint, with the cosignatures of witnesses
}

// Seen is one witness's cosignature.
type Seen struct {
	Witness string
	At      time.Time // by the witness's clock
}

const (
	acceptedLine = "tapward/accepted/v1"

	// MaxWitnessed bounds the bytes of an encoded proof.
	MaxWitnessed = 32 << 10
)

// Encode gives the bytes of the entry: the form, the site, and the checkpoint as it came.
func (a Accepted) Encode() []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s", acceptedLine, a.Site, a.Checkpoint)
}

// ParseAccepted takes exactly what Encode gives, and checks no signature.
func ParseAccepted(in []byte) (Accepted, error) {
	form, rest, _ := strings.Cut(string(in), "\n")
	site, checkpoint, ok := strings.Cut(rest, "\n")
	if form != acceptedLine || !ok {
		return Accepted{}, errors.New("read an entry of the hub's log: it is of another form")
	}
	box, _, err := audit.PeekCheckpoint(checkpoint)
	if err == nil {
		err = Address{site, box}.Valid()
	}
	if err != nil {
		return Accepted{}, fmt.Errorf("read an entry of the hub's log: %w", err)
	}
	return Accepted{site, checkpoint}, nil
}

// Encode gives a file of the form c2sp.org/tlog-proof@v1 whose extra data is the entry itself.
func (w Witnessed) Encode() []byte {
	p := proof.TLogProof{Index: uint64(w.Index), Checkpoint: []byte(w.Signed), ExtraData: w.Accepted.Encode()}
	for _, h := range w.Proof {
		p.Hashes = append(p.Hashes, h)
	}
	return p.Marshal()
}

// ParseWitnessed takes exactly what Encode gives, and checks neither signatures nor the proof.
func ParseWitnessed(in []byte) (Witnessed, error) {
	if len(in) > MaxWitnessed {
		return Witnessed{}, fmt.Errorf("read proof: %d bytes are more than %d", len(in), MaxWitnessed)
	}
	var p proof.TLogProof
	if err := p.Unmarshal(in); err != nil {
		return Witnessed{}, fmt.Errorf("read proof: %w", err)
	}
	w := Witnessed{Index: int64(p.Index), Signed: string(p.Checkpoint)}
	for _, h := range p.Hashes {
		w.Proof = append(w.Proof, h)
	}
	var err error
	if w.Accepted, err = ParseAccepted(p.ExtraData); err != nil {
		return Witnessed{}, fmt.Errorf("read proof: %w", err)
	}
	if w.Index < 0 || !bytes.Equal(w.Encode(), in) {
		return Witnessed{}, errors.New("read proof: it is not in the one form that a hub writes")
	}
	return w, nil
}

// Verify checks every step: the box's signature, that its checkpoint is in the hub's log, the hub's signature, and that at
// least so many of the witnesses cosigned. It gives what the box's log must add up to, and who has seen it. The hub's key
// is named like its log.
func (w Witnessed) Verify(box, hub sumdb.Verifier, witnesses []sumdb.Verifier, least int) (audit.Head, []Seen, error) {
	head, err := audit.OpenCheckpoint(w.Checkpoint, box)
	if err != nil {
		return audit.Head{}, nil, err
	}
	tree, _, signed, err := log.ParseCheckpoint([]byte(w.Signed), hub.Name(), hub, witnesses...)
	if err != nil {
		return audit.Head{}, nil, fmt.Errorf("open the hub's checkpoint: %w", err)
	}
	if len(tree.Hash) != tlog.HashSize || tree.Size > 1<<62 || w.Index < 0 {
		return audit.Head{}, nil, errors.New("open the hub's checkpoint: it has no size or root that a log can have")
	}
	err = tlog.CheckRecord(w.Proof, int64(tree.Size), tlog.Hash(tree.Hash), w.Index, tlog.RecordHash(w.Accepted.Encode()))
	if err != nil {
		return audit.Head{}, nil, fmt.Errorf("the checkpoint of %s is not entry %d of the hub's log: %w", w.Site, w.Index, err)
	}
	seen := cosigned(signed, witnesses)
	if len(seen) < least {
		return audit.Head{}, nil, fmt.Errorf("%d of the known witnesses cosigned the hub's log, and %d must have", len(seen), least)
	}
	return head, seen, nil
}

// cosigned are the witnesses whose verified cosignature a note bears, each once.
func cosigned(n *sumdb.Note, witnesses []sumdb.Verifier) (seen []Seen) {
	for _, w := range witnesses {
		for _, s := range n.Sigs {
			if s.Name != w.Name() || s.Hash != w.KeyHash() {
				continue
			}
			if at, err := note.CoSigV1Timestamp(s); err == nil {
				seen = append(seen, Seen{s.Name, at})
				break
			}
		}
	}
	return seen
}
