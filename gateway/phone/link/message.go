package link

import "tapward/gateway"

// Protocol is the version spoken here; ALPN names it in the TLS handshake.
const (
	Protocol = 1
	ALPN     = "tapward-phone/1"
)

// MaxMessage bounds one message on the wire, in bytes, both ways. A longer one closes the link.
const MaxMessage = 16 << 10

// Type is the "type" member of every message.
type Type string

const (
	TypeGreet   Type = "greet"   // box:   first message on a link
	TypeHello   Type = "hello"   // phone: answers greet
	TypeCommand Type = "command" // box:   bind, renew, lock, release
	TypeReceipt Type = "receipt" // phone: answers a command, or tells of a lock of its own
	TypeStatus  Type = "status"  // phone: every few seconds, on every change, and at once when pinged
	TypePing    Type = "ping"    // box:   asks for a status with a fresh challenge
	TypeAck     Type = "ack"     // box:   answers hello, receipt and status
)

// Greet opens a link. The nonce is echoed in the hello, so that a signed hello cannot be an old one.
type Greet struct {
	Type       Type          `json:"type"`
	Protocol   int           `json:"protocol"`
	Box        gateway.BoxID `json:"box"`
	Nonce      string        `json:"nonce"` // 16 random bytes, base64url
	Checkpoint string        `json:"checkpoint,omitempty"`
}

// Hello carries the phone's signed word about itself: Signed is a compact JWS (ES256, typ "tapward-hello+jws") over
// HelloClaims.
type Hello struct {
	Type      Type   `json:"type"`
	Protocol  int    `json:"protocol"`
	Signed    string `json:"signed"`
	Challenge string `json:"challenge"`
	Agent     string `json:"agent,omitempty"` // name and version, for people
}

// HelloClaims is what the hello's signature covers.
type HelloClaims struct {
	Phone       gateway.PhoneID          `json:"phone"`
	Nonce       string                   `json:"nonce"`
	BootID      string                   `json:"boot_id"`
	Truth       gateway.Truth            `json:"truth"`
	Held        string                   `json:"held,omitempty"`        // the signed grant it holds
	LeaseLeft   int64                    `json:"lease_left_s"`          // 0: locked or no session
	Checkpoints map[gateway.BoxID]string `json:"checkpoints,omitempty"` // the newest it has seen, per box
}

// Order is one command on the wire. A repeated ID is the same command: the phone answers it with the same receipt and
// acts once. Challenge is one the phone gave on this link not more than 10 s ago.
type Order struct {
	Type       Type                `json:"type"`
	ID         string              `json:"id"` // 16 random bytes, base64url
	Kind       gateway.CommandKind `json:"kind"`
	Expect     gateway.Fence       `json:"expect"`
	Next       gateway.Fence       `json:"next"`
	Challenge  string              `json:"challenge"`
	Grant      string              `json:"grant,omitempty"` // bind: compact JWS (ES256, typ "tapward-grant+jws") over the grant's canonical bytes
	Digest     gateway.Digest      `json:"digest"`          // the grant the command is about; zero: whatever is there
	Name       string              `json:"name,omitempty"`  // bind: whose name the phone shows
	Lease      int64               `json:"lease_s,omitempty"`
	Unlock     bool                `json:"unlock,omitempty"` // renew
	Reason     gateway.Reason      `json:"reason,omitempty"`
	Sentence   string              `json:"sentence,omitempty"` // the reason in words, for the phone's screen
	Checkpoint string              `json:"checkpoint,omitempty"`
}

// ReceiptMessage carries a compact JWS (ES256, typ "tapward-receipt+jws") over ReceiptClaims.
type ReceiptMessage struct {
	Type      Type   `json:"type"`
	ID        string `json:"id,omitempty"` // of the command; empty where the phone acted by itself
	Signed    string `json:"signed"`
	Challenge string `json:"challenge"`
}

// ReceiptClaims is what a receipt's signature covers.
type ReceiptClaims struct {
	gateway.Receipt
	Command string `json:"command,omitempty"` // ID of the command
	BootID  string `json:"boot_id"`
	SinceMS int64  `json:"since_boot_ms"` // CLOCK_BOOTTIME
}

// StatusMessage is unsigned: it decides convenience (docked, picked up), never custody.
type StatusMessage struct {
	Type      Type             `json:"type"`
	Challenge string           `json:"challenge"`
	Battery   int              `json:"battery"` // per cent; -1 unknown
	Charging  bool             `json:"charging"`
	Healthy   bool             `json:"healthy"`
	Slot      string           `json:"slot,omitempty"`
	PickedUp  bool             `json:"picked_up"`
	Left      bool             `json:"left,omitempty"` // it stood outside a dock at some time in its session
	Presented gateway.ReaderID `json:"presented,omitempty"`
	Locked    bool             `json:"locked"`
	LeaseLeft int64            `json:"lease_left_s"`
}

// Ping asks for a status.
type Ping struct {
	Type Type `json:"type"`
}

// Ack tells the phone that its message arrived.
type Ack struct {
	Type       Type   `json:"type"`
	Checkpoint string `json:"checkpoint,omitempty"`
}
