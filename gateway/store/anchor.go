package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"syscall"

	"tapward/gateway/audit"
	"tapward/gateway/durable"
)

// The anchor holds the newest signed checkpoint outside the database: two slots, written in place in turn, so that a
// power cut in the middle of one leaves the other. It finds what SQLite cannot: a WAL that was cut short, a database that
// was put back.
//
//	0    8 bytes  "TPWDANC1"
//	8    8 bytes  write counter, big-endian; the higher one is newer; slot is counter modulo 2
//	16   2 bytes  length of the checkpoint, big-endian
//	18            checkpoint, then zeros
//	4092 4 bytes  CRC-32C of everything before, big-endian
//
// A slot of zeros has not been written yet.
const (
	slotSize    = 4096
	slotMagic   = "TPWDANC1"
	slotText    = 18
	slotSum     = slotSize - 4
	slotMaxText = slotSum - slotText
)

type anchorFile struct {
	path    string
	file    *os.File
	counter uint64
	newest  string // the newest checkpoint that can be read; empty: none
	damage  error  // a slot, or the file, that is not as it was written
}

func anchorPath(database string) string { return database + ".anchor" }

// openAnchor opens the anchor for writing, and makes a blank one only for a database that is being made.
func openAnchor(database string, create bool) (*anchorFile, error) {
	a := &anchorFile{path: anchorPath(database)}
	var err error
	a.file, err = os.OpenFile(a.path, os.O_RDWR, 0)
	missing := errors.Is(err, os.ErrNotExist)
	if missing {
		a.file, err = os.OpenFile(a.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, explain("open anchor", a.path, err)
	}
	if missing {
		if err := errors.Join(a.erase(), durable.Folder(filepath.Dir(a.path))); err != nil {
			return nil, errors.Join(err, a.close())
		}
		if !create {
			a.damage = errors.New("the anchor file is missing")
		}
		return a, nil
	}
	if err := a.read(); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *anchorFile) close() error { return a.file.Close() }

// erase makes both slots blank.
func (a *anchorFile) erase() error {
	a.newest, a.counter = "", 0
	if _, err := a.file.WriteAt(make([]byte, 2*slotSize), 0); err != nil {
		return fmt.Errorf("write anchor: %w", err)
	}
	if err := a.file.Sync(); err != nil {
		return fmt.Errorf("write anchor: %w", err)
	}
	return nil
}

// read takes the newer of the slots that can be read and notes what is wrong with the other.
func (a *anchorFile) read() error {
	b, err := os.ReadFile(a.path)
	if err != nil {
		return fmt.Errorf("read anchor: %w", err)
	}
	if len(b) != 2*slotSize {
		a.damage = fmt.Errorf("the anchor file has %d bytes instead of %d", len(b), 2*slotSize)
		return nil
	}
	var counters [2]uint64
	for i := range counters {
		text, counter, err := readSlot(b[i*slotSize : (i+1)*slotSize])
		if err == nil && text != "" && counter%2 != uint64(i) {
			err = errors.New("it was moved")
		}
		if err != nil {
			a.damage = fmt.Errorf("slot %d of the anchor file is torn or was changed: %w", i, err)
			continue
		}
		if counters[i] = counter; counter > a.counter {
			a.counter, a.newest = counter, text
		}
	}
	if a.damage == nil && a.counter > 1 && counters[0]+counters[1] != 2*a.counter-1 {
		a.damage = errors.New("the slots of the anchor file do not follow one another")
	}
	return nil
}

func readSlot(slot []byte) (text string, counter uint64, err error) {
	if allZero(slot) {
		return "", 0, nil
	}
	length := int(binary.BigEndian.Uint16(slot[16:]))
	if string(slot[:8]) != slotMagic || length > slotMaxText ||
		binary.BigEndian.Uint32(slot[slotSum:]) != crc32.Checksum(slot[:slotSum], crc32.MakeTable(crc32.Castagnoli)) {
		return "", 0, errors.New("its checksum is wrong")
	}
	return string(slot[slotText : slotText+length]), binary.BigEndian.Uint64(slot[8:]), nil
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// write puts a checkpoint into the older slot and makes it durable.
func (a *anchorFile) write(checkpoint string) error {
	if len(checkpoint) > slotMaxText {
		return fmt.Errorf("write anchor: the checkpoint has %d bytes, more than %d", len(checkpoint), slotMaxText)
	}
	counter := a.counter + 1
	slot := make([]byte, slotSize)
	copy(slot, slotMagic)
	binary.BigEndian.PutUint64(slot[8:], counter)
	binary.BigEndian.PutUint16(slot[16:], uint16(len(checkpoint)))
	copy(slot[slotText:], checkpoint)
	binary.BigEndian.PutUint32(slot[slotSum:], crc32.Checksum(slot[:slotSum], crc32.MakeTable(crc32.Castagnoli)))
	if _, err := a.file.WriteAt(slot, int64(counter%2)*slotSize); err != nil {
		return fmt.Errorf("write anchor: %w", err)
	}
	if err := syscall.Fdatasync(int(a.file.Fd())); err != nil {
		return fmt.Errorf("write anchor: %w", err)
	}
	a.counter, a.newest = counter, checkpoint
	return nil
}

// ReadAnchor reads the checkpoint beside a database, or beside a copy of one, for a verification. Unlike Open it forgives
// nothing: a slot that a power cut tore is reported too, with the checkpoint that the other slot holds. The signature is
// for the caller to check. An anchor that was never written gives an empty checkpoint.
func ReadAnchor(database string) (checkpoint string, err error) {
	a := &anchorFile{path: anchorPath(database)}
	if err := a.read(); err != nil {
		return "", err
	}
	if a.newest != "" {
		if _, _, err := audit.PeekCheckpoint(a.newest); err != nil {
			return "", fmt.Errorf("read anchor: %w", err)
		}
	}
	return a.newest, a.damage
}
