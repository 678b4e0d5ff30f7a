package enrol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	enrolmentFile = "enrolment.json"
	claimFile     = "claim.json"
	unfinished    = ".new"
	maxFile       = 256 << 10
)

// readFile reads one of the files into v. A file that others may read is refused.
func readFile(folder, name string, v any) error {
	f, err := os.Open(filepath.Join(folder, name))
	if err != nil {
		return err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	if stat.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s may be read by others (mode %04o): make it 0600", f.Name(), stat.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s is damaged", f.Name()) // never the decoder's words about a key
	}
	return nil
}

// writeFile replaces one of the files: after a crash at any moment it is the old one or the new one, whole.
func writeFile(folder, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(folder, name+unfinished), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // in vain once it has its name
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(folder, name)); err != nil {
		return err
	}
	return syncFolder(folder)
}

// tidy removes what a crash left of a file that was being written: it holds a key.
func tidy(folder string) error {
	return errors.Join(removeFile(folder, enrolmentFile+unfinished), removeFile(folder, claimFile+unfinished))
}

// removeFile removes one of the files, durably; it may be missing.
func removeFile(folder, name string) error {
	err := os.Remove(filepath.Join(folder, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncFolder(folder))
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
