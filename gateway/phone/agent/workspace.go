package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tapward/gateway"
	"tapward/gateway/durable"
)

// Workspace is a Device made of a folder and of commands. It gives each session a directory and a random token under
// Root, which clearing removes, and runs the integrator's commands around them.
type Workspace struct {
	Root     string // made where missing; holds nothing else
	Phone    gateway.PhoneID
	Commands Commands
}

// Prepare makes a directory and a token that are no session's yet, in the place of what was prepared before.
func (w Workspace) Prepare() error {
	err := os.RemoveAll(w.prepared())
	for _, dir := range []string{w.sessions(), w.tokens(), w.preparedDir()} {
		err = errors.Join(err, os.MkdirAll(dir, 0o700))
	}
	if err = errors.Join(err, makeToken(w.preparedToken())); err != nil {
		return fmt.Errorf("prepare session: %w", err)
	}
	return nil
}

// Open gives the session its directory and token, and runs the unlock command.
func (w Workspace) Open(ctx context.Context, x Session) error {
	err := w.furnish(w.dir(x), w.preparedDir(), func(dir string) error { return os.MkdirAll(dir, 0o700) })
	if err == nil {
		err = w.furnish(w.token(x), w.preparedToken(), makeToken)
	}
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	return w.Commands.run(ctx, "unlock", w.Commands.Unlock, w.environment(x))
}

// Lock runs the lock command.
func (w Workspace) Lock(ctx context.Context, x Session) error {
	return w.Commands.run(ctx, "lock", w.Commands.Lock, w.environment(x))
}

// Clear locks, runs the clear command, removes the session's directory and token, and verifies: no directory and no
// token of any session is there, and the verify-clear command exits 0. It goes on after a failed step, so that as much
// as possible is gone, and then reports them all.
func (w Workspace) Clear(ctx context.Context, x Session) error {
	env := w.environment(x)
	var errs []error
	if x.Signed != "" {
		errs = append(errs, w.Lock(ctx, x))
	}
	errs = append(errs, w.Commands.run(ctx, "clear", w.Commands.Clear, env))
	errs = append(errs, os.RemoveAll(w.prepared()))
	if x.Signed != "" {
		errs = append(errs, os.RemoveAll(w.dir(x)), remove(w.token(x)))
	}
	errs = append(errs, w.verify(), w.Commands.run(ctx, "verify-clear", w.Commands.VerifyClear, env))
	return errors.Join(errs...)
}

// verify finds what is left of any session, and makes durable that nothing is: a directory removed before a power cut
// must not be back after it.
func (w Workspace) verify() error {
	for _, dir := range []string{w.sessions(), w.tokens()} {
		left, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("verify clear: %w", err)
		}
		if len(left) > 0 {
			return fmt.Errorf("verify clear: %d left in %s", len(left), dir)
		}
		if err := durable.Folder(dir); err != nil {
			return fmt.Errorf("verify clear: %w", err)
		}
	}
	return nil
}

// Plant leaves something behind that no clearing removes and every verify step finds, for examinations; Unplant takes
// it away.
func (w Workspace) Plant() error {
	if err := os.MkdirAll(w.planted(), 0o700); err != nil {
		return fmt.Errorf("plant a leftover: %w", err)
	}
	return nil
}

// Unplant may be called where nothing was planted.
func (w Workspace) Unplant() error {
	if err := remove(w.planted()); err != nil {
		return fmt.Errorf("take the leftover away: %w", err)
	}
	return nil
}

func (w Workspace) sessions() string { return filepath.Join(w.Root, "sessions") }
func (w Workspace) tokens() string   { return filepath.Join(w.Root, "tokens") }
func (w Workspace) prepared() string { return filepath.Join(w.Root, "prepared") }
func (w Workspace) planted() string  { return filepath.Join(w.sessions(), "planted") }

func (w Workspace) preparedDir() string   { return filepath.Join(w.prepared(), "session") }
func (w Workspace) preparedToken() string { return filepath.Join(w.prepared(), "token") }

// dir and token are named after the grant, so that a restarted agent finds them.
func (w Workspace) dir(x Session) string   { return filepath.Join(w.sessions(), label(x)) }
func (w Workspace) token(x Session) string { return filepath.Join(w.tokens(), label(x)) }

func label(x Session) string { return x.Grant.Digest().String()[:32] }

// furnish keeps what is there, since the session is being resumed; otherwise it takes what was prepared, or makes it.
func (w Workspace) furnish(path, prepared string, make func(string) error) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(prepared, path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return make(path)
}

func makeToken(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(rand.Text())
	return errors.Join(err, file.Close())
}

func (w Workspace) environment(x Session) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "TAPWARD_PHONE=" + string(w.Phone)}
	if x.Signed == "" {
		return env
	}
	return append(env,
		"TAPWARD_BOX="+string(x.Grant.Box),
		"TAPWARD_GRANT="+x.Grant.Digest().String(),
		"TAPWARD_NAME="+x.Name,
		"TAPWARD_REASON="+string(x.Reason),
		"TAPWARD_SESSION_DIR="+w.dir(x),
		"TAPWARD_TOKEN_FILE="+w.token(x))
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
