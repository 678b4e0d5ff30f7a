package bundle

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"

	"tapward/sync/uplink"
)

// reportTime is how long one report may take; the next one says everything again.
const reportTime = 10 * time.Second

// spread is over how long the boxes' reports of one change are spread, or a thousand would get into the way of the very
// release that they are about.
const spread = 300 * time.Millisecond

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// reportAll reports what is in force whenever that changes, and every reportEvery.
func (b *Bundle) reportAll(ctx context.Context) {
	every := time.NewTicker(reportEvery)
	defer every.Stop()
	var told map[uplink.Kind]uplink.Applied
	for {
		_, changed := b.engine.Ward()
		if !maps.Equal(b.inForceNow(), told) {
			if !pause(ctx, rand.N(spread)) {
				return
			}
			told = b.inForceNow()
			if !b.report(ctx) {
				told = nil // the next change or tick tries again
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-b.tell:
		case <-changed:
		case <-every.C:
			told = nil
		}
	}
}

func (b *Bundle) inForceNow() map[uplink.Kind]uplink.Applied {
	all := map[uplink.Kind]uplink.Applied{}
	for _, kind := range Kinds {
		a := b.standing(kind)
		b.mu.Lock()
		a.Refused = b.state.Refused[kind]
		b.mu.Unlock()
		a.At = a.At.Round(0)
		all[kind] = a
	}
	return all
}

// report says everything that the hospital wants to know of a box.
func (b *Bundle) report(ctx context.Context) bool {
	w, _ := b.engine.Ward()
	r := uplink.Report{
		At: time.Now(), Version: b.config.Version, Ward: b.config.Ward, Applied: b.inForceNow(),
		Size: w.Log.Size, Disk: w.Storage,
	}
	r.Epoch, r.Stored = b.config.Stored()
	for _, p := range w.Phones {
		if p.HolderID != "" {
			r.Sessions++
		}
	}
	payload, err := r.Encode()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, reportTime)
		defer cancel()
		err = b.hub.Report(ctx, payload)
	}
	if err != nil {
		b.log.Debug("The box's report did not reach the hospital; the next one will", "err", err)
	}
	return err == nil
}
