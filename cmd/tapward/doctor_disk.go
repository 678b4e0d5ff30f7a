package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"tapward/gateway"
	"tapward/gateway/store"
)

// walMost is in bytes; a box that moves its write-ahead log on keeps it far below.
const walMost = 64 << 20

func checkDisk(_ context.Context, p patient) []finding {
	folder := p.config.Data
	stat, err := os.Stat(folder)
	if err != nil {
		return []finding{{ill, "disk", "data folder " + folder + ": " + cause(err), "make it, owned by the user who runs tapwardd, with mode 0700"}}
	}
	found := []finding{checkRoom(folder, p.ward), checkWritable(folder, stat)}
	if wal := checkWAL(folder); wal.What != "" {
		found = append(found, wal)
	}
	return found
}

func checkRoom(folder string, w *gateway.Ward) finding {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil {
		return finding{ill, "disk", "cannot ask for free space of " + folder + ": " + err.Error(), "see whether the disk is mounted"}
	}
	free := int64(disk.Bavail) * disk.Bsize
	what := fmt.Sprintf("%s is free at %s", size(free), folder)
	switch do := "make room: old logs and packages first, never files of " + folder; {
	case w != nil && w.Storage != gateway.StorageOK:
		return finding{ill, "disk", fmt.Sprintf("storage is %s: %s", w.Storage, what), do}
	case free < store.LowWater:
		return finding{ill, "disk", fmt.Sprintf("%s, less than the low-water mark of %s: no new check-outs", what, size(store.LowWater)), do}
	case disk.Files > 0 && disk.Ffree == 0:
		return finding{ill, "disk", "no file can be made any more at " + folder + ": the file system is out of inodes", do}
	case free < 4*store.LowWater:
		return finding{doubt, "disk", what + ", not far above the low-water mark of " + size(store.LowWater), do}
	}
	return finding{well, "disk", what, ""}
}

func checkWritable(folder string, stat fs.FileInfo) finding {
	owner := int(stat.Sys().(*syscall.Stat_t).Uid)
	f, err := os.CreateTemp(folder, ".doctor-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return finding{doubt, "disk", fmt.Sprintf("this user may not write to %s, so that it was not tried", folder), "run doctor as root or as " + userName(owner)}
	case err != nil:
		return finding{ill, "disk", "cannot write to " + folder + ": " + cause(err), "dmesg says whether the disk fails or was mounted read-only"}
	case stat.Mode().Perm()&0o077 != 0:
		return finding{doubt, "disk", fmt.Sprintf("others may look into %s (mode %04o)", folder, stat.Mode().Perm()), "chmod 700 " + folder}
	}
	return finding{well, "disk", fmt.Sprintf("%s can be written to; it belongs to %s", folder, userName(owner)), ""}
}

// checkWAL looks at the write-ahead log. That there is no database says nothing here: a new box makes one.
func checkWAL(folder string) finding {
	database := filepath.Join(folder, store.DatabaseFile)
	if _, err := os.Stat(database); err != nil {
		return finding{doubt, "disk", "there is no database yet at " + database, "tapwardd makes it when it first starts"}
	}
	stat, err := os.Stat(database + "-wal")
	if err != nil {
		return finding{}
	}
	if stat.Size() > walMost {
		return finding{doubt, "disk", fmt.Sprintf("the write-ahead log has grown to %s", size(stat.Size())),
			"something keeps the database open: end long reads of it, then restart tapwardd"}
	}
	return finding{well, "disk", fmt.Sprintf("the write-ahead log has %s", size(stat.Size())), ""}
}

// size is a number of bytes for people.
func size(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
