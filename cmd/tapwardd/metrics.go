package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/handoff"
	"tapward/gateway/session"
)

// metrics are what a monitoring system asks of the box. No person and no badge is in any of them.
type metrics struct {
	taps    *prometheus.CounterVec
	commits prometheus.Histogram
	ready   atomic.Bool
}

func newMetrics() *metrics {
	m := &metrics{
		taps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tapward_taps_total", Help: "Taps by what the person was told: granted, note, refused, or fault.",
		}, []string{"outcome"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tapward_commit_duration_seconds", Help: "How long the disk took to make one batch of decisions durable.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, 1},
		}),
	}
	for _, s := range []gateway.Signal{gateway.Granted, gateway.Note, gateway.Refused, gateway.Fault} {
		m.taps.WithLabelValues(s.String()) // a rate needs its zero
	}
	return m
}

// measuredReaders count what people at the readers are told.
type measuredReaders struct {
	handoff.Readers
	metrics *metrics
}

func (r measuredReaders) Signal(f gateway.Feedback) {
	if f.Signal != gateway.Seen {
		r.metrics.taps.WithLabelValues(f.Signal.String()).Inc()
	}
	r.Readers.Signal(f)
}

// measuredJournal measures commits.
type measuredJournal struct {
	handoff.Journal
	metrics *metrics
}

func (j measuredJournal) Commit(ctx context.Context, s session.State, entries []audit.Entry, acts ...gateway.Act) (audit.Head, error) {
	began := time.Now()
	head, err := j.Journal.Commit(ctx, s, entries, acts...)
	j.metrics.commits.Observe(time.Since(began).Seconds())
	return head, err
}

// serve answers Prometheus at /metrics, and whether the box lives at /healthz and is open at /readyz, until ctx ends. A
// hub that cannot be reached makes the box neither dead nor closed. l may be nil.
func (m *metrics) serve(ctx context.Context, l net.Listener, engine *handoff.Engine, log *slog.Logger) error {
	if l == nil {
		return nil
	}
	defer m.ready.Store(false)
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.taps, m.commits, pictured{engine})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !m.ready.Load() {
			http.Error(w, "the ward is not open", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	server := &http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("serve metrics: %w", err), server.Close())
	case <-ctx.Done():
		err := server.Close() // whoever asks just now asks again
		<-failed
		return err
	}
}

// pictured reads the newest picture of the ward whenever it is asked.
type pictured struct{ engine *handoff.Engine }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tapward_"+name, help, labels, nil)
}

// gauges are what is read off a picture.
var gauges = struct {
	sessions, phones, readers, readersUp, storage, connected, waiting, oldest, heard, certificate *prometheus.Desc
}{
	sessions:    gauge("sessions", "Phones that are somebody's."),
	phones:      gauge("phones", "Paired phones that are linked."),
	readers:     gauge("readers", "Readers that are configured."),
	readersUp:   gauge("readers_up", "Readers that work."),
	storage:     gauge("storage_state", "1 for the state of the disk: ok, low, or exhausted.", "state"),
	connected:   gauge("uplink_connected", "1 while the box is connected with the hospital's hub."),
	waiting:     gauge("outbox_records", "Records that the hospital has not said it has stored."),
	oldest:      gauge("outbox_oldest_age_seconds", "Age of the oldest of them; 0: there is none."),
	heard:       gauge("revocations_issued_timestamp_seconds", "When the hub signed the newest revocations that came."),
	certificate: gauge("certificate_expiry_timestamp_seconds", "When the box's certificate for the hub ends."),
}

func (pictured) Describe(out chan<- *prometheus.Desc) {
	g := gauges
	for _, d := range []*prometheus.Desc{g.sessions, g.phones, g.readers, g.readersUp, g.storage, g.connected, g.waiting, g.oldest, g.heard, g.certificate} {
		out <- d
	}
}

func (p pictured) Collect(out chan<- prometheus.Metric) {
	w, _ := p.engine.Ward()
	say := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	say(gauges.sessions, count(w.Phones, func(p gateway.WardPhone) bool { return p.Phase == session.Bound.String() }))
	say(gauges.phones, count(w.Phones, func(p gateway.WardPhone) bool { return p.Linked }))
	say(gauges.readersUp, count(w.Readers, func(r gateway.WardReader) bool { return r.State == gateway.ReaderUp }))
	say(gauges.readers, float64(len(w.Readers)))
	for _, s := range []gateway.Storage{gateway.StorageOK, gateway.StorageNear, gateway.StorageNone} {
		say(gauges.storage, one(w.Storage == s), s.String())
	}
	if w.Uplink.State != gateway.NoUplink {
		collectUplink(w.Uplink, say)
	}
}

func collectUplink(u gateway.Uplink, say func(d *prometheus.Desc, v float64, labels ...string)) {
	say(gauges.connected, one(u.State == gateway.UplinkConnected))
	if u.CertificateEnds.IsZero() {
		return // what a box that has not joined has to send is not counted
	}
	say(gauges.waiting, float64(u.Waiting))
	age := 0.0
	if !u.Oldest.IsZero() {
		age = max(0, time.Since(u.Oldest).Seconds())
	}
	say(gauges.oldest, age)
	if !u.Heard.IsZero() {
		say(gauges.heard, float64(u.Heard.Unix()))
	}
	say(gauges.certificate, float64(u.CertificateEnds.Unix()))
}

func count[T any](all []T, is func(T) bool) (n float64) {
	for _, v := range all {
		n += one(is(v))
	}
	return n
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
