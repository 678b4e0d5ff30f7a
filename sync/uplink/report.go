package uplink

import (
	"encoding/json"
	"fmt"
	"time"

	"tapward/gateway"
)

// Report is what a box says of itself, after every change and about every half minute.
type Report struct {
	At      time.Time `json:"at"` // by the box's clock
	Version string    `json:"version"`
	Ward    string    `json:"ward"`

	Applied map[Kind]Applied `json:"applied"` // the releases in force

	Epoch    uint32          `json:"epoch"`
	Size     int64           `json:"size"`   // of the box's log
	Stored   int64           `json:"stored"` // of it, what the box has a receipt for
	Disk     gateway.Storage `json:"disk"`
	Sessions int             `json:"sessions"`
}

// Applied is a release as a box put it into force.
type Applied struct {
	Version uint64         `json:"version"`
	Digest  gateway.Digest `json:"digest"`            // SHA-256 of its body
	At      time.Time      `json:"at"`                // by the box's clock
	Refused string         `json:"refused,omitempty"` // why a newer one was not taken
}

// MaxReport bounds the bytes of a report.
const MaxReport = 64 << 10

// Encode gives the bytes that ParseReport takes.
func (r Report) Encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return b, nil
}

// ParseReport reads a report. A newer box may say more than is known here.
func ParseReport(in []byte) (Report, error) {
	if len(in) > MaxReport {
		return Report{}, fmt.Errorf("read report: %d bytes are more than %d", len(in), MaxReport)
	}
	var r Report
	if err := json.Unmarshal(in, &r); err != nil {
		return Report{}, fmt.Errorf("read report: %w", err)
	}
	return r, nil
}
