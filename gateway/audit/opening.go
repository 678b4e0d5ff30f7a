package audit

import (
	"crypto/sha256"
	"fmt"
	"io"

	"tapward/gateway"
)

// SaltSize is the length of an opening's salt in bytes.
const SaltSize = 16

// Opening is what turns a digest in a leaf back into the value it stands for. It lies beside the leaf, is sent and
// archived with it, and may be erased when the law says so: the tree's proofs do not notice.
type Opening struct {
	Field Field
	Salt  [SaltSize]byte
	Value []byte
}

// commitmentDomain separates these digests from every other SHA-256 of the product.
const commitmentDomain = "tapward/opening/v1"

// Commitment is what the leaf holds for the opening:
// SHA-256(salt ‖ "tapward/opening/v1" ‖ 0x00 ‖ field name ‖ 0x00 ‖ value).
func (o Opening) Commitment() gateway.Digest {
	h := sha256.New()
	h.Write(o.Salt[:])
	io.WriteString(h, commitmentDomain+"\x00"+string(o.Field)+"\x00")
	h.Write(o.Value)
	return gateway.Digest(h.Sum(nil))
}

// commit draws a salt for every personal field that is set.
func commit(r *gateway.Record, random io.Reader) ([]Opening, error) {
	var openings []Opening
	for i, value := range personal(r) {
		if value == "" {
			continue
		}
		o := Opening{Field: Fields[i], Value: []byte(value)}
		if _, err := io.ReadFull(random, o.Salt[:]); err != nil {
			return nil, fmt.Errorf("draw salt: %w", err)
		}
		openings = append(openings, o)
	}
	return openings, nil
}
