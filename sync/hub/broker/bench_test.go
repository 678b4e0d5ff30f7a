package broker_test

import (
	"fmt"
	"testing"
	"time"

	"tapward/sync/hub/broker"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

// One box, one message at a time, as its outbox does: each is on the broker's disk before the next.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{1 << 10, 230 << 10} { // one record, and a full bundle of records of 900 bytes
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			h := startEmbedded(b, func(c *broker.Config) {
				c.Limits = broker.Limits{Bytes: 31 << 30, Day: 1 << 30, Messages: 1 << 30, MaxAge: broker.DefaultLimits.MaxAge}
				c.Embedded.MaxStore = 64 << 30
			})
			a := box("b1")
			c := h.client(b, a)
			until(b, c, "connected", connected)
			payload := make([]byte, size)
			var last uint64
			var err error
			b.SetBytes(int64(size))
			for b.Loop() {
				if last, err = c.Publish(b.Context(), a.AuditSubject(), nil, payload, last); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A hub comes up and every box wants in at once.
func BenchmarkBoxesComeIn(b *testing.B) {
	const boxes = 200
	h := startEmbedded(b, nil)
	for b.Loop() {
		var clients []*upstream.Client
		start := time.Now()
		for i := range boxes {
			clients = append(clients, h.client(b, uplink.Address{Site: "north", Box: box(fmt.Sprintf("b%d", i)).Box}))
		}
		for _, c := range clients {
			until(b, c, "connected", connected)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds())/boxes, "ms/box")
	}
}
