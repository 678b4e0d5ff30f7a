package audit

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"tapward/gateway"
)

// wireLeaf is the CBOR map of a leaf, schema 1. A key, once given, keeps its meaning for ever; what is zero is absent.
type wireLeaf struct {
	Schema       uint64                    `cbor:"1,keyasint"`
	Epoch        uint32                    `cbor:"2,keyasint"`
	Index        int64                     `cbor:"3,keyasint"`
	Kind         string                    `cbor:"4,keyasint"`
	Committed    int64                     `cbor:"5,keyasint"` // Unix nanoseconds
	Clock        string                    `cbor:"6,keyasint"`
	Boot         uint64                    `cbor:"7,keyasint"`
	Machine      string                    `cbor:"8,keyasint"`
	PolicySigned bool                      `cbor:"9,keyasint"`
	Uptime       int64                     `cbor:"10,keyasint,omitzero"` // nanoseconds
	Occurred     *int64                    `cbor:"11,keyasint,omitzero"` // Unix nanoseconds
	Reader       string                    `cbor:"12,keyasint,omitzero"`
	Origin       string                    `cbor:"13,keyasint,omitzero"`
	Phone        string                    `cbor:"14,keyasint,omitzero"`
	Fence        uint64                    `cbor:"15,keyasint,omitzero"`
	Custody      uint64                    `cbor:"16,keyasint,omitzero"`
	Grant        gateway.Digest            `cbor:"17,keyasint,omitzero"`
	Reasons      []string                  `cbor:"18,keyasint,omitempty"`
	Assurance    *wireAssurance            `cbor:"19,keyasint,omitzero"`
	Policy       gateway.Digest            `cbor:"20,keyasint,omitzero"`
	State        string                    `cbor:"21,keyasint,omitzero"`
	Durations    wireDurations             `cbor:"22,keyasint,omitzero"`
	Commitments  map[uint64]gateway.Digest `cbor:"23,keyasint,omitempty"` // by position in Fields, from 1
	Prior        string                    `cbor:"24,keyasint,omitzero"`
	Held         *wireHead                 `cbor:"25,keyasint,omitzero"`
}

type wireAssurance struct {
	_      struct{} `cbor:",toarray"`
	Card   uint8
	Holder uint8
}

type wireHead struct {
	_     struct{} `cbor:",toarray"`
	Epoch uint32
	Size  int64
	Root  gateway.Digest
}

// wireDurations are nanoseconds.
type wireDurations struct {
	Read      int64 `cbor:"1,keyasint,omitzero"`
	Identify  int64 `cbor:"2,keyasint,omitzero"`
	Decide    int64 `cbor:"3,keyasint,omitzero"`
	Choose    int64 `cbor:"4,keyasint,omitzero"`
	Commit    int64 `cbor:"5,keyasint,omitzero"`
	Notify    int64 `cbor:"6,keyasint,omitzero"`
	Confirmed int64 `cbor:"7,keyasint,omitzero"`
	FirstUse  int64 `cbor:"8,keyasint,omitzero"`
}

// canonical is RFC 8949 section 4.2.1, Core Deterministic Encoding.
var canonical = must(cbor.CoreDetEncOptions().EncMode())

// strict refuses what canonical never writes. What it lets through all the same, Decode finds by encoding again.
var strict = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	MaxNestedLevels:   4,
	MaxArrayElements:  64,
	MaxMapPairs:       64,
}.DecMode())

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

// Encode gives the canonical bytes, those that Decode took.
func (l Leaf) Encode() ([]byte, error) {
	b, err := canonical.Marshal(l.wire())
	if err != nil {
		return nil, err
	}
	if len(b) > MaxLeaf {
		return nil, fmt.Errorf("leaf has %d bytes, more than %d", len(b), MaxLeaf)
	}
	return b, nil
}

// Decode reads the bytes of one leaf. It accepts exactly what Seal can write: every accepted leaf encodes to the same
// bytes again, so one record has one hash.
func Decode(b []byte) (Leaf, error) {
	if len(b) > MaxLeaf {
		return Leaf{}, fmt.Errorf("decode leaf: %d bytes are more than %d", len(b), MaxLeaf)
	}
	if err := knownSchema(b); err != nil {
		return Leaf{}, fmt.Errorf("decode leaf: %w", err)
	}
	var w wireLeaf
	if err := strict.Unmarshal(b, &w); err != nil {
		return Leaf{}, fmt.Errorf("decode leaf: %w", err)
	}
	l, err := w.leaf()
	if err != nil {
		return Leaf{}, fmt.Errorf("decode leaf: %w", err)
	}
	again, err := l.Encode()
	if err != nil {
		return Leaf{}, fmt.Errorf("decode leaf: %w", err)
	}
	if !bytes.Equal(b, again) {
		return Leaf{}, errors.New("decode leaf: the bytes are not in canonical form")
	}
	return l, nil
}

// knownSchema looks at key 1 alone, so that a leaf of a later release is called that and not "corrupt".
func knownSchema(b []byte) error {
	lenient, err := cbor.DecOptions{MaxNestedLevels: 8}.DecMode()
	if err != nil {
		return err
	}
	var head struct {
		Schema uint64 `cbor:"1,keyasint"`
	}
	if err := lenient.Unmarshal(b, &head); err != nil {
		return err
	}
	if head.Schema != Schema {
		return fmt.Errorf("schema version %d is unknown here; this program knows version %d", head.Schema, Schema)
	}
	return nil
}

func (l Leaf) wire() wireLeaf {
	e, r := l.Entry, l.Entry.Record
	w := wireLeaf{
		Schema: Schema, Epoch: l.Epoch, Index: l.Index,
		Kind: utf8(r.Kind), Committed: unixNano(e.At), Clock: utf8(e.Clock), Boot: e.Boot,
		Machine: utf8(e.Machine), PolicySigned: e.PolicySigned, Uptime: int64(e.Uptime),
		Reader: utf8(r.Reader), Origin: utf8(r.Origin), Phone: utf8(r.Phone),
		Fence: uint64(r.Fence), Custody: uint64(r.Custody), Grant: r.Grant,
		Policy: r.Policy, State: utf8(r.State), Durations: wireDurationsOf(r.Durations), Prior: utf8(e.Prior),
	}
	if w.Clock == "" {
		w.Clock = string(ClockUnknown)
	}
	if a := r.Assurance; a != (gateway.Assurance{}) {
		w.Assurance = &wireAssurance{Card: uint8(a.Card), Holder: uint8(a.Holder)}
	}
	if h := e.Held; h != (Head{}) {
		w.Held = &wireHead{Epoch: h.Epoch, Size: h.Size, Root: h.Root}
	}
	if !r.At.IsZero() {
		at := unixNano(r.At)
		w.Occurred = &at
	}
	for _, reason := range r.Reasons {
		w.Reasons = append(w.Reasons, utf8(reason))
	}
	for i, f := range Fields {
		if c, ok := l.Commitments[f]; ok {
			if w.Commitments == nil {
				w.Commitments = make(map[uint64]gateway.Digest, len(l.Commitments))
			}
			w.Commitments[uint64(i)+1] = c
		}
	}
	return w
}

func (w wireLeaf) leaf() (Leaf, error) {
	if w.Index < 0 {
		return Leaf{}, fmt.Errorf("index %d is negative", w.Index)
	}
	l := Leaf{Epoch: w.Epoch, Index: w.Index, Commitments: make(map[Field]gateway.Digest, len(w.Commitments))}
	l.Entry = Entry{
		At: time.Unix(0, w.Committed).UTC(), Clock: Clock(w.Clock), Boot: w.Boot, Uptime: time.Duration(w.Uptime),
		Machine: w.Machine, PolicySigned: w.PolicySigned, Prior: w.Prior,
		Record: gateway.Record{
			Kind: gateway.RecordKind(w.Kind), Reader: gateway.ReaderID(w.Reader), Origin: gateway.Origin(w.Origin),
			Phone: gateway.PhoneID(w.Phone), Fence: gateway.Fence(w.Fence), Custody: gateway.Custody(w.Custody),
			Grant: w.Grant, Policy: w.Policy, State: w.State, Durations: w.Durations.durations(),
		},
	}
	if a := w.Assurance; a != nil {
		l.Entry.Record.Assurance = gateway.Assurance{Card: gateway.CardProof(a.Card), Holder: gateway.HolderCheck(a.Holder)}
	}
	if h := w.Held; h != nil {
		l.Entry.Held = Head{Epoch: h.Epoch, Size: h.Size, Root: h.Root}
	}
	if w.Occurred != nil {
		l.Entry.Record.At = time.Unix(0, *w.Occurred).UTC()
	}
	for _, reason := range w.Reasons {
		l.Entry.Record.Reasons = append(l.Entry.Record.Reasons, gateway.Reason(reason))
	}
	for key, c := range w.Commitments {
		if key < 1 || key > uint64(len(Fields)) {
			return Leaf{}, fmt.Errorf("commitment %d is of no known field", key)
		}
		l.Commitments[Fields[key-1]] = c
	}
	return l, nil
}

func wireDurationsOf(d gateway.Durations) wireDurations {
	return wireDurations{
		Read: int64(d.Read), Identify: int64(d.Identify), Decide: int64(d.Decide), Choose: int64(d.Choose),
		Commit: int64(d.Commit), Notify: int64(d.Notify), Confirmed: int64(d.Confirmed), FirstUse: int64(d.FirstUse),
	}
}

func (w wireDurations) durations() gateway.Durations {
	return gateway.Durations{
		Read: time.Duration(w.Read), Identify: time.Duration(w.Identify), Decide: time.Duration(w.Decide),
		Choose: time.Duration(w.Choose), Commit: time.Duration(w.Commit), Notify: time.Duration(w.Notify),
		Confirmed: time.Duration(w.Confirmed), FirstUse: time.Duration(w.FirstUse),
	}
}

// unixNano is zero for the zero time, whose nanoseconds do not fit.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// utf8 mends text that CBOR must not carry.
func utf8[T ~string](s T) string { return strings.ToValidUTF8(string(s), "\uFFFD") }
