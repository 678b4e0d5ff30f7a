package gateway

import "errors"

// ErrStorageFull says that the disk had no room: the batch was dropped and nothing changed.
var ErrStorageFull = errors.New("no room on the disk")

// Storage is how much room the box has left.
type Storage uint8

const (
	StorageOK   Storage = iota
	StorageNear         // below the low-water mark: no new check-outs
	StorageNone         // nothing can be written; the reserve is in use or used up
)

var storages = [...]string{"ok", "low", "exhausted"}

func (s Storage) String() string               { return name(storages[:], int(s)) }
func (s Storage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
func (s *Storage) UnmarshalText(text []byte) error {
	return parse(storages[:], "storage", text, s)
}
