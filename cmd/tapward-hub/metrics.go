package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveMetrics answers Prometheus, and those who ask whether the hub lives and whether it takes boxes.
func (h *hub) serveMetrics(ctx context.Context) error {
	if h.config.Metrics.Listen == "" {
		<-ctx.Done()
		return nil
	}
	l, err := net.Listen("tcp", h.config.Metrics.Listen)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(gauges{h}); err != nil {
		return errors.Join(fmt.Errorf("register metrics: %w", err), l.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !h.broker.Connected() {
			http.Error(w, "the broker is not connected", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return serveHTTP(ctx, l, mux, h.log, nil)
}

// readWithin bounds the reading of the hub's state for one answer.
const readWithin = 5 * time.Second

// gauges reads the hub's state when it is asked.
type gauges struct{ hub *hub }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tapward_hub_"+name, help, labels, nil)
}

var (
	connected  = describe("broker_connected", "1 while the hub reaches its broker.")
	durability = describe("broker_durability", "1 for what the last look at the broker found.", "state")
	boxCount   = describe("boxes", "Boxes that were let in and not revoked.")
	claimCount = describe("claims_waiting", "Boxes that wait for a person to confirm them.")
	alarmCount = describe("alarms_open", "Alarms that nobody has closed.")
	gapCount   = describe("archive_gaps", "Gaps in the archived logs; must be 0.")
	archived   = describe("archive_records", "Records in the archive.")
	messages   = describe("ingest_messages_total", "Messages of boxes that were read, by what came of them.", "outcome")
	ingested   = describe("ingest_records_total", "Records archived since the start.")
	failures   = describe("state_unreadable", "1 while the hub cannot read its own state.")
)

// Describe is prometheus.Collector's.
func (g gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connected, durability, boxCount, claimCount, alarmCount, gapCount, archived, messages, ingested, failures} {
		out <- d
	}
}

// Collect is prometheus.Collector's.
func (g gauges) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(connected, one(g.hub.broker.Connected()))
	gauge(durability, 1, string(g.hub.broker.Durability().State))
	c := g.hub.ingest.Counts()
	count(messages, c.Repeats, "repeat")
	count(messages, c.Gaps, "gap")
	count(messages, c.Refused, "refused")
	count(messages, c.Messages-c.Repeats-c.Gaps-c.Refused, "taken")
	count(ingested, c.Records)
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	s, err := g.hub.status(ctx)
	gauge(failures, one(err != nil))
	if err != nil {
		g.hub.log.Warn("Cannot read the hub's state for metrics", "err", err)
		return
	}
	gauge(boxCount, float64(s.Boxes))
	gauge(claimCount, float64(s.Claims))
	gauge(alarmCount, float64(s.Alarms))
	gauge(gapCount, float64(s.Gaps))
	gauge(archived, float64(s.Records))
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
