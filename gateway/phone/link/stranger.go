package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone"
)

// Reports of strangers become audit leaves, so their number is bounded: a flood must not fill the disk.
var strangerRate = rate{burst: 32, perSecond: 0.5}

// strikes bounds those reports, apart for paired phones, so that strangers cannot hide a paired phone's offence.
type strikes struct {
	mu     sync.Mutex
	paired tally
	others tally
}

type tally struct {
	bucket
	untold int // since the last report
}

// allow says whether to report, and how many before it went unreported.
func (s *strikes) allow(paired bool, now time.Time) (untold int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.others
	if paired {
		t = &s.paired
	}
	if !t.take(now, strangerRate) {
		t.untold++
		return 0, false
	}
	untold, t.untold = t.untold, 0
	return untold, true
}

// refuse reports why a connection was closed, where its peer is to blame. A network that failed is no stranger.
func (l *Links) refuse(ctx context.Context, id gateway.PhoneID, key gateway.Fingerprint, addr string, err error) {
	if unknown := (*UnknownKey)(nil); errors.As(err, &unknown) {
		key = unknown.Key
	} else if !blames(err) {
		l.cfg.Log.Info("phone connection ended before its hello", "address", addr, "phone", id, "err", err)
		return
	}
	now := time.Now()
	untold, ok := l.strikes.allow(id != "", now)
	if !ok {
		return
	}
	why := err.Error()
	if untold > 0 {
		why = fmt.Sprintf("%s (and %d more that went unreported)", why, untold)
	}
	l.report(ctx, phone.Stranger{At: now, Phone: id, Key: key, Address: addr, Why: why})
}

// blames says that the peer did something wrong, rather than went away.
func blames(err error) bool {
	var broke *violation
	var malformed *Malformed
	return errors.As(err, &broke) || errors.As(err, &malformed)
}
