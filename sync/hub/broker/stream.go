package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// Limits keep one box from filling the broker for all. JetStream counts messages per subject but not bytes; so Messages
// is the broker's own bound, and Day is the hub's: who stores more within a day loses the right to send for a while.
type Limits struct {
	Bytes    int64         // of TAPWARD_AUDIT; at least 31 × Day, so that one box can never have it all
	Day      int64         // bytes of one box within 24 hours
	Messages int64         // of one box within MaxAge
	MaxAge   time.Duration // at least the boxes' retention
}

// DefaultLimits hold thirty days of a box with 3,000 records a day, and those as one backlog.
var DefaultLimits = Limits{Bytes: 4 << 30, Day: 128 << 20, Messages: 200_000, MaxAge: 31 * 24 * time.Hour}

const (
	boxRetention = 30 * 24 * time.Hour
	headroom     = 48 << 10 // for a message's headers and what the broker adds
)

func (l Limits) valid() error {
	switch {
	case l.Day <= 0 || l.Messages <= 0:
		return errors.New("a box's share of the stream must be above zero")
	case l.Bytes < 31*l.Day:
		return fmt.Errorf("one box could fill the stream: %d bytes are less than 31 days of %d", l.Bytes, l.Day)
	case l.MaxAge < boxRetention:
		return fmt.Errorf("messages must stay at least as long as records on a box, %s", boxRetention)
	}
	return nil
}

// streams is what the broker must hold.
func (c Config) streams() []jetstream.StreamConfig {
	out := []jetstream.StreamConfig{{
		Name: uplink.AuditStream, Subjects: []string{"tapward.audit.*.*"},
		Description: "bundles of audit records as boxes sent them",
		MaxBytes:    c.Limits.Bytes, MaxAge: c.Limits.MaxAge,
		MaxMsgsPerSubject: c.Limits.Messages, DiscardNewPerSubject: true,
		MaxMsgSize: audit.MaxBundleBytes + headroom,
	}}
	for bucket, size := range map[string]int32{
		uplink.ReceiptBucket: uplink.MaxReceipt + headroom,
		uplink.ReportBucket:  uplink.MaxReport + headroom,
		uplink.ReleaseBucket: uplink.MaxRelease + headroom,
	} {
		out = append(out, jetstream.StreamConfig{
			Name: uplink.BucketStream(bucket), Subjects: []string{uplink.BucketSubject(bucket, ">")},
			Description: "the newest value of each key", MaxMsgsPerSubject: 1, MaxMsgSize: size,
		})
	}
	// Rollup headers stay off everywhere: with them one publish could purge a whole stream.
	for i := range out {
		s := &out[i]
		s.Storage, s.Retention, s.Discard = jetstream.FileStorage, jetstream.LimitsPolicy, jetstream.DiscardNew
		s.Replicas, s.AllowDirect, s.DenyDelete, s.DenyPurge = c.Replicas, true, true, true
	}
	return out
}

// ensure makes or mends the streams; it tries until it has them. False: ctx ended.
func (b *Broker) ensure(ctx context.Context, hub *nats.Conn) bool {
	// A cluster without a leader yet swallows questions: ask again soon.
	js, err := jetstream.New(hub, jetstream.WithDefaultTimeout(2*time.Second))
	if err != nil {
		b.log.Error("the broker's streams cannot be made", "err", err)
		return false
	}
	for rounds := 0; ; rounds++ {
		err := b.ensureOnce(ctx, js)
		if err == nil {
			return true
		}
		if ctx.Err() != nil || !pause(ctx, delay(rounds)) {
			return false
		}
		if rounds > 2 { // a server that just started is still finding its peers
			b.log.Error("the broker's streams cannot be made; trying on", "err", err)
		}
	}
}

func (b *Broker) ensureOnce(ctx context.Context, js jetstream.JetStream) error {
	for _, s := range b.config.streams() {
		if _, err := js.CreateOrUpdateStream(ctx, s); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	return nil
}
