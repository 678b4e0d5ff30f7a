package outbox

import (
	"context"
	"fmt"
	"time"

	"tapward/gateway/audit"
)

const (
	window = 2                      // bundles made ready while one is on its way
	pace   = 500 * time.Millisecond // between looks for new records: what is committed meanwhile travels together
	share  = 4                      // part of the time, at most, that making parcels takes: the rest is the taps'
)

// parcel is a bundle on its way.
type parcel struct {
	header  map[string]string
	payload []byte
	end     place
}

// pack makes parcels from a place on, as records come, until ctx ends. The log is asked only when more of it may leave.
func (o *Outbox) pack(ctx context.Context, at place, parcels chan<- parcel) error {
	timer := time.NewTimer(pace)
	defer timer.Stop()
	var log []audit.Outgoing
	seen := "none" // no checkpoint says that
	for ctx.Err() == nil {
		to, epoch, ok := ahead(log, at, o.holdings())
		if newest := o.Log.Checkpoint(); !ok && newest != seen {
			var err error
			if log, err = o.Log.Outgoing(ctx); err != nil {
				return fmt.Errorf("read the box's own log: %w", err)
			}
			seen = newest
			continue
		}
		rest := pace
		if ok {
			began := time.Now()
			p, found, err := o.parcel(ctx, epoch, to)
			if err != nil {
				return fmt.Errorf("read the box's own log: %w", err)
			}
			if found {
				rest = (share - 1) * time.Since(began)
				select {
				case parcels <- p:
					at = p.end
				case <-ctx.Done():
					return nil
				}
			}
		}
		timer.Reset(rest)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
	}
	return nil
}

// parcel makes a bundle of the records from a place on; found is false where they are no longer here.
func (o *Outbox) parcel(ctx context.Context, epoch audit.Outgoing, at place) (_ parcel, found bool, err error) {
	limit := min(audit.MaxBundle, epoch.Safe-at.index)
	stored, err := o.Log.Leaves(ctx, epoch.Epoch, at.index, int(limit))
	if err != nil {
		return parcel{}, false, err
	}
	records := fit(stored, at.index)
	if len(records) == 0 {
		o.stuck(fmt.Sprintf("The hospital asks for %s, and the box no longer has it: it was pruned when the hospital said it was stored. Restore a newer backup of the hub", at))
		return parcel{}, false, nil
	}
	bundle, err := audit.NewBundle(o.Address.Box, epoch.Epoch, records, o.Log.Hashes(ctx, epoch.Epoch), o.Signer)
	if err != nil {
		return parcel{}, false, err
	}
	payload, err := bundle.Encode()
	if err != nil { // one record alone that no message holds
		o.stuck(fmt.Sprintf("%s cannot be sent: %v", at, err))
		return parcel{}, false, nil
	}
	o.stuck("")
	return parcel{header(bundle), payload, place{epoch.Epoch, bundle.End()}}, true, nil
}

// Bounds of what a bundle takes besides its records, and a record besides its bytes.
const (
	bundleFrame = 8 << 10
	recordFrame = 16
)

// fit is as many of the records, from an index on without a gap, as one bundle holds.
func fit(stored []audit.Stored, from int64) []audit.Sealed {
	var records []audit.Sealed
	room := audit.MaxBundleBytes - bundleFrame
	for i, s := range stored {
		room -= recordFrame + len(s.Leaf)
		for _, open := range s.Openings {
			room -= recordFrame + audit.SaltSize + len(open.Value)
		}
		if s.Index != from+int64(i) || room < 0 && i > 0 {
			break
		}
		records = append(records, s.Sealed)
	}
	return records
}
