package phone

import (
	"cmp"
	"slices"
	"time"

	"tapward/gateway"
)

// Registry knows every paired phone as discovery and the links last told of it, and the unpaired ones that were seen.
// It is a value: With, Add, Remove and Used return a new one and leave the old as it was, so that a copy may be read
// while the next is made. The zero Registry has no phones.
type Registry struct {
	phones []*paired // ordered by id; what they point to is never written again
	seen   []gateway.Candidate
}

// Here is what is known of one paired phone.
type Here struct {
	Phone       gateway.Phone
	Linked      bool
	LinkedSince time.Time // zero where it is not linked
	Status      Status    // its last word; Battery -1 and not Healthy until it spoke on its present link
	LastUsed    time.Time // zero: never
}

type paired struct {
	Here
	docked    time.Time // since when it says that it stands in Status.Slot
	presented time.Time // since when it says that it is presented to Status.Presented
}

// NewRegistry knows the phones, none of them linked. A repeated id replaces the earlier one.
func NewRegistry(phones []gateway.Phone) Registry {
	var r Registry
	for _, p := range phones {
		r = r.Add(p)
	}
	return r
}

// With takes a report in. One about a phone that is not paired changes nothing, unless it is a sighting.
func (r Registry) With(rep Report) Registry {
	switch rep := rep.(type) {
	case Sighting:
		return r.sighted(rep)
	case Linked:
		return r.change(rep.Phone, func(p *paired) {
			p.Linked, p.LinkedSince = true, rep.At
			p.forget()
		})
	case Unlinked:
		return r.change(rep.Phone, func(p *paired) { p.Linked, p.LinkedSince = false, time.Time{} })
	case Status:
		return r.change(rep.Phone, func(p *paired) { p.say(rep) })
	}
	return r // receipts and strangers are not the registry's concern
}

// Add makes p a paired phone, or replaces what was agreed about it. What its link told stays, unless the key is new.
func (r Registry) Add(p gateway.Phone) Registry {
	i, known := r.find(p.ID)
	next := paired{Here: Here{Phone: p}}
	if known && r.phones[i].Phone.Key == p.Key {
		next = *r.phones[i]
		next.Phone = p
	} else {
		next.forget()
	}
	phones := slices.Clone(r.phones)
	if known {
		phones[i] = &next
	} else {
		phones = slices.Insert(phones, i, &next)
	}
	return Registry{phones, r.seen}.strangersOnly()
}

// Remove forgets a phone. Its next sighting makes it a candidate again.
func (r Registry) Remove(id gateway.PhoneID) Registry {
	i, known := r.find(id)
	if !known {
		return r
	}
	return Registry{slices.Delete(slices.Clone(r.phones), i, i+1), r.seen}.strangersOnly()
}

// Used notes that a phone was given to somebody at the given time.
func (r Registry) Used(id gateway.PhoneID, at time.Time) Registry {
	return r.change(id, func(p *paired) { p.LastUsed = at })
}

// Phone is what is known of one paired phone.
func (r Registry) Phone(id gateway.PhoneID) (Here, bool) {
	i, known := r.find(id)
	if !known {
		return Here{}, false
	}
	return r.phones[i].Here, true
}

func (r Registry) find(id gateway.PhoneID) (int, bool) {
	return slices.BinarySearchFunc(r.phones, id, func(p *paired, id gateway.PhoneID) int {
		return cmp.Compare(p.Phone.ID, id)
	})
}

// change gives a copy of one phone to edit.
func (r Registry) change(id gateway.PhoneID, edit func(*paired)) Registry {
	i, known := r.find(id)
	if !known {
		return r
	}
	next := *r.phones[i]
	edit(&next)
	phones := slices.Clone(r.phones)
	phones[i] = &next
	return Registry{phones, r.seen}
}

// forget drops what the phone said on an earlier link: it may have been carried anywhere since.
func (p *paired) forget() {
	p.Status = Status{Phone: p.Phone.ID, Battery: unknownBattery}
	p.docked, p.presented = time.Time{}, time.Time{}
}

// say takes the phone's word about itself; a charge that cannot be is an unknown one.
func (p *paired) say(s Status) {
	if s.Battery < 0 || s.Battery > 100 {
		s.Battery = unknownBattery
	}
	if s.Slot != p.Status.Slot || p.docked.IsZero() {
		p.docked = s.At
	}
	if s.Presented != p.Status.Presented || p.presented.IsZero() {
		p.presented = s.At
	}
	p.Status = s
}
