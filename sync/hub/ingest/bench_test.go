package ingest_test

import (
	"runtime"
	"testing"
	"time"

	"tapward/gateway/audit"
	"tapward/sync/hub/database/databasetest"
)

// BenchmarkDrain archives a backlog of one box that waits in the broker.
func BenchmarkDrain(b *testing.B) {
	const records = 100_000
	for name, url := range map[string]func() string{
		"postgres": func() string { return engines.PostgreSQL(b) },
		"sqlite":   func() string { return databasetest.SQLite(b) },
	} {
		b.Run(name, func(b *testing.B) {
			s := newStage(b)
			box := s.box("box-1").work(records)
			began := time.Now()
			s.send(box, box.bundles(0, audit.MaxBundle)...)
			b.ReportMetric(records/time.Since(began).Seconds(), "published/s")
			for b.Loop() {
				h := s.hub(url(), nil)
				for h.Counts().Records < records {
					time.Sleep(time.Millisecond)
				}
				h.stop()
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "archived/s")
			b.ReportMetric(float64(m.HeapSys)/(1<<20), "MiB")
		})
	}
}
