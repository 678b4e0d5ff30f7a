package link

import "time"

// bucket is a token bucket. The zero value is full.
type bucket struct {
	spent float64
	at    time.Time
}

// rate is how many tokens a bucket holds, and how many return each second.
type rate struct {
	burst     float64
	perSecond float64
}

// take says whether there was a token, and takes it.
func (b *bucket) take(now time.Time, r rate) bool {
	if !b.at.IsZero() {
		b.spent = max(0, b.spent-r.perSecond*now.Sub(b.at).Seconds())
	}
	b.at = now
	if b.spent+1 > r.burst {
		return false
	}
	b.spent++
	return true
}
