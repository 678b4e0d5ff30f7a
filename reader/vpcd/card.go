// Package vpcd is the card side of vpcd, the virtual PC/SC reader: badges made of software, and the real PC/SC daemon
// with readers to hold them to. Tests and demonstrations use it; no real box carries vpcd or this package.
package vpcd

import (
	"bytes"
	"context"
)

// Card is a badge made of software.
type Card struct {
	UID []byte
	ATR []byte // nil: a plain ISO 14443-4 card
	// Answer, if set, is asked first about every command and may decline. A card that hangs is one that blocks here,
	// at most until ctx ends: then the card has been taken away.
	Answer func(ctx context.Context, command []byte) (answer []byte, ok bool)
}

// plainATR is an ISO 14443-4 card without historical bytes.
var plainATR = []byte{0x3B, 0x80, 0x80, 0x01, 0x01}

func (c Card) atr() []byte {
	if c.ATR != nil {
		return c.ATR
	}
	return plainATR
}

// The pseudo-commands of PC/SC part 3 that a reader answers for its card, and the answers to all others.
var (
	getUID        = []byte{0xFF, 0xCA, 0x00, 0x00}
	getHistorical = []byte{0xFF, 0xCA, 0x01, 0x00}
	success       = []byte{0x90, 0x00}
	unsupported   = []byte{0x6A, 0x81}
	notFound      = []byte{0x6A, 0x82}
	unknown       = []byte{0x6D, 0x00}
)

const insSelect = 0xA4

func (c Card) answer(ctx context.Context, command []byte) []byte {
	if c.Answer != nil {
		if answer, ok := c.Answer(ctx, command); ok {
			return answer
		}
	}
	switch {
	case bytes.HasPrefix(command, getUID) && len(c.UID) > 0:
		return append(bytes.Clone(c.UID), success...)
	case bytes.HasPrefix(command, getHistorical):
		return success
	case len(command) > 1 && command[0] == 0xFF:
		return unsupported
	case len(command) > 1 && command[1] == insSelect:
		return notFound
	}
	return unknown
}
