package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
	"tapward/reader/vpcd"
)

// What the design has made durable before a phone unlocks, with the sizes seen on the disk: the box's commit, before
// anything is sent; the phone's fence, before it acts; the phone's receipt, before it is given.
const (
	boxCommit   = 16 << 10 // four pages of the write-ahead log
	crowdCommit = 52 << 10 // the same for 39 taps together: thirteen pages
	phoneWrite  = 3 << 10  // a slot of the lock state
	linkFrame   = 1500     // a bind with its signed grant
)

// A benchmark takes so many samples in each of its iterations, which are too long for more than one in a second.
var (
	tapSamples   = flag.Int("taps", 100, "how many single taps are measured")
	crowdSamples = flag.Int("crowds", 10, "how many shift changes are measured")
)

// BenchmarkTapToUnlocked measures from the badge at the reader to the unlocked phone, on the real PC/SC daemon, the real
// program and a real agent over TLS, and in the same loop, one by one, what a tap is physically made of.
func BenchmarkTapToUnlocked(b *testing.B) {
	readers := startReaders(b, "door", "bare")
	box := newBox(b, func(c *Config) { c.PCSC = readers.config()[:1] })
	who := box.staff(1)[0]
	box.start()
	box.must(box.client.LoadPolicy(b.Context(), wardPolicy{
		Version: 1, Class: "pickup = \"10m\"", Staff: []person{who}, Places: []gateway.Place{{Reader: "door", Pool: testPool}},
	}.document()))
	phone := newHandset(b, box, "phone-1", handsetWith{quiet: true})
	box.must(box.client.AddPhone(b.Context(), phone.paired()))
	box.await("link", ready("phone-1", "door"))
	bare, link := newBareReader(b, readers.slot("bare").Name), newBareLink(b)
	log, state := newBareFile(b), newBareFile(b)

	s := samples{}
	tap := func() {
		arm(b, who, readers.slot("door"), readers.slot("bare"))
		s.add("tap to unlocked", took(func() {
			box.must(readers.slot("door").Tap())
			phone.awaitName(who)
		}))
		s.add("card: insertion, connect, APDU", took(func() {
			box.must(readers.slot("bare").Tap())
			bare.read()
		}))
		s.add("box: write and fdatasync", took(func() { log.write(boxCommit) }))
		s.add("link: TLS echo", took(func() { link.echo(linkFrame) }))
		s.add("phone: write and fdatasync, twice", took(func() { state.write(phoneWrite); state.write(phoneWrite) }))
		var gone sync.WaitGroup
		for _, id := range []gateway.ReaderID{"door", "bare"} {
			gone.Go(func() {
				if err := readers.slot(id).Remove(); err != nil {
					b.Error(err)
				}
			})
		}
		gone.Wait()
		box.await("session", held("phone-1", who))
		box.must(box.client.ReleasePhone(b.Context(), "phone-1"))
		box.await("release", ready("phone-1"))
	}
	for b.Loop() {
		for range *tapSamples {
			tap()
		}
	}
	s.report(b, "at most 2 and 3")
	whereTimeGoes(b, box)
}

// arm brings the same card to both slots.
func arm(b *testing.B, who person, slots ...*vpcd.Slot) {
	b.Helper()
	var near sync.WaitGroup
	for _, slot := range slots {
		near.Go(func() {
			if err := slot.Arm(b.Context(), vpcd.Card{UID: who.UID}); err != nil {
				b.Error(err)
			}
		})
	}
	near.Wait()
}

// samples are paired measurements by name; the first name is the whole, the others are its parts.
type samples struct {
	names []string
	all   map[string][]time.Duration
}

func (s *samples) add(name string, d time.Duration) {
	if s.all == nil {
		s.all = map[string][]time.Duration{}
	}
	if !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
	s.all[name] = append(s.all[name], d)
}

// sum adds the parts, sample by sample.
func (s *samples) sum() []time.Duration {
	sum := make([]time.Duration, len(s.all[s.names[0]]))
	for _, part := range s.names[1:] {
		for i, d := range s.all[part] {
			sum[i] += d
		}
	}
	return sum
}

func (s *samples) report(b *testing.B, aim string) {
	b.Helper()
	var table strings.Builder
	line := func(name string, all []time.Duration) {
		fmt.Fprintf(&table, "%-36s %10s %10s\n", name, quantile(all, 50).Round(time.Microsecond), quantile(all, 99).Round(time.Microsecond))
	}
	fmt.Fprintf(&table, "\n%-36s %10s %10s   (%d paired samples)\n", b.Name(), "p50", "p99", len(s.sum()))
	for _, name := range s.names[1:] {
		line(name, s.all[name])
	}
	line("sum of the physical parts", s.sum())
	whole := s.all[s.names[0]]
	line(s.names[0], whole)
	r50 := float64(quantile(whole, 50)) / float64(quantile(s.sum(), 50))
	r99 := float64(quantile(whole, 99)) / float64(quantile(s.sum(), 99))
	fmt.Fprintf(&table, "%-36s %10.2f %10.2f   (aim: %s)\n", "ratio", r50, r99, aim)
	fmt.Println(table.String())
	b.ReportMetric(float64(quantile(whole, 50).Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(quantile(whole, 99).Microseconds())/1000, "ms-p99")
	b.ReportMetric(r50, "ratio-p50")
	b.ReportMetric(r99, "ratio-p99")
}

// boxShare is how long the box itself took for each crowd, as its log tells: from the first permit to the last bind that
// went out. What comes after is the phones' time, which here all share the box's processors and its disk.
func boxShare(log wardLog, crowd int) (share []time.Duration) {
	var first, last time.Time
	opened := 0
	for _, l := range log.leaves {
		switch r := l.Entry.Record; r.Kind {
		case gateway.CheckOutRequested:
			if first.IsZero() {
				first = r.At
			}
		case gateway.SessionOpened:
			if sent := r.At.Add(-r.Durations.Confirmed); sent.After(last) {
				last = sent
			}
			if opened++; opened == crowd {
				share = append(share, last.Sub(first))
				opened, first, last = 0, time.Time{}, time.Time{}
			}
		}
	}
	return share
}

// whereTimeGoes is what the box's own log tells of the steps of every tap. It ends the box.
func whereTimeGoes(b *testing.B, box *testBox) wardLog {
	b.Helper()
	box.stop()
	log := box.readLog()
	steps := samples{}
	requests := log.find(func(r gateway.Record) bool { return r.Kind == gateway.CheckOutRequested })
	for _, l := range requests {
		d := l.Entry.Record.Durations
		steps.add("read", d.Read)
		steps.add("identify, decide, choose", d.Identify+d.Decide+d.Choose)
	}
	for _, l := range log.find(func(r gateway.Record) bool { return r.Kind == gateway.SessionOpened }) {
		d := l.Entry.Record.Durations
		steps.add("commit", d.Commit)
		steps.add("notify", d.Notify)
		steps.add("confirmed by the phone", d.Confirmed)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-36s %10s %10s   (of %d taps, from the audit log)\n", "", "p50", "p99", len(requests))
	for _, name := range steps.names {
		all := steps.all[name]
		fmt.Fprintf(&table, "%-36s %10s %10s\n", name, quantile(all, 50).Round(time.Microsecond), quantile(all, 99).Round(time.Microsecond))
	}
	fmt.Println(table.String())
	return log
}

// quantile is the smallest sample that is not less than p per cent of all.
func quantile(all []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// BenchmarkShiftChange has forty clinicians tap at once, at four readers. The box's part, from its first permit to the
// last bind that it gave to a link, is compared with the disk alone making the same two group commits durable: one for
// the first tap, one for the others. Forty phones of a ward have forty processors and forty stores; here they must share
// the box's. So that they take of it only what the box leaves, they store in memory and the box goes before them.
func BenchmarkShiftChange(b *testing.B) {
	const crowd = 40
	var ports []*badgePort
	places := []gateway.Place{}
	for _, id := range []gateway.ReaderID{"door-1", "door-2", "door-3", "door-4"} {
		ports = append(ports, newPort(b, id))
		places = append(places, gateway.Place{Reader: id, Pool: testPool})
	}
	box := newBox(b, func(c *Config) {
		for _, p := range ports {
			c.Serial = append(c.Serial, p.config)
		}
	})
	people := box.staff(crowd)
	box.start()
	box.must(box.client.LoadPolicy(b.Context(), wardPolicy{
		Version: 1, Class: "bind = \"30s\"\nrelease = \"1m\"\npickup = \"10m\"", Staff: people, Places: places,
	}.document()))
	phones := many(b, box, crowd, inMemory(b))
	box.goFirst()
	log := newBareFile(b)
	var disk, whole []time.Duration
	change := func() {
		whole = append(whole, took(func() {
			for i, who := range people {
				ports[i%len(ports)].tap(who)
			}
			for _, phone := range phones {
				phone.await("unlock", func(v agent.View) bool { return v.Screen == agent.ScreenUnlocked })
			}
		}))
		disk = append(disk, took(func() { log.write(boxCommit); log.write(crowdCommit) }))
		for _, phone := range phones {
			box.must(box.client.ReleasePhone(b.Context(), phone.id))
		}
		for _, phone := range phones {
			box.await("release", ready(phone.id))
		}
		// The readers hold back the same badge for two seconds.
		<-time.After(2 * time.Second)
	}
	for b.Loop() {
		for range *crowdSamples {
			change()
		}
	}
	s := samples{}
	for i, own := range boxShare(whereTimeGoes(b, box), crowd) {
		s.add("box: first permit to last bind", own)
		s.add("disk: one commit, one for the rest", disk[i])
	}
	s.report(b, "at most 1.5")
	fmt.Printf("%-36s %10s %10s   (with the work of forty phones on the same processors)\n\n", "forty taps to forty unlocked",
		quantile(whole, 50).Round(time.Microsecond), quantile(whole, 99).Round(time.Microsecond))
}

// inMemory makes folders that lie on no disk.
func inMemory(b *testing.B) func() string {
	return func() string {
		dir, err := os.MkdirTemp("/dev/shm", "tapward-bench-")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
}

// goFirst lets the box have a processor whenever it wants one.
func (b *testBox) goFirst() {
	b.t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", b.running.cmd.Process.Pid))
	for _, thread := range threads {
		id, convErr := strconv.Atoi(filepath.Base(thread))
		err = errors.Join(err, convErr, unix.Setpriority(unix.PRIO_PROCESS, id, -20))
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// BenchmarkTwoHundredPhones measures the memory of a box with two hundred phones linked.
func BenchmarkTwoHundredPhones(b *testing.B) {
	const ward = 200
	box := newBox(b, func(*Config) {})
	box.start()
	box.must(box.client.LoadPolicy(b.Context(), wardPolicy{Version: 1, Staff: box.staff(1)}.document()))
	alone := resident(b, box)
	many(b, box, ward, b.TempDir)
	for b.Loop() {
		box.await("links", func(w *gateway.Ward) bool { return len(w.Phones) == ward })
	}
	linked := resident(b, box)
	fmt.Printf("\nresident memory: %.1f MiB alone, %.1f MiB with %d phones linked (aim: below 64)\n", alone, linked, ward)
	b.ReportMetric(linked, "MiB")
}

// many are n phones, all linked; each stores in a folder of its own.
func many(b *testing.B, box *testBox, n int, folder func() string) (phones []*handset) {
	b.Helper()
	for i := range n {
		phone := newHandset(b, box, gateway.PhoneID(fmt.Sprintf("phone-%03d", i+1)), handsetWith{quiet: true, folder: folder()})
		box.must(box.client.AddPhone(bounded(b), phone.paired()))
		phones = append(phones, phone)
	}
	for _, phone := range phones {
		box.await("link", ready(phone.id))
	}
	return phones
}

// resident is how much memory the program has, in MiB.
func resident(b *testing.B, box *testBox) float64 {
	b.Helper()
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", box.running.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		var kib float64
		if n, _ := fmt.Sscanf(lines.Text(), "VmRSS: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	b.Fatal("the kernel does not say how much memory the program has")
	return 0
}
