package pcsc

import (
	"bytes"
	"errors"
	"fmt"
)

// getUID asks a contactless reader for the number of the card in front of it (PC/SC part 3, 3.2.2.1.3).
var getUID = []byte{0xFF, 0xCA, 0x00, 0x00, 0x00}

var (
	errShort    = errors.New("the card's answer was cut short")
	errNoNumber = errors.New("the card does not tell its number")
	errRandom   = errors.New("the card gives a new number at every tap")
	errNoise    = errors.New("what the card said first is damaged")
)

// parseUID is the card's number in an answer to getUID, 4 to 10 bytes: ISO 14443 type A and B, 15693, FeliCa.
func parseUID(answer []byte) ([]byte, error) {
	if len(answer) < 2 {
		return nil, errShort
	}
	number, status := answer[:len(answer)-2], answer[len(answer)-2:]
	if status[0] != 0x90 || status[1] != 0x00 {
		return nil, fmt.Errorf("%w (status %X)", errNoNumber, status)
	}
	if len(number) < 4 || len(number) > 10 {
		return nil, fmt.Errorf("%w: %d bytes are no number of a badge", errNoNumber, len(number))
	}
	return number, nil
}

// random says that the number was made up by the card for this tap: four bytes that begin with 08, on a card of
// ISO 14443 type A (ISO 14443-3, 6.5.4) or one that does not say.
func random(number []byte, standard byte) bool {
	return len(number) == 4 && number[0] == 0x08 && (standard == 0 || standard <= 0x03)
}

// storageCard begins the historical bytes that a reader makes up for a card without any: the RID of the PC/SC
// workgroup. The card's standard follows: 01 to 03 are ISO 14443 type A (PC/SC part 3, 3.1.3.2.3).
var storageCard = []byte{0x80, 0x4F, 0x0C, 0xA0, 0x00, 0x00, 0x03, 0x06}

// parseATR checks an answer to reset (ISO 7816-3, 8.2) and gives the standard of a storage card, 0 where it is not told.
func parseATR(atr []byte) (standard byte, err error) {
	if len(atr) < 2 || len(atr) > 33 || atr[0] != 0x3B && atr[0] != 0x3F {
		return 0, errNoise
	}
	historical := int(atr[1] & 0x0F)
	next := 2
	checked := false
	for present := atr[1] >> 4; present != 0; {
		at := next
		for bit := range 4 {
			if present>>bit&1 == 1 {
				next++
			}
		}
		if present&0x8 == 0 {
			break
		}
		if next > len(atr) || next == at {
			return 0, errNoise
		}
		interfaces := atr[next-1]
		checked = checked || interfaces&0x0F != 0
		present = interfaces >> 4
	}
	end := next + historical
	want := end
	if checked {
		want++
	}
	if len(atr) != want {
		return 0, errNoise
	}
	if checked && exclusiveOr(atr[1:]) != 0 {
		return 0, errNoise
	}
	if rest, ok := bytes.CutPrefix(atr[next:end], storageCard); ok && len(rest) > 0 {
		return rest[0], nil
	}
	return 0, nil
}

// exclusiveOr over everything from T0 to TCK is zero.
func exclusiveOr(b []byte) (sum byte) {
	for _, v := range b {
		sum ^= v
	}
	return sum
}
