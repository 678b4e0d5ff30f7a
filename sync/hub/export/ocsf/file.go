package ocsf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tapward/sync/hub/export"
)

// File is a file that a collector follows, a line for each event. It belongs to one feed.
//
// What is counted as delivered is on the disk. A record whose line was written just before a crash may be there twice, with
// one metadata.uid; half a line is taken away when the file is opened again.
type File struct {
	Path string
	Size int64 // the file is put aside when it is as large; 0: MaxFile
	Keep int   // files put aside that stay, the newest; 0: all

	open *os.File
	size int64
}

// MaxFile is how large a file becomes where nothing is said.
const MaxFile = 64 << 20

// Confirms says that what was written was synced.
func (*File) Confirms() bool { return true }

// Close lets go of the file. Deliver opens it again.
func (f *File) Close() error {
	if f.open == nil {
		return nil
	}
	open := f.open
	f.open = nil
	return open.Close()
}

// Deliver appends and syncs.
func (f *File) Deliver(_ context.Context, records []export.Record) ([]export.Answer, error) {
	if err := f.append(records); err != nil {
		f.Close() // what of it is on the disk is seen when it is opened again
		return nil, fmt.Errorf("write %s: %w", f.Path, err)
	}
	return make([]export.Answer, len(records)), nil
}

func (f *File) append(records []export.Record) (err error) {
	var lines []byte
	for _, r := range records {
		if lines, err = (Lines{}).Append(lines, r); err != nil {
			return err
		}
	}
	if err := f.ready(int64(len(lines))); err != nil {
		return err
	}
	n, err := f.open.Write(lines)
	f.size += int64(n)
	if err != nil {
		return err
	}
	return f.open.Sync()
}

// ready opens the file, and puts it aside first where it would grow too large.
func (f *File) ready(more int64) error {
	if f.open == nil {
		if err := f.reopen(); err != nil {
			return err
		}
	}
	limit := f.Size
	if limit <= 0 {
		limit = MaxFile
	}
	if f.size == 0 || f.size+more <= limit {
		return nil
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Path, f.aside(time.Now())); err != nil {
		return err
	}
	if err := f.reopen(); err != nil {
		return err
	}
	return f.prune()
}

// reopen opens the file, takes half a line at its end away, and syncs its folder, so that the file is there after a crash.
func (f *File) reopen() error {
	open, err := os.OpenFile(f.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	size, err := wholeLines(open)
	if err == nil {
		err = open.Truncate(size)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(f.Path))
	}
	if err != nil {
		return errors.Join(err, open.Close())
	}
	f.open, f.size = open, size
	return nil
}

// wholeLines is where the last line ends.
func wholeLines(file *os.File) (int64, error) {
	end, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	block := make([]byte, 64<<10)
	for end > 0 {
		n := min(end, int64(len(block)))
		if _, err := file.ReadAt(block[:n], end-n); err != nil {
			return 0, err
		}
		if at := bytes.LastIndexByte(block[:n], '\n'); at >= 0 {
			return end - n + int64(at) + 1, nil
		}
		end -= n
	}
	return 0, nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// stamp orders files by their names.
const stamp = "20060102T150405.000000000Z"

// aside is events-20261124T070000.000000000Z.jsonl for events.jsonl.
func (f *File) aside(at time.Time) string {
	ext := filepath.Ext(f.Path)
	return strings.TrimSuffix(f.Path, ext) + "-" + at.UTC().Format(stamp) + ext
}

// prune takes the oldest files away that were put aside.
func (f *File) prune() error {
	if f.Keep <= 0 {
		return nil
	}
	ext := filepath.Ext(f.Path)
	prefix := strings.TrimSuffix(filepath.Base(f.Path), ext) + "-"
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	if err != nil {
		return err
	}
	var aside []string
	for _, e := range entries {
		middle, isOurs := strings.CutPrefix(strings.TrimSuffix(e.Name(), ext), prefix)
		if _, err := time.Parse(stamp, middle); isOurs && err == nil && filepath.Ext(e.Name()) == ext {
			aside = append(aside, filepath.Join(filepath.Dir(f.Path), e.Name()))
		}
	}
	slices.Sort(aside)
	for _, path := range aside[:max(len(aside)-f.Keep, 0)] {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
