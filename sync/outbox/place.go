package outbox

import (
	"fmt"
	"strconv"

	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// place is where in the log the next bundle begins.
type place struct {
	epoch uint32
	index int64
}

func (p place) String() string { return fmt.Sprintf("record %d of epoch %d", p.index, p.epoch) }

func (p place) before(q place) bool {
	return p.epoch < q.epoch || p.epoch == q.epoch && p.index < q.index
}

// ahead is where to go on from a place: with the records of the epoch that is given, or, where ok is false, with those to
// come. An epoch is sent to its end before the next; one that the hub refuses or that was found forked has ended.
func ahead(log []audit.Outgoing, at place, held map[uint32]holding) (_ place, _ audit.Outgoing, ok bool) {
	for _, e := range log {
		if e.Epoch < at.epoch {
			continue
		}
		if h := held[e.Epoch]; e.Epoch > at.epoch || at.index < h.size { // what is stored need not go
			at = place{e.Epoch, h.size}
		}
		stopped := e.Forked || held[e.Epoch].refused != ""
		if !stopped && at.index < e.Safe {
			return at, e, true
		}
		if !e.Ended || !stopped && at.index < e.Size {
			break
		}
	}
	return at, audit.Outgoing{}, false
}

// header says where a bundle begins and ends.
func header(b audit.Bundle) map[string]string {
	return map[string]string{
		uplink.EpochHeader: strconv.FormatUint(uint64(b.Epoch), 10),
		uplink.FromHeader:  strconv.FormatInt(b.From(), 10),
		uplink.EndHeader:   strconv.FormatInt(b.End(), 10),
	}
}

// end is where a message says that its bundle ends.
func (n Newest) end() (place, error) {
	epoch, err := strconv.ParseUint(n.Header[uplink.EpochHeader], 10, 32)
	if err != nil || epoch == 0 {
		return place{}, fmt.Errorf("header %s is %q", uplink.EpochHeader, n.Header[uplink.EpochHeader])
	}
	index, err := strconv.ParseInt(n.Header[uplink.EndHeader], 10, 64)
	if err != nil || index < 1 {
		return place{}, fmt.Errorf("header %s is %q", uplink.EndHeader, n.Header[uplink.EndHeader])
	}
	return place{uint32(epoch), index}, nil
}
