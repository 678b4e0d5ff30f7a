package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
	"tapward/gateway/store"
)

// BenchmarkCommit prints how long the commit of one check-out takes (one leaf, its opening, its phone, the custody
// counter) against what the disk needs for one durable 4 KiB overwrite, the two taken in turn.
func BenchmarkCommit(b *testing.B) {
	for _, phones := range []int{4, 200} {
		b.Run(fmt.Sprintf("phones=%d", phones), func(b *testing.B) { benchmarkCommit(b, phones) })
	}
}

func benchmarkCommit(b *testing.B, phones int) {
	dir := b.TempDir()
	s := open(b, store.Config{Path: filepath.Join(dir, "ward.db"), Create: true, Box: "box-1"})
	raw, err := os.Create(filepath.Join(dir, "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	page := make([]byte, 4096)
	for i := range 1024 {
		if _, err := raw.WriteAt(page, int64(i)*4096); err != nil {
			b.Fatal(err)
		}
	}
	if err := raw.Sync(); err != nil {
		b.Fatal(err)
	}
	state := session.State{Box: "box-1"}
	for i := range phones {
		state.Phones = append(state.Phones, session.Phone{ID: gateway.PhoneID(fmt.Sprintf("phone-%03d", i))})
	}
	var bare, commit []time.Duration
	for i := range b.N {
		start := time.Now()
		if _, err := raw.WriteAt(page, int64(i%1024)*4096); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(raw.Fd())); err != nil {
			b.Fatal(err)
		}
		bare = append(bare, time.Since(start))

		state.Custody++
		state.Phones = slices.Clone(state.Phones)
		p := &state.Phones[i%phones]
		p.Phase, p.Owner, p.Custody, p.Fence = session.Binding, "c-0000000001", state.Custody, p.Fence+1
		p.Grant = gateway.Grant{Box: "box-1", Phone: p.ID, Fence: p.Fence, Custody: p.Custody, Clinician: p.Owner, Lease: 3600}
		start = time.Now()
		p.Since, p.Due.Answer = start, start.Add(5*time.Second)
		_, err := s.Commit(b.Context(), state, []audit.Entry{{At: start, Uptime: time.Hour, Record: gateway.Record{
			Kind: gateway.CheckOutRequested, Reader: "door", Origin: gateway.OriginPCSC, Phone: p.ID, Fence: p.Fence,
			Custody: p.Custody, Grant: p.Grant.Digest(), Reasons: []gateway.Reason{gateway.CheckOut}, Clinician: p.Owner,
		}}})
		if err != nil {
			b.Fatal(err)
		}
		commit = append(commit, time.Since(start))
	}
	b.ReportMetric(quantile(bare, 50).Seconds()*1e6, "bare-p50-µs")
	b.ReportMetric(quantile(commit, 50).Seconds()*1e6, "commit-p50-µs")
	b.ReportMetric(float64(quantile(commit, 50))/float64(quantile(bare, 50)), "p50-ratio")
	b.ReportMetric(float64(quantile(commit, 99))/float64(quantile(bare, 99)), "p99-ratio")
}

func quantile(d []time.Duration, percent int) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[(len(d)-1)*percent/100]
}
