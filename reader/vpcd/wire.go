package vpcd

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// A message is its length in two bytes, big endian, and then itself. One byte alone is a control.
const (
	controlOff   = 0x00
	controlOn    = 0x01
	controlReset = 0x02
	controlATR   = 0x04
)

func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, fmt.Errorf("message cut short: %w", err)
	}
	return message, nil
}

func writeMessage(w io.Writer, message []byte) error {
	if len(message) > 0xFFFF {
		return fmt.Errorf("answer of %d bytes is longer than a message can be", len(message))
	}
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message)))
	_, err := w.Write(append(framed, message...))
	return err
}

// prompt acknowledges at once what it reads. The driver writes length and message apart, and its second write would
// wait for our delayed acknowledgement of the first: 40 ms at every command.
type prompt struct{ *net.TCPConn }

func (p prompt) Read(b []byte) (int, error) {
	raw, err := p.SyscallConn()
	if err != nil {
		return 0, err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
	if err != nil {
		return 0, err
	}
	if refused != nil {
		return 0, fmt.Errorf("set quick acknowledgement: %w", refused)
	}
	return p.TCPConn.Read(b)
}
