package serial

import (
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

// garbled is how many bytes of noise since the last badge make a reader degraded: more than a passing spark.
const garbled = 256

// ear makes events of what is heard on a port. It is pure.
type ear struct {
	config   Config
	framer   framer
	debounce reader.Debounce
	state    gateway.ReaderState
	quiet    uint64 // the framer's count of noise when a badge was last read
}

func newEar(config Config, span time.Duration, opened time.Time) *ear {
	e := &ear{config: config, framer: framer{cutter: config.cutter(), last: opened}}
	if config.repeats() {
		e.debounce = reader.Repeating(span, opened)
	} else {
		e.debounce = reader.Once(span)
	}
	return e
}

// up is the first status; again says that the reader has been up before. A reader that works needs no note.
func (e *ear) up(again bool) reader.Event {
	if again {
		return e.change(gateway.ReaderUp, gateway.ReaderRecovered, "")
	}
	return e.change(gateway.ReaderUp, "", "")
}

// hear takes a chunk and gives what it means.
func (e *ear) hear(c chunk) (events []reader.Event) {
	e.framer.feed(c.at, c.bytes, func(number []byte) {
		e.quiet = e.framer.dropped
		if e.state == gateway.ReaderDegraded {
			events = append(events, e.change(gateway.ReaderUp, gateway.ReaderRecovered, ""))
		}
		credential := gateway.NewCredential(e.config.Protocol.Kind(), number)
		if e.debounce.Admit(e.config.ID, credential, c.at) {
			events = append(events, reader.Tap{Tap: gateway.Tap{
				Reader: e.config.ID, Origin: gateway.OriginSerial, Credential: credential,
				Assurance: gateway.Assurance{Card: gateway.CardNumber}, At: c.at,
			}})
		}
	})
	if noise := e.framer.dropped - e.quiet; noise >= garbled && e.state == gateway.ReaderUp {
		note := fmt.Sprintf("%d bytes of noise and no badge among them. Check the cable, and that the reader is set to "+
			"protocol %s at %d baud.", noise, e.config.Protocol, e.config.baud())
		events = append(events, e.change(gateway.ReaderDegraded, gateway.ReaderGarbled, note))
	}
	return events
}

func (e *ear) change(state gateway.ReaderState, reason gateway.Reason, note string) reader.Status {
	e.state = state
	return reader.Status{Reader: e.config.ID, State: state, Reason: reason, Note: note}
}
