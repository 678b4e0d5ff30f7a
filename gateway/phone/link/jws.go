package link

import (
	"bytes"
	"crypto/ecdsa"
	stdjson "encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"tapward/gateway"
)

// The "typ" of each signed thing, so that none can be passed off as another (RFC 8725, 3.11).
const (
	GrantType   = "tapward-grant+jws"
	HelloType   = "tapward-hello+jws"
	ReceiptType = "tapward-receipt+jws"
)

// SignGrant is the box's signature over the grant's canonical bytes, as a compact JWS.
func SignGrant(box Identity, g gateway.Grant) (string, error) {
	return sign(box, GrantType, g.Canonical())
}

// VerifyGrant checks a grant with the key of the box that gave it; no network and no clock take part. A payload that
// is not exactly the canonical bytes of the grant it decodes to is refused, so digest and bytes never part.
func VerifyGrant(box *ecdsa.PublicKey, signed string) (gateway.Grant, error) {
	payload, err := verify(box, GrantType, signed)
	if err != nil {
		return gateway.Grant{}, fmt.Errorf("verify grant: %w", err)
	}
	return parseGrant(payload)
}

func parseGrant(payload []byte) (gateway.Grant, error) {
	var g gateway.Grant
	if err := json.Unmarshal(payload, &g); err != nil {
		return gateway.Grant{}, fmt.Errorf("read grant: %w", err)
	}
	if !bytes.Equal(g.Canonical(), payload) {
		return gateway.Grant{}, errors.New("read grant: the bytes are not canonical")
	}
	return g, nil
}

// SignHello is the phone's signature over where it stands.
func SignHello(phone Identity, c HelloClaims) (string, error) {
	return signClaims(phone, HelloType, c)
}

// VerifyHello checks a hello with the phone's pinned key. Whether the nonce and the phone are the expected ones is for
// the caller to compare.
func VerifyHello(phone *ecdsa.PublicKey, signed string) (HelloClaims, error) {
	return verifyClaims[HelloClaims](phone, HelloType, signed)
}

// SignReceipt is the phone's signature over what it did, or would not do.
func SignReceipt(phone Identity, c ReceiptClaims) (string, error) {
	return signClaims(phone, ReceiptType, c)
}

// VerifyReceipt checks a receipt with the phone's pinned key and fills in Signed. Whether it answers the expected
// command is for the caller to compare.
func VerifyReceipt(phone *ecdsa.PublicKey, signed string) (ReceiptClaims, error) {
	c, err := verifyClaims[ReceiptClaims](phone, ReceiptType, signed)
	c.Signed = signed
	return c, err
}

type claims interface{ check() error }

func signClaims(id Identity, typ jose.ContentType, c claims) (string, error) {
	if err := c.check(); err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	payload, err := stdjson.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	return sign(id, typ, payload)
}

func verifyClaims[C claims](key *ecdsa.PublicKey, typ string, signed string) (C, error) {
	var c, none C
	payload, err := verify(key, typ, signed)
	if err != nil {
		return none, fmt.Errorf("verify %s: %w", typ, err)
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return none, fmt.Errorf("verify %s: %w", typ, err)
	}
	if err := c.check(); err != nil {
		return none, fmt.Errorf("verify %s: %w", typ, err)
	}
	return c, nil
}

func sign(id Identity, typ jose.ContentType, payload []byte) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: id.key},
		(&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", typ, err)
	}
	return signed.CompactSerialize()
}

// verify takes ES256 and the one typ only; a key named in the header is never looked at.
func verify(key *ecdsa.PublicKey, typ, signed string) ([]byte, error) {
	object, err := jose.ParseSignedCompact(signed, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	if have := object.Signatures[0].Protected.ExtraHeaders[jose.HeaderType]; have != typ {
		return nil, fmt.Errorf("typ is not %s", typ)
	}
	return object.Verify(key)
}

// peekGrant reads a grant without checking who signed it: its box's key may be unknown here.
func peekGrant(signed string) (gateway.Grant, error) {
	object, err := jose.ParseSignedCompact(signed, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return gateway.Grant{}, err
	}
	return parseGrant(object.UnsafePayloadWithoutVerification())
}
