package audit

import (
	"crypto/rand"
	"testing"
)

func TestPublicKeyIsTheOneThatWasMade(t *testing.T) {
	secret, public, err := NewKey(rand.Reader, "box-1")
	if err != nil {
		t.Fatal(err)
	}
	derived, err := PublicKey(secret)
	if err != nil || derived != public {
		t.Errorf("derived %q, %v; want %q", derived, err, public)
	}
	if _, err := PublicKey("PRIVATE+KEY+box+00000000+AAAA"); err == nil {
		t.Error("a secret that is none was taken")
	}
}
