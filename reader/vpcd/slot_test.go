package vpcd

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// driverSide is vpcd's end of the wire, played by a test.
type driverSide struct {
	t        *testing.T
	listener net.Listener
	conn     net.Conn
}

func listen(t *testing.T) (*driverSide, *Slot) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &driverSide{t: t, listener: l}, &Slot{Name: "test", Address: l.Addr().String()}
}

func (d *driverSide) accept() {
	d.t.Helper()
	var err error
	if d.conn, err = d.listener.Accept(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { d.conn.Close() })
}

func (d *driverSide) send(message string) {
	d.t.Helper()
	raw, err := hex.DecodeString(message)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := writeMessage(d.conn, raw); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driverSide) receive() string {
	d.t.Helper()
	message, err := readMessage(d.conn)
	if err != nil {
		d.t.Fatal(err)
	}
	return hex.EncodeToString(message)
}

// armed runs Arm while the driver looks.
func (d *driverSide) armed(s *Slot, c Card) {
	d.t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Arm(d.t.Context(), c) }()
	d.accept()
	d.send("04")
	if err := <-done; err != nil {
		d.t.Fatal(err)
	}
}

func TestArmedCardIsHeldBackUntilTheTap(t *testing.T) {
	d, s := listen(t)
	d.armed(s, Card{UID: []byte{0xA, 0xB, 0xC, 0xD}})
	d.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := readMessage(d.conn); err == nil {
		t.Error("an armed card answered before the tap")
	}
	d.conn.SetReadDeadline(time.Time{})
	for range 2 {
		if err := s.Tap(); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.receive(); got != hex.EncodeToString(plainATR) {
		t.Errorf("ATR %s", got)
	}
	if err := s.Arm(t.Context(), Card{}); !errors.Is(err, errOccupied) {
		t.Errorf("a second card: %v", err)
	}
	for command, want := range map[string]string{
		"04":                         hex.EncodeToString(plainATR),
		"ffca000000":                 "0a0b0c0d9000",
		"ffca010000":                 "9000",
		"ff00520000":                 "6a81",
		"00a4040007a000000308000010": "6a82",
		"9060000000":                 "6d00",
	} {
		d.send(command)
		if got := d.receive(); got != want {
			t.Errorf("command %s: answer %s, want %s", command, got, want)
		}
	}
}

func TestCardWithAnswersOfItsOwn(t *testing.T) {
	d, s := listen(t)
	d.armed(s, Card{ATR: []byte{0x3B, 0x81}, Answer: func(_ context.Context, command []byte) ([]byte, bool) {
		return []byte{0x91, 0xAF}, command[0] == 0x90
	}})
	s.Tap()
	if got := d.receive(); got != "3b81" {
		t.Errorf("ATR %s", got)
	}
	for command, want := range map[string]string{"9060000000": "91af", "00a40000": "6a82", "ffca000000": "6a81"} {
		d.send(command)
		if got := d.receive(); got != want {
			t.Errorf("command %s: answer %s, want %s", command, got, want)
		}
	}
}

// A card that leaves while it is being switched on stays until the next poll, because the driver would not notice.
func TestRemovedWhileSwitchedOn(t *testing.T) {
	d, s := listen(t)
	d.armed(s, Card{})
	s.Tap()
	d.receive()
	removed := make(chan error, 1)
	presence := s.card
	go func() { removed <- s.Remove() }()
	<-presence.there.Done()
	for _, message := range []string{"04", "01", "04"} {
		d.send(message)
		if message == "04" {
			d.receive()
		}
	}
	d.send("04") // the poll
	if _, err := readMessage(d.conn); !errors.Is(err, io.EOF) {
		t.Errorf("the card is still there: %v", err)
	}
	if err := <-removed; err != nil {
		t.Error(err)
	}
	if s.empty != 1 {
		t.Errorf("the driver must find nothing %d times more, want 1", s.empty)
	}
}

func TestSlotRefuses(t *testing.T) {
	_, s := listen(t)
	if err := s.Tap(); !errors.Is(err, errEmpty) {
		t.Errorf("tap of nothing: %v", err)
	}
	if err := s.Remove(); !errors.Is(err, errEmpty) {
		t.Errorf("removal of nothing: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Arm(ctx, Card{}); !errors.Is(err, context.DeadlineExceeded) { // nobody looks
		t.Errorf("arm without a look: %v", err)
	}
	if err := s.Tap(); !errors.Is(err, errEmpty) {
		t.Errorf("after that a card is there: %v", err)
	}
	s.Namespace = "/nowhere"
	if err := s.Arm(t.Context(), Card{}); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("arm in no namespace: %v", err)
	}
}

func TestDriverThatTalksNonsense(t *testing.T) {
	for _, message := range []string{"", "07"} {
		d, s := listen(t)
		d.armed(s, Card{})
		s.Tap()
		d.receive()
		d.send(message)
		<-s.card.ended
		if err := s.Remove(); err == nil || !strings.Contains(err.Error(), "read from the driver") {
			t.Errorf("message %q: %v", message, err)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	for _, seed := range []string{"000104", "0005ffca000000", "0000", "0005ff", "00", "ffff00", ""} {
		raw, _ := hex.DecodeString(seed)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		message, err := readMessage(r)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeMessage(&again, message); err != nil {
			t.Fatal(err)
		}
		if read := stream[:len(stream)-r.Len()]; !bytes.Equal(again.Bytes(), read) {
			t.Errorf("% X read, % X written", read, again.Bytes())
		}
	})
}

func TestWriteMessageRefusesTooMuch(t *testing.T) {
	if err := writeMessage(io.Discard, make([]byte, 0x10000)); err == nil {
		t.Error("a message longer than its length field was written")
	}
}
