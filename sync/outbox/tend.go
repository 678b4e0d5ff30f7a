package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"tapward/gateway"
)

const (
	lookEach   = 5 * time.Second  // receipts are kept, and the lag is counted
	pruneEach  = 10 * time.Minute // between passes over the log
	pruneBatch = 128              // records that go in one transaction, which a commit may have to wait for
	pruneShare = 20               // part of the time, at most, that pruning takes
)

// The disk counts as filling above the one mark until it is below the other.
const (
	fillingAbove = 0.80
	easedBelow   = 0.75
)

// Filling and Eased are states of a gateway.StorageChanged record, long before the low-water mark.
const (
	Filling = "filling"
	Eased   = "eased"
)

// tend keeps receipts, counts the lag, prunes and watches the disk.
func (o *Outbox) tend(ctx context.Context) {
	look, prune := time.NewTicker(lookEach), time.NewTimer(lookEach)
	defer look.Stop()
	defer prune.Stop()
	var p pruning
	var filling bool
	var said string
	for {
		var err error
		select {
		case <-ctx.Done():
			if err := o.keep(context.WithoutCancel(ctx)); err != nil {
				o.Logger.Warn("The hospital's newest receipt is not kept; it comes again", "err", err)
			}
			return
		case <-look.C:
			err = errors.Join(o.keep(ctx), o.measure(ctx))
			filling = o.watchDisk(ctx, filling)
		case <-prune.C:
			var wait time.Duration
			if err = o.keep(ctx); err == nil {
				wait, err = p.step(ctx, o)
			}
			if err != nil {
				wait = pruneEach
			}
			prune.Reset(wait)
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			o.Logger.Error("Cannot keep the hospital's receipts or prune what it has; tried again", "err", err)
		}
	}
}

// pruning is where a pass over the log has got to.
type pruning struct{ at place }

// step prunes one batch and says when the next is due.
func (p *pruning) step(ctx context.Context, o *Outbox) (wait time.Duration, err error) {
	held := o.holdings()
	for _, epoch := range slices.Sorted(maps.Keys(held)) {
		if epoch < p.at.epoch || !held[epoch].kept || held[epoch].size == 0 {
			continue
		}
		if epoch > p.at.epoch {
			p.at = place{epoch: epoch}
		}
		began := time.Now()
		next, pruned, err := o.Log.Prune(ctx, epoch, p.at.index, o.Retention, pruneBatch)
		if err != nil {
			return 0, err
		}
		if next > p.at.index {
			p.at.index = next
			o.mu.Lock()
			o.state.Pruned += int64(pruned)
			o.mu.Unlock()
			return max(50*time.Millisecond, pruneShare*time.Since(began)), nil
		}
	}
	p.at = place{}
	return pruneEach, nil
}

// watchDisk writes a record when the disk passes a mark.
func (o *Outbox) watchDisk(ctx context.Context, filling bool) bool {
	used, err := o.Log.DiskUsed()
	if err != nil {
		o.Logger.Error("Cannot ask how full the disk is", "err", err)
		return filling
	}
	o.mu.Lock()
	o.state.Disk = used
	o.mu.Unlock()
	state := ""
	switch {
	case !filling && used >= fillingAbove:
		filling, state = true, Filling
		o.Logger.Warn("The box's disk is four fifths full", "used", fmt.Sprintf("%.0f %%", 100*used))
	case filling && used < easedBelow:
		filling, state = false, Eased
		o.Logger.Info("The box's disk has room again", "used", fmt.Sprintf("%.0f %%", 100*used))
	default:
		return filling
	}
	o.record(ctx, gateway.Record{Kind: gateway.StorageChanged, State: state, Words: fmt.Sprintf("%.0f %% of the disk used", 100*used)})
	return filling
}
