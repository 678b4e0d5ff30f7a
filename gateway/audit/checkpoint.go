package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
)

// MaxCheckpoint bounds the bytes of a signed checkpoint, cosignatures included.
const MaxCheckpoint = 4 << 10

const originPrefix = "tapward/"

// NewKey makes a box's log key, an Ed25519 key of the signed-note form, apart from its TLS key. secret goes to the box's
// credentials; public is published and names the box. One key signs every epoch of the box.
func NewKey(random io.Reader, box gateway.BoxID) (secret, public string, err error) {
	if err := checkBox(box); err != nil {
		return "", "", fmt.Errorf("make log key: %w", err)
	}
	if secret, public, err = note.GenerateKey(random, originPrefix+string(box)); err != nil {
		return "", "", fmt.Errorf("make log key: %w", err)
	}
	return secret, public, nil
}

// checkBox holds a box's name to what fits one path element of an origin line and a key name.
func checkBox(box gateway.BoxID) error {
	if box == "" || strings.ContainsFunc(string(box), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}) {
		return fmt.Errorf("box name %q must be of letters, digits, '-', '_' and '.'", string(box))
	}
	return nil
}

// Origin names one epoch of one box's log: the first line of its checkpoints.
func Origin(box gateway.BoxID, epoch uint32) string {
	return originPrefix + string(box) + "/" + strconv.FormatUint(uint64(epoch), 10)
}

// SignCheckpoint makes the signed note (c2sp.org/tlog-checkpoint) that promises: the log of this box and epoch, at this
// size, has this root, and no other of this epoch will ever be signed that contradicts it.
func SignCheckpoint(box gateway.BoxID, head Head, signer note.Signer) (string, error) {
	if err := checkBox(box); err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	if want := originPrefix + string(box); signer.Name() != want {
		return "", fmt.Errorf("sign checkpoint: the log key is of %q, not of %q", signer.Name(), want)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", Origin(box, head.Epoch), head.Size, base64.StdEncoding.EncodeToString(head.Root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	return string(signed), nil
}

// OpenCheckpoint reads a checkpoint and checks the box's signature. Cosignatures of others may stand beside it.
func OpenCheckpoint(checkpoint string, verifier note.Verifier) (Head, error) {
	if len(checkpoint) > MaxCheckpoint {
		return Head{}, fmt.Errorf("open checkpoint: %d bytes are more than %d", len(checkpoint), MaxCheckpoint)
	}
	n, err := note.Open([]byte(checkpoint), note.VerifierList(verifier))
	if err != nil {
		return Head{}, fmt.Errorf("open checkpoint: %w", err)
	}
	box, head, err := parseCheckpoint(n.Text)
	if err != nil {
		return Head{}, fmt.Errorf("open checkpoint: %w", err)
	}
	if originPrefix+string(box) != verifier.Name() {
		return Head{}, fmt.Errorf("open checkpoint: it is of box %q but signed by %q", string(box), verifier.Name())
	}
	return head, nil
}

// PeekCheckpoint reads what a checkpoint claims without checking any signature: enough to raise an alarm, never enough
// to trust.
func PeekCheckpoint(checkpoint string) (gateway.BoxID, Head, error) {
	text, _, found := strings.Cut(checkpoint, "\n\n")
	if !found || len(checkpoint) > MaxCheckpoint {
		return "", Head{}, errors.New("read checkpoint: it is not a signed note")
	}
	box, head, err := parseCheckpoint(text + "\n")
	if err != nil {
		return "", Head{}, fmt.Errorf("read checkpoint: %w", err)
	}
	return box, head, nil
}

// parseCheckpoint reads exactly the three lines that SignCheckpoint writes; extension lines are refused.
func parseCheckpoint(text string) (gateway.BoxID, Head, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return "", Head{}, errors.New("it must have three lines: origin, size and root")
	}
	path, ok := strings.CutPrefix(lines[0], originPrefix)
	name, number, ok2 := strings.Cut(path, "/")
	epoch, err := strconv.ParseUint(number, 10, 32)
	box := gateway.BoxID(name)
	if !ok || !ok2 || err != nil || checkBox(box) != nil || Origin(box, uint32(epoch)) != lines[0] {
		return "", Head{}, fmt.Errorf("origin %q is not of the form tapward/box/epoch", lines[0])
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return "", Head{}, fmt.Errorf("size %q is not a plain number", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(gateway.Digest{}) {
		return "", Head{}, fmt.Errorf("root %q is not 32 bytes in base64", lines[2])
	}
	return box, Head{Epoch: uint32(epoch), Size: size, Root: gateway.Digest(root)}, nil
}
