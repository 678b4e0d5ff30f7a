package audit_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
)

func TestCheckpointSignsAndOpens(t *testing.T) {
	signer, verifier, _ := testKey(t)
	head := newBook(t, 3, 5).tree.Head()
	checkpoint, err := audit.SignCheckpoint("box-1", head, signer)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(checkpoint, "tapward/box-1/3\n5\n") {
		t.Errorf("not in the form of c2sp.org/tlog-checkpoint:\n%s", checkpoint)
	}
	if have, err := audit.OpenCheckpoint(checkpoint, verifier); err != nil || have != head {
		t.Errorf("opened as %v, %v", have, err)
	}
	if box, have, err := audit.PeekCheckpoint(checkpoint); err != nil || have != head || box != "box-1" {
		t.Errorf("peeked %s %v, %v", box, have, err)
	}
}

func TestCheckpointWithOneFlippedBitIsRefused(t *testing.T) {
	signer, verifier, _ := testKey(t)
	head := newBook(t, 1, 5).tree.Head()
	checkpoint, err := audit.SignCheckpoint("box-1", head, signer)
	if err != nil {
		t.Fatal(err)
	}
	for i := range checkpoint {
		for bit := range 8 {
			b := []byte(checkpoint)
			b[i] ^= 1 << bit
			if _, err := audit.OpenCheckpoint(string(b), verifier); err == nil {
				t.Fatalf("taken with bit %d of byte %d flipped:\n%s", bit, i, b)
			}
		}
	}
}

func TestCheckpointOfAnotherBoxOrKeyIsRefused(t *testing.T) {
	signer, verifier, _ := testKey(t)
	head := audit.Head{Epoch: 1, Size: 1}
	if _, err := audit.SignCheckpoint("box-2", head, signer); err == nil {
		t.Error("signed for another box")
	}
	forged, err := note.Sign(&note.Note{Text: "tapward/box-2/1\n0\n" + strings.Repeat("A", 43) + "=\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.OpenCheckpoint(string(forged), verifier); err == nil || !strings.Contains(err.Error(), "box-2") {
		t.Errorf("a checkpoint of box-2 signed by box-1 gave %v", err)
	}
	secret, _, err := audit.NewKey(bytes.NewReader(bytes.Repeat([]byte{9}, 64)), "box-1")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := audit.SignCheckpoint("box-1", head, stranger)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.OpenCheckpoint(checkpoint, verifier); err == nil {
		t.Error("another key of the same name was trusted")
	}
}

func TestBoxNamesThatDoNotFitAnOriginAreRefused(t *testing.T) {
	for _, box := range []gateway.BoxID{"", "a/b", "a b", "a+b", "a\nb", "bäx"} {
		if _, _, err := audit.NewKey(bytes.NewReader(make([]byte, 64)), box); err == nil {
			t.Errorf("made a key for %q", box)
		}
	}
}

func TestMalformedCheckpointsAreRefusedThoughSigned(t *testing.T) {
	signer, verifier, _ := testKey(t)
	root := strings.Repeat("A", 43) + "=\n"
	for name, text := range map[string]string{
		"no root":         "tapward/box-1/1\n1\n",
		"an extension":    "tapward/box-1/1\n1\n" + root + "more\n",
		"another product": "other/box-1/1\n1\n" + root,
		"no epoch":        "tapward/box-1\n1\n" + root,
		"epoch 01":        "tapward/box-1/01\n1\n" + root,
		"size 01":         "tapward/box-1/1\n01\n" + root,
		"size +1":         "tapward/box-1/1\n+1\n" + root,
		"size -1":         "tapward/box-1/1\n-1\n" + root,
		"size 2^64":       "tapward/box-1/1\n18446744073709551616\n" + root,
		"a short root":    "tapward/box-1/1\n1\nAAAA\n",
		"loose bits":      "tapward/box-1/1\n1\n" + strings.Repeat("A", 42) + "B=\n",
	} {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			t.Fatal(err)
		}
		if head, err := audit.OpenCheckpoint(string(signed), verifier); err == nil {
			t.Errorf("%s: taken as %v", name, head)
		}
	}
}

// FuzzPeekCheckpoint: what is taken reads as exactly the origin, size and root that would be written.
func FuzzPeekCheckpoint(f *testing.F) {
	signer, _, _ := testKey(f)
	checkpoint, err := audit.SignCheckpoint("box-1", newBook(f, 1, 3).tree.Head(), signer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(checkpoint)
	f.Add("tapward/box-1/1\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n")
	f.Add("\n\n\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		box, head, err := audit.PeekCheckpoint(s)
		if err != nil {
			return
		}
		if head.Size < 0 || !strings.HasPrefix(s, audit.Origin(box, head.Epoch)+"\n") {
			t.Fatalf("%q was taken as %s %v", s, box, head)
		}
	})
}
