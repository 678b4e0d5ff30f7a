package phone

import (
	"cmp"
	"slices"
	"time"

	"tapward/gateway"
)

// LowBattery is the charge, in per cent, below which a phone is offered only after all others: it would not last until
// the end of a round. A phone that does not know its charge comes between those that have enough and those.
const LowBattery = 20

const unknownBattery = -1

// Nearest lists the phones to offer to somebody who taps at place, best first: linked, healthy, free as the caller says,
// and not picked up by somebody else. The phone that is presented there comes first, whichever pool it is of and although
// it may be in hand; then this place's pool, by charge, the least recently used first on a tie, then by id. Phones below
// LowBattery come last, presented or not.
func (r Registry) Nearest(place gateway.Place, free func(gateway.PhoneID) bool) []gateway.PhoneID {
	here := r.Presented(place)
	var offered []*paired
	for _, p := range r.phones {
		presented := p.Phone.ID == here
		near := presented || p.Phone.Pool == place.Pool && !p.Status.PickedUp
		if near && p.Linked && p.Status.Healthy && free(p.Phone.ID) {
			offered = append(offered, p)
		}
	}
	slices.SortFunc(offered, func(a, b *paired) int {
		return cmp.Or(
			falseFirst(a.low(), b.low()),
			falseFirst(a.Phone.ID != here, b.Phone.ID != here),
			-cmp.Compare(a.Status.Battery, b.Status.Battery),
			a.LastUsed.Compare(b.LastUsed),
			cmp.Compare(a.Phone.ID, b.Phone.ID),
		)
	})
	ids := make([]gateway.PhoneID, len(offered))
	for i, p := range offered {
		ids[i] = p.Phone.ID
	}
	return ids
}

// Presented is the phone a tap at place is about: the one docked in the place's slot, or the one that says it is being
// presented to this reader, or the place's own phone; empty where there is none. The first two are the word of a linked
// phone, the newest where two claim the same; the place's own phone is meant even while it is silent.
func (r Registry) Presented(place gateway.Place) gateway.PhoneID {
	docked := r.newest(func(p *paired) (bool, time.Time) {
		return place.Slot != "" && p.Status.Slot == place.Slot, p.docked
	})
	presented := r.newest(func(p *paired) (bool, time.Time) {
		return place.Reader != "" && p.Status.Presented == place.Reader, p.presented
	})
	own := place.Phone
	if _, known := r.find(own); !known {
		own = ""
	}
	return cmp.Or(docked, presented, own)
}

// newest is the linked phone that made the claim last; the first by id on a tie.
func (r Registry) newest(claims func(*paired) (made bool, since time.Time)) (id gateway.PhoneID) {
	var latest time.Time
	for _, p := range r.phones {
		if made, since := claims(p); p.Linked && made && (id == "" || since.After(latest)) {
			id, latest = p.Phone.ID, since
		}
	}
	return id
}

func (p *paired) low() bool {
	return p.Status.Battery != unknownBattery && p.Status.Battery < LowBattery
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
