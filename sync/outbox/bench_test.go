package outbox_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
	"tapward/sync/outbox"
	"tapward/sync/uplink"
)

// BenchmarkCommitsBesideTheDrain prints how long commits take while nothing is sent and while 100,000 records are, the two
// taken in turn, and how fast those go to a broker that costs nothing. One iteration is one drain.
func BenchmarkCommitsBesideTheDrain(b *testing.B) {
	const backlog = 100_000
	w := newWorld(b, newPath(b))
	defer w.stop()
	w.stopBox()
	for range backlog / 1000 {
		w.commit(1000)
	}
	var newest sink // neither the broker's work nor the hub's is the box's
	w.change = func(c *outbox.Config) { c.Broker = &newest }
	w.anchor()
	n := 0
	tap := func() time.Duration {
		<-time.After(5 * time.Millisecond)
		n++
		start := time.Now()
		_, err := w.db.Commit(context.Background(), session.State{Box: address.Box, Custody: gateway.Custody(n)}, []audit.Entry{
			{At: start, Clock: audit.Synchronised, Record: gateway.Record{Kind: gateway.CheckOutRequested, Reader: "door", Clinician: "c-made-up"}},
		})
		must(b, err)
		return time.Since(start)
	}
	var quiet, busy []time.Duration
	var draining time.Duration
	for b.Loop() {
		for range 400 {
			quiet = append(quiet, tap())
		}
		newest.end.Store(0)
		w.start()
		start := time.Now()
		for newest.end.Load() < backlog {
			busy = append(busy, tap())
		}
		draining += time.Since(start)
		w.stopBox()
	}
	wal, err := os.Stat(w.path + "-wal")
	must(b, err)
	b.ReportMetric(float64(backlog)*float64(b.N)/draining.Seconds(), "records/s")
	b.ReportMetric(quantile(quiet, 50).Seconds()*1e3, "quiet-p50-ms")
	b.ReportMetric(quantile(busy, 50).Seconds()*1e3, "busy-p50-ms")
	b.ReportMetric(quantile(quiet, 99).Seconds()*1e3, "quiet-p99-ms")
	b.ReportMetric(quantile(busy, 99).Seconds()*1e3, "busy-p99-ms")
	b.ReportMetric(float64(quantile(busy, 99))/float64(quantile(quiet, 99)), "p99-ratio")
	b.ReportMetric(float64(wal.Size())/(1<<20), "wal-MiB")
}

// sink is a broker that costs nothing and remembers only how far it got.
type sink struct{ end atomic.Int64 }

func (s *sink) Publish(_ context.Context, _ string, header map[string]string, _ []byte, after uint64) (uint64, error) {
	end, err := strconv.ParseInt(header[uplink.EndHeader], 10, 64)
	s.end.Store(end)
	return after + 1, err
}

func (s *sink) Newest(context.Context) (outbox.Newest, error) { return outbox.Newest{}, nil }

func quantile(d []time.Duration, percent int) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[(len(d)-1)*percent/100]
}
