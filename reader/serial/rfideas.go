package serial

import (
	"bytes"
	"fmt"
	"time"

	"tapward/gateway"
)

// rf IDEAS readers take ASCII commands that end in a carriage return, and answer in braces, with "Error#…" and with a
// prompt. A badge comes as a line of digits between all that.
const rfPrompt = "RF IDeas>"

// readRFIDeas is the number in a line, or an answer. A reader that echoes sends our commands back.
func (c Config) readRFIDeas(line []byte) (verdict, []byte) {
	for _, start := range []string{"{", "Error#", "rfid:"} {
		if bytes.HasPrefix(line, []byte(start)) {
			return answer, nil
		}
	}
	if len(line) == 0 {
		return answer, nil
	}
	number, ok := c.number(line)
	if !ok {
		return noise, nil
	}
	return badge, number
}

// light is a value of the reader's output command.
type light uint8

const (
	dark  light = 0
	red   light = 1
	green light = 2
	amber light = 3
)

func shine(l light) string  { return fmt.Sprintf("rfid:out.led=%d\r", l) }
func beep(times int) string { return fmt.Sprintf("rfid:beep.now=%d\r", times) }

// shown is how long a light stays on once there is nothing more to say.
const shown = 2 * time.Second

// rfPatterns is what each signal looks and sounds like.
var rfPatterns = map[gateway.Signal][]step{
	gateway.Seen:    {{shine(amber), 10 * time.Second}, {shine(dark), 0}},
	gateway.Granted: {{shine(green) + beep(1), shown}, {shine(dark), 0}},
	gateway.Refused: {{shine(red) + beep(3), shown}, {shine(dark), 0}},
	gateway.Note:    blink(amber, dark),
	gateway.Fault:   blink(red, amber),
}

// blink alternates between two lights three times.
func blink(on, off light) (pattern []step) {
	const half = 300 * time.Millisecond
	for range 3 {
		pattern = append(pattern, step{shine(on), half}, step{shine(off), half})
	}
	return append(pattern, step{shine(dark), 0})
}
