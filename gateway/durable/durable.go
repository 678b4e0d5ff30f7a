// Package durable writes a file whole or not at all, so that no crash and no full disk leaves half of one.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// Create makes a file that only its owner may read. A file that is there is never overwritten: the error is then
// fs.ErrExist. It is durable when Create returns without an error.
func Create(path string, content []byte) error {
	return put(path, content, os.Link) // fails where path exists, unlike rename
}

// Replace puts a file that only its owner may read at path, in the place of whatever file is there. After an error the
// former file is still there, or the new one already is.
func Replace(path string, content []byte) error {
	return put(path, content, os.Rename)
}

// put writes a draft beside path and then gives it its name.
func put(path string, content []byte, name func(draft, path string) error) error {
	folder := filepath.Dir(path)
	draft, err := os.CreateTemp(folder, ".draft-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(content)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := name(draft.Name(), path); err != nil {
		return err
	}
	return Folder(folder)
}

// Folder makes the names in a folder durable.
func Folder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
