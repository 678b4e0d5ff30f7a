package pcsc

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"tapward/gateway"
)

// product is what a family of readers can show, and how it is told to.
type product struct {
	name    string // a part of the PC/SC name
	apdus   bool   // commands also go to a present card, as APDUs the reader keeps for itself; else escapes only
	done    func(answer []byte) bool
	silence func(tell) error
	signals [5][]step // by gateway.Signal
}

// step is a command and how long it is left to show before the next.
type step struct {
	command []byte
	pause   time.Duration
}

// tell sends a command and gives the reader's answer.
type tell func(command []byte) (answer []byte, err error)

// productOf finds a reader's product; false: one without light or buzzer that we could drive.
func productOf(name string) (product, bool) {
	for _, p := range products {
		if strings.Contains(strings.ToUpper(name), p.name) {
			return p, true
		}
	}
	return product{}, false
}

var products = []product{
	{
		name:  "ACR122",
		apdus: true,
		// 90 and the state of the lights.
		done: func(answer []byte) bool { return len(answer) == 2 && answer[0] == 0x90 },
		silence: func(tell tell) error {
			_, err := tell([]byte{0xFF, 0x00, 0x52, 0x00, 0x00})
			return err
		},
		signals: [5][]step{
			gateway.Seen:    {acr122(red|green, 0, 0, 0, 0, 0)},
			gateway.Granted: {acr122(green, green, 2, 0, 1, beep)},
			gateway.Note:    {acr122(0, red|green, 1, 1, 2, 0)},
			gateway.Refused: {acr122(red, red, 1, 1, 3, beep)},
			gateway.Fault:   {acr122(red, green, 1, 1, 2, 0)},
		},
	},
	acr1252("ACR1252"),
	acr1252("ACM1252"),
}

// Lights, as both families number them.
const (
	red   = 0x01
	green = 0x02
)

const beep = 0x01 // ACR122U: while the blinking lights are in their first state

// acr122 is the ACR122U's one command for everything: blink n times, on for t1 and off for t2 tenths of a second, then
// stay at final. Both lights are always set. The reader answers when it is done.
func acr122(final, blink, t1, t2, n, buzzer byte) step {
	const setBoth = 0x0C
	p2 := final | setBoth | blink<<4 | blink<<6
	return step{command: []byte{0xFF, 0x00, 0x40, p2, 0x04, t1, t2, n, buzzer}}
}

// acr1252 is a family with plain escapes for lights and buzzer; it answers at once.
func acr1252(name string) product {
	const short, long = 100 * time.Millisecond, 150 * time.Millisecond
	return product{
		name:    name,
		done:    func(answer []byte) bool { return bytes.HasPrefix(answer, []byte{0xE1, 0x00, 0x00, 0x00}) },
		silence: silenceACR1252,
		signals: [5][]step{
			gateway.Seen:    {lights(red|green, 0)},
			gateway.Granted: {lights(green, 0), buzz(2*short, 0)},
			gateway.Note:    {lights(red|green, long), lights(0, long), lights(red|green, long), lights(0, 0)},
			gateway.Refused: {lights(red, 0), buzz(short, 2*short), buzz(short, 2*short), buzz(short, 0)},
			gateway.Fault:   {lights(red, long), lights(red|green, long), lights(red, long), lights(red|green, 0)},
		},
	}
}

func lights(on byte, pause time.Duration) step {
	return step{[]byte{0xE0, 0x00, 0x00, 0x29, 0x01, on}, pause}
}

func buzz(on, pause time.Duration) step {
	return step{[]byte{0xE0, 0x00, 0x00, 0x28, 0x01, byte(on / (10 * time.Millisecond))}, pause}
}

// silenceACR1252 clears the bit for the beep at every card. The reader keeps it without power, in a memory that wears,
// so it is written only where it is set.
func silenceACR1252(tell tell) error {
	const beepAtCard = 0x08
	answer, err := tell([]byte{0xE0, 0x00, 0x00, 0x21, 0x00})
	if err != nil {
		return err
	}
	if len(answer) != 6 {
		return fmt.Errorf("reader tells its behaviour in %d bytes, want 6", len(answer))
	}
	behaviour := answer[5]
	if behaviour&beepAtCard == 0 {
		return nil
	}
	_, err = tell([]byte{0xE0, 0x00, 0x00, 0x21, 0x01, behaviour &^ beepAtCard})
	return err
}
