package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"tapward/sync/uplink"
)

const (
	durable    = "tapward-ingest" // consumer that all hubs share
	ackWait    = 30 * time.Second
	maxUnacked = 100_000 // notices; of each box at most one waits
)

// source is the broker's audit stream and the bucket for receipts, as found when ingest last began to listen.
type source struct {
	stream   jetstream.Stream
	made     int64 // when the stream was, in Unix nanoseconds: tells which one it is
	reading  int   // rises when what was read of it no longer counts
	receipts jetstream.KeyValue
}

func (i *Ingest) now() source {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.source
}

// listen hears of new messages, by their headers, until something fails.
func (i *Ingest) listen(ctx context.Context) error {
	js := i.Broker.JetStream()
	consumer, err := js.CreateOrUpdateConsumer(ctx, uplink.AuditStream, jetstream.ConsumerConfig{
		Durable: durable, Description: "tells the hub which box has sent something", HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxDeliver: -1, MaxAckPending: maxUnacked,
	})
	if err != nil {
		return fmt.Errorf("make the consumer: %w", err)
	}
	receipts, err := js.KeyValue(ctx, uplink.ReceiptBucket)
	if err != nil {
		return fmt.Errorf("open the receipts: %w", err)
	}
	if err := i.find(ctx, js, receipts); err != nil {
		return err
	}
	heard, err := consumer.Messages(jetstream.PullMaxMessages(1000))
	if err != nil {
		return fmt.Errorf("read the consumer: %w", err)
	}
	defer heard.Stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return i.compareAll(ctx, receipts) })
	g.Go(func() error {
		defer context.AfterFunc(ctx, heard.Stop)()
		for {
			m, err := heard.Next()
			if err != nil {
				return fmt.Errorf("read the consumer: %w", err)
			}
			i.heard(m)
		}
	})
	return g.Wait()
}

func (i *Ingest) heard(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		i.Logger.Error("ingest cannot read what the broker says of a message", "err", err)
		return
	}
	a, err := uplink.AuditAddress(m.Subject())
	if err != nil { // the broker lets no box send this
		i.Logger.Error("a message of no box is left alone", "err", err)
		_ = m.Term()
		return
	}
	i.turns.notice(a, meta.Sequence.Stream, m)
}

// find looks which stream it is. Where places were noted that it does not reach, it was put back from a backup and
// is read from its beginning.
func (i *Ingest) find(ctx context.Context, js jetstream.JetStream, receipts jetstream.KeyValue) error {
	s, err := js.Stream(ctx, uplink.AuditStream)
	if err != nil {
		return fmt.Errorf("find the stream: %w", err)
	}
	now := s.CachedInfo()
	made := now.Created.UnixNano()
	beyond, err := i.forgetPlacesBeyond(ctx, made, now.State.LastSeq)
	if err != nil {
		return err
	}
	i.mu.Lock()
	reading := i.source.reading
	if beyond || i.source.made != made {
		reading++
		clear(i.moved)
	}
	changed := reading != i.source.reading
	i.source = source{s, made, reading, receipts}
	i.mu.Unlock()
	if changed {
		i.turns.forget(reading)
	}
	return nil
}

// compareAll has every box's receipt compared with the archive at once, and later of those where they differ.
func (i *Ingest) compareAll(ctx context.Context, receipts jetstream.KeyValue) error {
	each := time.NewTicker(compareEvery)
	defer each.Stop()
	for first := true; ; first = false {
		if err := i.compareOnce(ctx, receipts, first); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-each.C:
		}
	}
}

func (i *Ingest) compareOnce(ctx context.Context, receipts jetstream.KeyValue, all bool) error {
	said, err := published(ctx, receipts)
	if err != nil {
		return fmt.Errorf("read the receipts: %w", err)
	}
	origins, err := i.Archive.Origins(ctx)
	if err != nil {
		return err
	}
	newest := map[uplink.Address]uint32{}
	for a := range said {
		newest[a] = 0
	}
	differs := map[uplink.Address]bool{}
	for _, o := range origins { // by epoch: the newest comes last
		newest[o.Address] = o.Epoch
		differs[o.Address] = said[o.Address] != plainReceipt(o)
	}
	for a, epoch := range newest {
		if d, archived := differs[a]; all || d || !archived {
			i.turns.check(a, epoch)
		}
	}
	if !all {
		return nil
	}
	places, err := i.places(ctx)
	for _, a := range places {
		if _, known := newest[a]; !known {
			i.turns.check(a, 0)
		}
	}
	return err
}

// published is the newest receipt of every box; one that cannot be read is empty.
func published(ctx context.Context, bucket jetstream.KeyValue) (map[uplink.Address]uplink.Receipt, error) {
	watch, err := bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, err
	}
	defer watch.Stop()
	all := map[uplink.Address]uplink.Receipt{}
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case entry, ok := <-watch.Updates():
			if !ok {
				return nil, errors.New("the broker ended the list")
			}
			if entry == nil {
				return all, nil
			}
			if a, err := addressOf(entry.Key()); err == nil {
				all[a] = readReceipt(entry.Value())
			}
		}
	}
}
