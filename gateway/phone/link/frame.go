package link

import (
	"encoding/binary"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-jose/go-jose/v4/json" // decodes member names exactly and refuses repeated ones
)

// Message is one of Greet, Hello, Order, ReceiptMessage, StatusMessage, Ping and Ack.
type Message interface {
	typed() Message // with its Type filled in
	check() error   // whether its members keep their bounds
}

const lengthSize = 4

// EncodeFrame is a message as it goes over the wire: its length in four bytes, big-endian, and its JSON. Type is filled
// in. A message beyond its bounds is an error.
func EncodeFrame(m Message) ([]byte, error) {
	m = m.typed()
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	body, err := stdjson.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	if len(body) > MaxMessage {
		return nil, fmt.Errorf("encode message: %d bytes, at most %d are allowed", len(body), MaxMessage)
	}
	frame := make([]byte, lengthSize, lengthSize+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	return append(frame, body...), nil
}

// ReadMessage reads one frame. A length beyond MaxMessage is refused before anything is allocated for it. io.EOF means
// that r ended between two messages.
func ReadMessage(r io.Reader) (Message, error) {
	var head [lengthSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("read message: %w", err)
	}
	length := binary.BigEndian.Uint32(head[:])
	if length == 0 || length > MaxMessage {
		return nil, &Malformed{fmt.Sprintf("length %d, want 1 to %d", length, MaxMessage)}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read message: %w", err)
	}
	return Decode(body)
}

// Malformed is a message that breaks the protocol; the link that carried it is closed.
type Malformed struct{ Why string }

func (e *Malformed) Error() string { return "malformed message: " + e.Why }

// malformed keeps what a peer can make us log short.
func malformed(err error) error { return &Malformed{cut(err.Error(), maxWhy)} }

const maxWhy = 200

// Decode reads one message's JSON: one value, of a known type, within its bounds. Members it does not know are passed
// over, so that a later agent may add some.
func Decode(body []byte) (Message, error) {
	var head struct {
		Type Type `json:"type"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return nil, malformed(err)
	}
	switch head.Type {
	case TypeGreet:
		return decodeAs[Greet](body)
	case TypeHello:
		return decodeAs[Hello](body)
	case TypeCommand:
		return decodeAs[Order](body)
	case TypeReceipt:
		return decodeAs[ReceiptMessage](body)
	case TypeStatus:
		return decodeAs[StatusMessage](body)
	case TypePing:
		return decodeAs[Ping](body)
	case TypeAck:
		return decodeAs[Ack](body)
	}
	return nil, &Malformed{fmt.Sprintf("type %.20q is not known", string(head.Type))}
}

func decodeAs[M Message](body []byte) (Message, error) {
	var m M
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, malformed(err)
	}
	if err := m.check(); err != nil {
		return nil, malformed(err)
	}
	return m, nil
}

func (m Greet) typed() Message          { m.Type = TypeGreet; return m }
func (m Hello) typed() Message          { m.Type = TypeHello; return m }
func (m Order) typed() Message          { m.Type = TypeCommand; return m }
func (m ReceiptMessage) typed() Message { m.Type = TypeReceipt; return m }
func (m StatusMessage) typed() Message  { m.Type = TypeStatus; return m }
func (m Ping) typed() Message           { m.Type = TypePing; return m }
func (m Ack) typed() Message            { m.Type = TypeAck; return m }

// typeOf names a message in words meant for people.
func typeOf(m Message) Type {
	switch m.(type) {
	case Greet:
		return TypeGreet
	case Hello:
		return TypeHello
	case Order:
		return TypeCommand
	case ReceiptMessage:
		return TypeReceipt
	case StatusMessage:
		return TypeStatus
	case Ping:
		return TypePing
	case Ack:
		return TypeAck
	}
	return "unknown"
}
