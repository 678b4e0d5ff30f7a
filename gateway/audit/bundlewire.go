package audit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"tapward/gateway"
)

// wireBundle is the CBOR map of a bundle, version 1.
type wireBundle struct {
	Version    uint64       `cbor:"1,keyasint"`
	Box        string       `cbor:"2,keyasint"`
	Epoch      uint32       `cbor:"3,keyasint"`
	From       int64        `cbor:"4,keyasint"`
	Records    []wireSealed `cbor:"5,keyasint"`
	Checkpoint string       `cbor:"6,keyasint"`
	Proof      [][32]byte   `cbor:"7,keyasint,omitempty"`
}

type wireSealed struct {
	_        struct{} `cbor:",toarray"`
	Leaf     []byte
	Openings []wireOpening
}

type wireOpening struct {
	_     struct{} `cbor:",toarray"`
	Field uint64   // position in Fields, from 1
	Salt  [SaltSize]byte
	Value []byte
}

const bundleVersion = 1

var strictBundle = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	MaxNestedLevels:   6,
	MaxArrayElements:  MaxBundle,
	MaxMapPairs:       16,
}.DecMode())

// Encode gives the canonical bytes, those that DecodeBundle took.
func (b Bundle) Encode() ([]byte, error) {
	if len(b.Records) == 0 || len(b.Records) > MaxBundle {
		return nil, fmt.Errorf("encode bundle: it has %d records, not 1 to %d", len(b.Records), MaxBundle)
	}
	w := wireBundle{
		Version: bundleVersion, Box: utf8(b.Box), Epoch: b.Epoch, From: b.From(), Checkpoint: utf8(b.Checkpoint),
	}
	for i, r := range b.Records {
		if r.Index != b.From()+int64(i) {
			return nil, fmt.Errorf("encode bundle: record %d stands where %d must", r.Index, b.From()+int64(i))
		}
		sealed := wireSealed{Leaf: r.Leaf, Openings: []wireOpening{}}
		for _, o := range r.Openings {
			at := slices.Index(Fields[:], o.Field)
			if at < 0 {
				return nil, fmt.Errorf("encode bundle: record %d opens the unknown field %q", r.Index, o.Field)
			}
			sealed.Openings = append(sealed.Openings, wireOpening{Field: uint64(at) + 1, Salt: o.Salt, Value: o.Value})
		}
		w.Records = append(w.Records, sealed)
	}
	for _, h := range b.Proof {
		w.Proof = append(w.Proof, h)
	}
	out, err := canonical.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	if len(out) > MaxBundleBytes {
		return nil, fmt.Errorf("encode bundle: %d bytes are more than %d", len(out), MaxBundleBytes)
	}
	return out, nil
}

// DecodeBundle reads the bytes of a bundle and takes exactly what Encode writes. It checks no signature and no leaf.
func DecodeBundle(in []byte) (Bundle, error) {
	if len(in) > MaxBundleBytes {
		return Bundle{}, malformed("bundle has %d bytes, more than %d", len(in), MaxBundleBytes)
	}
	var w wireBundle
	if err := strictBundle.Unmarshal(in, &w); err != nil {
		return Bundle{}, malformed("decode bundle: %v", err)
	}
	b, err := w.bundle()
	if err != nil {
		return Bundle{}, malformed("decode bundle: %v", err)
	}
	again, err := b.Encode()
	if err != nil {
		return Bundle{}, malformed("decode bundle: %v", err)
	}
	if !bytes.Equal(in, again) {
		return Bundle{}, malformed("decode bundle: the bytes are not in canonical form")
	}
	return b, nil
}

func (w wireBundle) bundle() (Bundle, error) {
	if w.Version != bundleVersion {
		return Bundle{}, fmt.Errorf("version %d is unknown here; this program knows version %d", w.Version, bundleVersion)
	}
	if w.From < 0 || len(w.Records) == 0 || w.From > maxIndex-int64(len(w.Records)) {
		return Bundle{}, errors.New("it has no records, or indexes that cannot be")
	}
	b := Bundle{Box: gateway.BoxID(w.Box), Epoch: w.Epoch, Checkpoint: w.Checkpoint}
	for i, r := range w.Records {
		sealed := Sealed{Index: w.From + int64(i), Leaf: r.Leaf}
		for _, o := range r.Openings {
			if o.Field < 1 || o.Field > uint64(len(Fields)) {
				return Bundle{}, fmt.Errorf("record %d opens field %d, which is unknown", sealed.Index, o.Field)
			}
			sealed.Openings = append(sealed.Openings, Opening{Field: Fields[o.Field-1], Salt: o.Salt, Value: o.Value})
		}
		b.Records = append(b.Records, sealed)
	}
	for _, h := range w.Proof {
		b.Proof = append(b.Proof, h)
	}
	return b, nil
}

// maxIndex keeps the arithmetic of tlog's storage indexes, twice as large, from overflowing.
const maxIndex = 1 << 61
