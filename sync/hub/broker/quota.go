package broker

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tapward/sync/uplink"
)

// meter counts what each box stored within the last 24 hours, in hours.
type meter struct {
	limit int64

	mu  sync.Mutex
	use map[uplink.Address]*[25]use
}

type use struct {
	hour  int64 // since 1970
	bytes int64
}

func newMeter(limit int64) *meter { return &meter{limit: limit, use: map[uplink.Address]*[25]use{}} }

// add counts a stored message.
func (m *meter) add(a uplink.Address, at time.Time, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.use[a]
	if u == nil {
		u = new([25]use)
		m.use[a] = u
	}
	hour := at.Unix() / 3600
	slot := &u[hour%25]
	if slot.hour > hour {
		return // older than a day
	}
	if slot.hour < hour {
		*slot = use{hour: hour}
	}
	slot.bytes += bytes
}

// over says that a box stored more than it may.
func (m *meter) over(a uplink.Address, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum int64
	if u := m.use[a]; u != nil {
		for _, s := range u {
			if s.hour > now.Unix()/3600-24 {
				sum += s.bytes
			}
		}
	}
	return sum > m.limit
}

// Over lists the boxes that may send nothing for now because they stored too much within a day.
func (b *Broker) Over() []uplink.Address {
	now := time.Now()
	var out []uplink.Address
	for _, a := range b.meter.boxes() {
		if b.meter.over(a, now) {
			out = append(out, a)
		}
	}
	return out
}

func (m *meter) boxes() []uplink.Address {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]uplink.Address, 0, len(m.use))
	for a := range m.use {
		out = append(out, a)
	}
	return out
}

// watchUse counts what the broker stores, by headers alone, and lets every box connect anew whose right to send changes.
func (b *Broker) watchUse(ctx context.Context, js jetstream.JetStream) error {
	stored := make(chan jetstream.Msg, 1024)
	for rounds := 0; ; rounds++ {
		yesterday := time.Now().Add(-24 * time.Hour)
		c, err := js.OrderedConsumer(ctx, uplink.AuditStream, jetstream.OrderedConsumerConfig{
			HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &yesterday,
		})
		if err == nil {
			var reading jetstream.ConsumeContext
			reading, err = c.Consume(func(m jetstream.Msg) {
				select {
				case stored <- m:
				case <-ctx.Done():
				}
			})
			if err == nil {
				defer reading.Stop()
				break
			}
		}
		if ctx.Err() == nil {
			b.log.Error("what boxes store cannot be counted; trying on", "err", err)
		}
		if !pause(ctx, delay(rounds)) {
			return nil
		}
	}
	each := time.NewTicker(time.Minute)
	defer each.Stop()
	over := map[uplink.Address]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-stored:
			if a, bytes, at, ok := weigh(m); ok {
				b.meter.add(a, at, bytes)
				b.enforce(ctx, a, over)
			}
		case <-each.C:
			for a := range over {
				b.enforce(ctx, a, over)
			}
		}
	}
}

// enforce cuts a box that has just gone over its share, or come back below it: it connects anew with other rights.
func (b *Broker) enforce(ctx context.Context, a uplink.Address, over map[uplink.Address]bool) {
	is := b.meter.over(a, time.Now())
	if is == over[a] {
		return
	}
	if is {
		b.log.Error("a box stored more than its share within a day and may send nothing more until that is over", "box", a.String(), "bytes", b.meter.limit)
	} else {
		b.log.Info("a box may send again", "box", a.String())
	}
	if err := b.Cut(ctx, a); err != nil {
		b.log.Error("a box keeps its old rights until it connects anew", "err", err)
		return
	}
	if is {
		over[a] = true
	} else {
		delete(over, a)
	}
}

// weigh is what a message takes in the stream, read from its headers alone.
func weigh(m jetstream.Msg) (uplink.Address, int64, time.Time, bool) {
	a, err := uplink.AuditAddress(m.Subject())
	if err != nil {
		return uplink.Address{}, 0, time.Time{}, false
	}
	meta, err := m.Metadata()
	if err != nil {
		return uplink.Address{}, 0, time.Time{}, false
	}
	bytes, _ := strconv.ParseInt(m.Headers().Get(nats.MsgSize), 10, 64)
	for k, values := range m.Headers() {
		for _, v := range values {
			bytes += int64(len(k) + len(v) + 4)
		}
	}
	return a, bytes, meta.Timestamp, true
}
