package uplink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/transparency-dev/formats/note"
	sumdb "golang.org/x/mod/sumdb/note"

	"tapward/gateway/audit"
)

// Receipt is the hub's answer to bundles: what of a box's log is stored in the archive.
type Receipt struct {
	Epoch uint32 `json:"epoch"`
	Size  int64  `json:"size"`
	// Stored is the box's checkpoint at Size with the hub's cosignature, which means that every record before Size is in
	// the archive. Only this permits the box to prune. Empty where Size is zero.
	Stored string `json:"stored,omitempty"`
	// Resend asks the box to go on from Size although it has sent more: what came after did not arrive, or a hub was
	// restored from a backup.
	Resend bool `json:"resend,omitempty"`
	// Refused says why nothing more is taken of this epoch until a person has looked; empty: all is well.
	Refused string `json:"refused,omitempty"`
}

// MaxReceipt bounds the bytes of a receipt.
const MaxReceipt = 16 << 10

// Encode gives the bytes that ParseReceipt takes.
func (r Receipt) Encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err == nil && len(b) > MaxReceipt {
		err = fmt.Errorf("%d bytes are more than %d", len(b), MaxReceipt)
	}
	if err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return b, nil
}

// ParseReceipt reads a receipt and checks the cosignature that its Size claims: box is the verifier of the box's log
// key, hub that of the hub's cosignatures (NewStoredVerifier).
func ParseReceipt(in []byte, box, hub sumdb.Verifier) (Receipt, error) {
	var r Receipt
	if err := strictJSON(in, MaxReceipt, &r); err != nil {
		return Receipt{}, fmt.Errorf("read receipt: %w", err)
	}
	if r.Size < 0 || r.Epoch == 0 {
		return Receipt{}, errors.New("read receipt: it names no epoch, or a size below zero")
	}
	if r.Size == 0 {
		return r, nil
	}
	head, _, err := OpenStored(r.Stored, box, hub)
	if err != nil {
		return Receipt{}, fmt.Errorf("read receipt: %w", err)
	}
	if head.Epoch != r.Epoch || head.Size != r.Size {
		return Receipt{}, fmt.Errorf("read receipt: it speaks of epoch %d at %d, its cosignature of epoch %d at %d",
			r.Epoch, r.Size, head.Epoch, head.Size)
	}
	return r, nil
}

// NewStoredSigner makes the hub's cosigner (c2sp.org/tlog-cosignature, Ed25519) of a signed-note key. Its signature
// means: the hub has stored every record that the checkpoint covers.
func NewStoredSigner(secret string) (*note.Signer, error) {
	return note.NewSignerForCosignatureV1(secret)
}

// NewStoredVerifier is the other side of NewStoredSigner.
func NewStoredVerifier(public string) (sumdb.Verifier, error) {
	return note.NewVerifierForCosignatureV1(public)
}

// SignStored adds the hub's cosignature to a box's checkpoint.
func SignStored(checkpoint string, box sumdb.Verifier, hub sumdb.Signer) (string, error) {
	n, err := sumdb.Open([]byte(checkpoint), sumdb.VerifierList(box))
	if err != nil {
		return "", fmt.Errorf("cosign checkpoint: %w", err)
	}
	n.UnverifiedSigs = nil
	signed, err := sumdb.Sign(n, hub)
	if err != nil {
		return "", fmt.Errorf("cosign checkpoint: %w", err)
	}
	return string(signed), nil
}

// OpenStored checks that both the box and the hub signed a checkpoint, and says when the hub did.
func OpenStored(checkpoint string, box, hub sumdb.Verifier) (audit.Head, time.Time, error) {
	head, err := audit.OpenCheckpoint(checkpoint, box)
	if err != nil {
		return audit.Head{}, time.Time{}, err
	}
	n, err := sumdb.Open([]byte(checkpoint), sumdb.VerifierList(hub))
	if err != nil {
		return audit.Head{}, time.Time{}, fmt.Errorf("the hub's cosignature: %w", err)
	}
	at, err := note.CoSigV1Timestamp(n.Sigs[0])
	if err != nil {
		return audit.Head{}, time.Time{}, fmt.Errorf("the hub's cosignature: %w", err)
	}
	return head, at, nil
}

// strictJSON reads exactly one value and knows every member.
func strictJSON(in []byte, limit int, into any) error {
	if len(in) > limit {
		return fmt.Errorf("%d bytes are more than %d", len(in), limit)
	}
	d := json.NewDecoder(bytes.NewReader(in))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("there is more behind it")
	}
	return nil
}
