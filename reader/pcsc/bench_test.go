package pcsc

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/reader"
	"tapward/reader/vpcd"
)

// BenchmarkTap is the time from a badge being seen by the driver to its Tap, on the real daemon. Each round takes two
// polls of the virtual reader (0.8 s) beside: run it with -benchtime 200x.
func BenchmarkTap(b *testing.B) {
	d := startDaemon(b, 1)
	source := quickSource(b, d, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(b.Context())
	events, ended := make(chan reader.Event), make(chan error, 1)
	go func() { ended <- source.Run(ctx, events) }()
	if s, ok := (<-events).(reader.Status); !ok || s.State != gateway.ReaderUp {
		b.Fatalf("the reader did not come up: %+v", s)
	}
	slot := d.Slots()[0]
	var whole, read []time.Duration
	b.ResetTimer()
	for range b.N {
		if err := slot.Arm(b.Context(), vpcd.Card{UID: number(1)}); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		if err := slot.Tap(); err != nil {
			b.Fatal(err)
		}
		tap := (<-events).(reader.Tap)
		whole = append(whole, time.Since(begin))
		read = append(read, tap.Read)
		if err := slot.Remove(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	stop()
	<-ended
	b.ReportMetric(0, "ns/op") // mostly the virtual reader's polls
	for name, times := range map[string][]time.Duration{"tap": whole, "read": read} {
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), name+"-p99-µs")
	}
}
