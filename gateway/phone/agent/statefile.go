package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"tapward/gateway"
	"tapward/gateway/durable"
)

// StateFile keeps a State so that a crash at any moment leaves the newest one or the one before. It holds two slots,
// written in turn and in place, each with a generation and a hash: a torn slot is known for what it is and the other
// counts. The file has its full size from the start, so that storing never needs room and syncs data only.
type StateFile struct {
	file       *os.File
	generation uint64
}

// A slot is: magic, generation (8 bytes), length (4 bytes), JSON, SHA-256 over all of that.
const (
	slotSize  = 64 << 10
	slotMagic = "tapward1"
	slotHead  = len(slotMagic) + 8 + 4
)

// CreateStateFile makes the state of a phone that was never used. An existing file is left alone: fs.ErrExist.
func CreateStateFile(path string, phone gateway.PhoneID) error {
	if err := createStateFile(path, phone); err != nil {
		return fmt.Errorf("create lock state: %w", err)
	}
	return nil
}

func createStateFile(path string, phone gateway.PhoneID) error {
	slot, err := encodeSlot(State{Phone: phone}, 1)
	if err != nil {
		return err
	}
	content := make([]byte, 2*slotSize)
	copy(content[slotSize:], slot)
	return durable.Create(path, content)
}

// OpenStateFile opens a file that CreateStateFile made and reads the newest state. No other process can have it open. A
// missing or damaged file is an error and stays as it is: a phone that forgot its fence must be looked at by people.
func OpenStateFile(path string) (*StateFile, State, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, State{}, fmt.Errorf("open lock state: %w", err)
	}
	f := &StateFile{file: file}
	state, err := f.read()
	if err != nil {
		file.Close()
		return nil, State{}, fmt.Errorf("open lock state %s: %w", path, err)
	}
	return f, state, nil
}

func (f *StateFile) read() (State, error) {
	if err := unix.Flock(int(f.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return State{}, errors.New("another agent has it open")
	}
	content, err := io.ReadAll(io.LimitReader(f.file, 2*slotSize))
	if err != nil {
		return State{}, err
	}
	state, generation, err := newest(content)
	f.generation = generation
	return state, err
}

// Save stores s durably. After an error it is not known which state the file holds, and the agent must end; when it
// starts again, the file says.
func (f *StateFile) Save(s State) error {
	slot, err := encodeSlot(s, f.generation+1)
	if err != nil {
		return fmt.Errorf("store lock state: %w", err)
	}
	f.generation++
	if _, err := f.file.WriteAt(slot, slotOffset(f.generation)); err != nil {
		return fmt.Errorf("store lock state: %w", err)
	}
	if err := unix.Fdatasync(int(f.file.Fd())); err != nil {
		return fmt.Errorf("store lock state: %w", err)
	}
	return nil
}

// Close releases the file.
func (f *StateFile) Close() error { return f.file.Close() }

func slotOffset(generation uint64) int64 { return int64(generation%2) * slotSize }

func encodeSlot(s State, generation uint64) ([]byte, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	if slotHead+len(body)+sha256.Size > slotSize {
		return nil, fmt.Errorf("%d bytes do not fit a slot of %d", len(body), slotSize)
	}
	slot := append(make([]byte, 0, slotHead+len(body)+sha256.Size), slotMagic...)
	slot = binary.BigEndian.AppendUint64(slot, generation)
	slot = binary.BigEndian.AppendUint32(slot, uint32(len(body)))
	slot = append(slot, body...)
	sum := sha256.Sum256(slot)
	return append(slot, sum[:]...), nil
}

func decodeSlot(slot []byte) (s State, generation uint64, err error) {
	if len(slot) < slotHead+sha256.Size || !bytes.HasPrefix(slot, []byte(slotMagic)) {
		return State{}, 0, errors.New("not a slot")
	}
	generation = binary.BigEndian.Uint64(slot[len(slotMagic):])
	length := int(binary.BigEndian.Uint32(slot[len(slotMagic)+8:]))
	if length > len(slot)-slotHead-sha256.Size {
		return State{}, 0, errors.New("length does not fit")
	}
	sum := sha256.Sum256(slot[:slotHead+length])
	if !bytes.Equal(sum[:], slot[slotHead+length:][:sha256.Size]) {
		return State{}, 0, errors.New("hash does not match")
	}
	if err := json.Unmarshal(slot[slotHead:slotHead+length], &s); err != nil {
		return State{}, 0, err
	}
	return s, generation, nil
}

// newest is the state of the valid slot with the higher generation.
func newest(content []byte) (s State, generation uint64, err error) {
	for _, offset := range []int{0, slotSize} {
		slot := content[min(offset, len(content)):min(offset+slotSize, len(content))]
		if state, g, err := decodeSlot(slot); err == nil && g > generation {
			s, generation = state, g
		}
	}
	if generation == 0 {
		return State{}, 0, errors.New("both copies are damaged; the phone must be set up and paired again")
	}
	return s, generation, nil
}
