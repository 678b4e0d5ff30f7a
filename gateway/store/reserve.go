package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"tapward/gateway"
)

// reserve is a preallocated file beside the database. Deleting it makes room for locks and returns on a full disk; it
// comes back when there is room for it above the low-water mark.
type reserve struct {
	path     string
	size     int64
	lowWater int64

	mu     sync.Mutex
	absent bool // the file is not in place
	full   bool // a commit found no room since the reserve was last in place
}

// headroom is what opening a database itself may need: SQLite's shared index and a few pages.
const headroom = 512 << 10

// openReserve puts the reserve in place if there is room, and takes it away at once where there is not even enough to
// open the database.
func openReserve(database string, size, lowWater int64) (*reserve, error) {
	r := &reserve{path: database + ".reserve", size: size, lowWater: lowWater, absent: true}
	if info, err := os.Stat(r.path); err == nil {
		r.absent = info.Size() != size
	}
	cramped, err := r.cramped()
	switch {
	case err != nil:
		return nil, err
	case cramped:
		return r, r.release()
	}
	return r, r.restore()
}

// cramped says that there is not even enough room to open a database.
func (r *reserve) cramped() (bool, error) {
	free, err := r.free()
	return free < headroom, err
}

// free is what a file of ours may still take from the disk, in bytes.
func (r *reserve) free() (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(r.path), &fs); err != nil {
		return 0, fmt.Errorf("ask for free space of %s: %w", filepath.Dir(r.path), err)
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}

// release deletes the file. It may be called again.
func (r *reserve) release() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("release the reserve: %w", err)
	}
	r.absent = true
	return nil
}

// restore puts the file back where there is room for it above the low-water mark; otherwise it does nothing.
func (r *reserve) restore() error {
	free, err := r.free()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case free < r.lowWater:
		return nil
	case !r.absent:
		r.full = false
		return nil
	case free < r.lowWater+r.size:
		return nil
	}
	if err := allocate(r.path, r.size); err != nil {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return nil // somebody else took the room; the next try will tell
		}
		return fmt.Errorf("make the reserve: %w", err)
	}
	r.absent, r.full = false, false
	return nil
}

// allocate makes a file of the given size with its blocks, and removes what it made where that fails.
func allocate(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	return syscall.Fallocate(int(f.Fd()), 0, 0, size)
}

func (r *reserve) noteFull() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = true
}

func (r *reserve) standing(free int64) gateway.Storage {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.full, r.absent && free < r.size:
		return gateway.StorageNone
	case r.absent, free < r.lowWater:
		return gateway.StorageNear
	}
	return gateway.StorageOK
}

// Storage asks the file system how much room is left, at the cost of one system call. A file system that does not answer
// has none.
func (s *Store) Storage() gateway.Storage {
	free, err := s.reserve.free()
	if err != nil {
		s.config.Log.Error("Cannot ask for free space", "err", err)
	}
	return s.reserve.standing(free)
}

// ReleaseReserve gives the reserve's room to the next commits. It may be called again. Run puts the reserve back when
// there is room for it above the low-water mark.
func (s *Store) ReleaseReserve() error { return s.reserve.release() }
