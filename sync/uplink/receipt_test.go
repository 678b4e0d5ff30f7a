package uplink_test

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// storedAt is a checkpoint of a made-up log at a size, with the hub's cosignature.
func storedAt(t testing.TB, k keys, epoch uint32, size int64) string {
	t.Helper()
	head := audit.Head{Epoch: epoch, Size: size, Root: gateway.Digest(sha256.Sum256([]byte("made-up log")))}
	checkpoint, err := audit.SignCheckpoint(address.Box, head, k.box)
	must(t, err)
	stored, err := uplink.SignStored(checkpoint, k.boxVerifier, k.stored)
	must(t, err)
	return stored
}

func TestReceipts(t *testing.T) {
	k := newKeys(t)
	for name, r := range map[string]uplink.Receipt{
		"stored":  {Epoch: 2, Size: 512, Stored: storedAt(t, k, 2, 512)},
		"resend":  {Epoch: 2, Size: 256, Stored: storedAt(t, k, 2, 256), Resend: true},
		"refused": {Epoch: 2, Size: 256, Stored: storedAt(t, k, 2, 256), Refused: "it was forked"},
		"nothing": {Epoch: 1, Resend: true},
	} {
		in, err := r.Encode()
		must(t, err)
		have, err := uplink.ParseReceipt(in, k.boxVerifier, k.storedVerifier)
		if err != nil || have != r {
			t.Errorf("%s: have %+v, %v", name, have, err)
		}
	}
	head, at, err := uplink.OpenStored(storedAt(t, k, 2, 512), k.boxVerifier, k.storedVerifier)
	if err != nil || head.Size != 512 || time.Since(at) > time.Minute {
		t.Errorf("opened %+v of %v, %v", head, at, err)
	}
}

func TestReceiptsThatProveNothing(t *testing.T) {
	k, other := newKeys(t), strangers(t)
	head := audit.Head{Epoch: 2, Size: 512}
	bare, err := audit.SignCheckpoint(address.Box, head, k.box)
	must(t, err)
	mixed := k
	mixed.stored = other.stored
	foreign := k
	foreign.box, foreign.boxVerifier = other.box, other.boxVerifier
	for name, c := range map[string]struct {
		r    uplink.Receipt
		want string
	}{
		"no checkpoint":         {uplink.Receipt{Epoch: 2, Size: 512}, "open checkpoint"},
		"no cosignature":        {uplink.Receipt{Epoch: 2, Size: 512, Stored: bare}, "the hub's cosignature"},
		"another hub's":         {uplink.Receipt{Epoch: 2, Size: 512, Stored: storedAt(t, mixed, 2, 512)}, "the hub's cosignature"},
		"another box's":         {uplink.Receipt{Epoch: 2, Size: 512, Stored: storedAt(t, foreign, 2, 512)}, "open checkpoint"},
		"more than was signed":  {uplink.Receipt{Epoch: 2, Size: 513, Stored: storedAt(t, k, 2, 512)}, "speaks of epoch 2 at 513"},
		"another epoch":         {uplink.Receipt{Epoch: 3, Size: 512, Stored: storedAt(t, k, 2, 512)}, "speaks of epoch 3"},
		"a size below zero":     {uplink.Receipt{Epoch: 2, Size: -1}, "below zero"},
		"no epoch":              {uplink.Receipt{Size: 0}, "no epoch"},
		"an altered checkpoint": {uplink.Receipt{Epoch: 2, Size: 512, Stored: strings.Replace(storedAt(t, k, 2, 512), "\n512\n", "\n511\n", 1)}, "open checkpoint"},
	} {
		in, err := c.r.Encode()
		must(t, err)
		if have, err := uplink.ParseReceipt(in, k.boxVerifier, k.storedVerifier); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", name, have, err, c.want)
		}
	}
	for name, in := range map[string]string{
		"nothing": "", "no JSON": "{", "an unknown member": `{"epoch":1,"size":0,"more":1}`, "two": `{"epoch":1,"size":0}{"epoch":1,"size":0}`,
		"too long": `{"epoch":1,"size":0}` + strings.Repeat(" ", uplink.MaxReceipt),
	} {
		if have, err := uplink.ParseReceipt([]byte(in), k.boxVerifier, k.storedVerifier); err == nil {
			t.Errorf("%s: %+v", name, have)
		}
	}
	if _, err := (uplink.Receipt{Epoch: 1, Refused: strings.Repeat("x", uplink.MaxReceipt)}).Encode(); err == nil {
		t.Error("a receipt that is too long was encoded")
	}
}

func TestSignStoredLooksAtTheBoxsSignature(t *testing.T) {
	k, other := newKeys(t), strangers(t)
	checkpoint, err := audit.SignCheckpoint(address.Box, audit.Head{Epoch: 1, Size: 3}, other.box)
	must(t, err)
	if signed, err := uplink.SignStored(checkpoint, k.boxVerifier, k.stored); err == nil {
		t.Errorf("signed %q", signed)
	}
	good, err := audit.SignCheckpoint(address.Box, audit.Head{Epoch: 1, Size: 3}, k.box)
	must(t, err)
	strange := good + "— somebody AAAAAAAAAAAA\n"
	signed, err := uplink.SignStored(strange, k.boxVerifier, k.stored)
	if err != nil || strings.Contains(signed, "somebody") {
		t.Errorf("signed %q, %v", signed, err)
	}
}

// FuzzParseReceipt: whatever is taken was signed by both, or claims nothing.
func FuzzParseReceipt(f *testing.F) {
	k := newKeys(f)
	stored := storedAt(f, k, 2, 512)
	for _, r := range []uplink.Receipt{{Epoch: 2, Size: 512, Stored: stored}, {Epoch: 1, Resend: true}, {Epoch: 1, Refused: "made-up"}} {
		in, err := r.Encode()
		must(f, err)
		f.Add(in)
		f.Add(in[:len(in)/2])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := uplink.ParseReceipt(in, k.boxVerifier, k.storedVerifier)
		if err == nil && r.Size != 0 && (r.Size != 512 || r.Epoch != 2 || !strings.HasPrefix(r.Stored, "tapward/box-1/2\n512\n")) {
			t.Errorf("took %+v, which nobody signed", r)
		}
	})
}
