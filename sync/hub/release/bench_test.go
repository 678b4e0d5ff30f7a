package release_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/release"
	"tapward/sync/uplink"
)

// A revocation on its way from the decision to being in force on every box, over real connections with TLS, all in one
// process: p99 of all boxes and rounds, and until the hub has heard it of every box.
func BenchmarkRevocationToAll(b *testing.B) {
	for _, boxes := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("%dboxes", boxes), func(b *testing.B) {
			h := newHospital(b)
			r, _ := h.releases(openDatabase(b, databasetest.SQLite(b)), 0)
			var wards []*ward
			for n := range boxes {
				name := fmt.Sprintf("box-%04d", n)
				w := h.box(name)
				h.connect(name, w)
				wards = append(wards, w)
			}
			revoke := func(n int) uplink.Revocation {
				v, err := r.Revoke(b.Context(), uplink.Clinician, fmt.Sprintf("c-%d", n), "left", "kim")
				must(b, err)
				for _, w := range wards {
					w.until(b, 0, v.Number)
				}
				return v
			}
			heardOfAll := func(r release.Reach) bool { return r.Deaf == 0 }
			reach(b, r, revoke(0).Number, heardOfAll)
			var took, known []time.Duration
			for n := 1; b.Loop(); n++ {
				start := time.Now()
				v := revoke(n)
				for _, w := range wards {
					w.mu.Lock()
					took = append(took, w.at[v.Number].Sub(start))
					w.mu.Unlock()
				}
				reach(b, r, v.Number, heardOfAll)
				known = append(known, time.Since(start))
			}
			slices.Sort(took)
			slices.Sort(known)
			at := func(sorted []time.Duration, part float64) time.Duration {
				return sorted[int(part*float64(len(sorted)-1))]
			}
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(at(took, 0.5)), "p50-ms")
			b.ReportMetric(ms(at(took, 0.99)), "p99-ms")
			b.ReportMetric(ms(at(took, 1)), "max-ms")
			b.ReportMetric(ms(at(known, 0.5)), "known-p50-ms")
			if p99 := at(took, 0.99); p99 > time.Second {
				b.Errorf("p99 is %s, more than a second", p99)
			}
		})
	}
}
