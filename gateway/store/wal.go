package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// walRoom is more than the WAL holds at work: SQLite moves 1,000 pages of 4 KiB into the database at the latest.
const walRoom = 5 << 20

// extendWAL gives the WAL its size at work before the first commit, so that commits overwrite blocks that are there: a
// flush of a file that grows waits for the file system's journal too. Nobody else may be writing. SQLite takes the zeros
// behind the last frame for the end. It serves speed alone: where there is no room, the WAL stays as it was.
func extendWAL(database string) error {
	path := database + "-wal"
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return explain("extend write-ahead log", path, err)
	}
	stat, err := file.Stat()
	if err == nil && stat.Size() < walRoom {
		if _, err = file.WriteAt(make([]byte, walRoom-stat.Size()), stat.Size()); err == nil {
			err = file.Sync()
		}
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = file.Truncate(stat.Size())
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("extend write-ahead log %s: %w", path, err)
	}
	return nil
}
