package handoff

import (
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
	"tapward/reader"
)

// wake is when the loop has something to do although nothing comes: the one timer is set to it.
func (e *Engine) wake() time.Time {
	at := e.nextLook
	if due, _, _ := e.state.Earliest(); !due.IsZero() && due.Before(at) {
		at = due
	}
	if e.cfg.Pet != nil && e.nextPet.Before(at) {
		at = e.nextPet
	}
	for _, t := range e.armed {
		if t.until.Before(at) {
			at = t.until
		}
	}
	return at
}

// due does what the time has come for. A deadline that is late is as good as one in time.
func (e *Engine) due() {
	now := time.Now()
	for range len(e.state.Phones) * len(session.Timers) {
		at, phone, timer := e.state.Earliest()
		if at.IsZero() || at.After(now) {
			break
		}
		e.step(session.Deadline{At: now, Phone: phone, Timer: timer})
	}
	e.lapse(now)
	if !now.Before(e.nextLook) {
		e.look(now)
		e.nextLook = now.Add(lookEvery)
		if e.storage != gateway.StorageOK {
			e.nextLook = now.Add(lookSoon)
		}
	}
	if e.cfg.Pet != nil && !now.Before(e.nextPet) {
		e.nextPet = now.Add(e.cfg.Watchdog)
		e.cfg.Pet()
	}
}

// look ends the sessions of people whose time is over, and looks how much room the disk has.
func (e *Engine) look(now time.Time) {
	who := slices.DeleteFunc(e.policy.Barred(e.policy, e.judged(now)), func(id gateway.ClinicianID) bool {
		_, holds := e.state.Held(id)
		return !holds
	})
	if len(who) > 0 {
		e.step(session.Barred{At: now, Clinicians: who})
	}
	e.storageTurned(e.cfg.Journal.Storage())
}

func (e *Engine) storageTurned(s gateway.Storage) {
	if s != e.storage {
		e.storage = s
		e.write(gateway.Record{Kind: gateway.StorageChanged, State: s.String()})
		e.batch.show = true
	}
}

func (e *Engine) clockTurned(c audit.Clock) {
	if c == audit.Synchronised {
		e.agreed = floor{time.Now().Round(0), e.cfg.Uptime()}
	}
	if c != e.clock {
		e.clock = c
		e.note(gateway.Record{Kind: gateway.ClockChanged, State: string(c)})
		e.batch.show = true
	}
}

// readerTurned notes a reader's new state. What the reader says in words is for the station and the log of the machine.
func (e *Engine) readerTurned(s reader.Status) {
	before, known := e.readers[s.Reader]
	if known && !before.Since.IsZero() && before.State == s.State && before.Note == s.Note {
		return
	}
	now := time.Now()
	e.readers[s.Reader] = gateway.WardReader{ID: s.Reader, State: s.State, Since: now, Note: s.Note}
	r := gateway.Record{Kind: gateway.ReaderChanged, At: now, Reader: s.Reader, State: s.State.String()}
	if s.Reason != "" {
		r.Reasons = []gateway.Reason{s.Reason}
	}
	e.note(r)
	e.batch.show = true
}
