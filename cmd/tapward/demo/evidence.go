package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tapward/gateway/audit"
	"tapward/gateway/store"
)

// verifies stops the ward and has the whole log checked in a copy of the database, by the tool and under the box's
// public key.
func verifies(ctx context.Context, t *tale) error {
	if err := t.close(); err != nil {
		return err
	}
	said, err := t.verify(ctx, "copy", func(string) error { return nil })
	if err != nil {
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}

// flipped changes one byte of a record in the middle of a copied log, and expects to be told which record it is.
func flipped(ctx context.Context, t *tale) error {
	var index int64
	said, err := t.verify(ctx, "flipped", func(path string) (err error) {
		index, err = flip(ctx, path)
		return err
	})
	if failed := (*exec.ExitError)(nil); !errors.As(err, &failed) {
		return fmt.Errorf("verify did not fail (%v)\n%s", err, said)
	}
	if want := fmt.Sprintf("record %d:", index); !strings.Contains(said, want) {
		return fmt.Errorf("verify did not name %s\n%s", want, said)
	}
	return nil
}

// verify copies the database with what lies beside it, does something to the copy, and runs the tool on it.
func (t *tale) verify(ctx context.Context, name string, change func(path string) error) (said string, err error) {
	to := filepath.Join(t.ward.Dir, name)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(to, filepath.Base(t.database()))
	for _, end := range []string{"", "-wal", ".anchor"} {
		content, err := os.ReadFile(t.database() + end)
		if errors.Is(err, fs.ErrNotExist) && end != "" {
			continue
		}
		if err == nil {
			err = os.WriteFile(path+end, content, 0o600)
		}
		if err != nil {
			return "", fmt.Errorf("copy the database: %w", err)
		}
	}
	if err := change(path); err != nil {
		return "", err
	}
	key, err := t.logKey()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(t.bin, "tapward"), "verify", "--key", key, path).CombinedOutput()
	return string(out), err
}

// logKey is the public half of the box's key to its log, from the box itself.
func (t *tale) logKey() (string, error) {
	secret, err := os.ReadFile(filepath.Join(boxFolder(t.ward.Dir), "log-key"))
	if err != nil {
		return "", err
	}
	return audit.PublicKey(strings.TrimSpace(string(secret)))
}

// flip changes one bit of one record, wherever in the file its bytes lie, and says which record it was.
func flip(ctx context.Context, path string) (index int64, err error) {
	c, err := store.OpenCopy(ctx, path)
	if err != nil {
		return 0, err
	}
	epochs, err := c.Epochs(ctx)
	if err == nil && len(epochs) == 0 {
		err = errors.New("the log is empty")
	}
	var leaves []audit.Stored
	if err == nil {
		leaves, err = c.Leaves(ctx, epochs[0].Number, epochs[0].Size/2, 20)
	}
	if err := errors.Join(err, c.Close()); err != nil {
		return 0, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for _, l := range leaves {
		if !bytes.Contains(content, l.Leaf) {
			continue // it lies across two pages
		}
		changed := bytes.Clone(l.Leaf)
		changed[len(changed)/2] ^= 1
		return l.Index, os.WriteFile(path, bytes.ReplaceAll(content, l.Leaf, changed), 0o600)
	}
	return 0, errors.New("no record lies in one piece in the file")
}
