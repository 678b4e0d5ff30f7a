package handoff

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
	"tapward/gateway/session"
)

// picture is the ward as it was after a commit, and what is closed when there is a newer one.
type picture struct {
	ward    *gateway.Ward
	changed chan struct{}
}

// maxTaps is how many taps the station shows.
const maxTaps = 20

// Ward is the newest picture of the ward. changed is closed when there is a newer one.
func (e *Engine) Ward() (w *gateway.Ward, changed <-chan struct{}) {
	p := e.ward.Load()
	return p.ward, p.changed
}

// show makes the newest picture.
func (e *Engine) show() {
	now := time.Now()
	w := &gateway.Ward{
		Box: e.cfg.Box, Key: e.cfg.Key, Name: e.cfg.Ward, Made: now, Seen: e.registry.Candidates(), Taps: slices.Clone(e.taps),
		Log:   gateway.WardLog{Size: e.head.Size, Root: e.head.Root},
		Clock: string(e.clock), Uplink: e.uplink, Storage: e.storage, Up: now.Sub(e.started),
		Revoked: e.wardRevoked(),
		Policy: gateway.WardPolicy{
			Loaded: e.policy.Loaded(), Version: e.policy.Version(), Digest: e.policy.Digest(),
			Signed: e.policy.Signed(), Since: e.loaded,
		},
		Readers: slices.SortedFunc(maps.Values(e.readers), func(a, b gateway.WardReader) int { return cmp.Compare(a.ID, b.ID) }),
	}
	for _, p := range e.state.Phones {
		if here, ok := e.registry.Phone(p.ID); ok {
			w.Phones = append(w.Phones, e.wardPhone(p, here))
		}
	}
	if name := e.policy.Ward().Name; name != "" {
		w.Name = name
	}
	for reader, t := range e.armed {
		w.Armed = &gateway.WardArmed{Reader: reader, Phone: t.phone, Until: t.until}
	}
	before := e.ward.Swap(&picture{w, make(chan struct{})})
	close(before.changed)
}

func (e *Engine) wardRevoked() gateway.WardRevocations {
	r := e.policy.Revocations()
	return gateway.WardRevocations{Through: r.Through, Digest: r.Digest, Issued: r.Issued, Listed: len(r.List)}
}

func (e *Engine) wardPhone(p session.Phone, here phone.Here) gateway.WardPhone {
	w := gateway.WardPhone{
		ID: p.ID, Class: here.Phone.Class, Pool: here.Phone.Pool, Phase: p.Phase.String(), Locked: p.Locked,
		Reason: p.Reason, Fence: p.Fence, Linked: p.Linked, Healthy: here.Status.Healthy, Battery: here.Status.Battery,
		Charging: here.Status.Charging, Slot: here.Status.Slot, Since: p.Since, LeaseEnd: p.Due.Lease,
	}
	if e.policy.RevokesPhone(p.ID) {
		w.Reason = gateway.RevokedPhone
	}
	if p.Owner != "" {
		w.Holder, w.HolderID = e.policy.Name(p.Owner), p.Owner
	}
	if p.For != nil && p.Phase == session.Releasing {
		w.Next = e.policy.Name(p.For.Clinician)
	}
	return w
}

// noteTap puts a tap on the station; what came of it is filled in by told.
func (e *Engine) noteTap(t gateway.Tap, who gateway.Clinician) {
	e.taps = slices.Insert(e.taps, 0, gateway.WardTap{At: t.At, Reader: t.Reader, Who: who.Name, Signal: gateway.Seen})
	e.taps = e.taps[:min(len(e.taps), maxTaps)]
	e.batch.show = true
}

// told fills in what a tap's person was told: the newest tap of theirs at that reader.
func (e *Engine) told(f gateway.Feedback) {
	who := e.policy.Name(f.Who)
	i := slices.IndexFunc(e.taps, func(t gateway.WardTap) bool { return t.Reader == f.Reader && t.Who == who })
	if i < 0 {
		return
	}
	e.taps[i].Signal, e.taps[i].Reason, e.taps[i].Phone = f.Signal, f.Reason, f.Phone
	e.batch.show = true
}
