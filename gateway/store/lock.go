package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockFor takes the lock beside the database, which keeps a second writer out: the daemon and a tool never both write.
// The kernel lets go of it when the process ends, however it ends. The file stays and names the last owner.
func lockFor(database string) (*os.File, error) {
	path := database + ".lock"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain("take the lock", path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner := ownerOf(f)
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by %s; stop that first", database, owner)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The name is for people. On a full disk it may fail; the lock holds all the same.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%s (process %d)\n", filepath.Base(os.Args[0]), os.Getpid()), 0)
	}
	return f, nil
}

func ownerOf(f *os.File) string {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 256))
	if owner := strings.TrimSpace(string(text)); err == nil && owner != "" {
		return owner
	}
	return "another program"
}

// explain says what to do about the ordinary reasons why a file cannot be opened.
func explain(what, path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: the folder %s does not exist; make it first, owned by the user who runs this program",
			what, filepath.Dir(path))
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: user %d may not write to %s; give it to the user who runs this program: %w",
			what, os.Geteuid(), filepath.Dir(path), err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
