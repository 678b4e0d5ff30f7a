package mdns

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// The library's goroutines end a moment after it was told, and it does not say when.
func TestRoundsLeaveNothingBehind(t *testing.T) {
	w := layWard(t)
	parts, names := manyParts(20)
	w.site("10.77.0.7/24").phones(parts...)
	first := browse(t, newTestBrowser(PhoneService))
	first.awaitAll(nameOf, names...)
	first.stop()
	idle := settledAt(t, usage{1 << 10, 1 << 10})

	const early, late = 10, 60
	reached, goOn := make(chan int), make(chan bool)
	b := newTestBrowser(PhoneService)
	b.pace = func(attempt int) time.Duration {
		if attempt == early || attempt == late {
			reached <- attempt
			<-goOn
		}
		return time.Millisecond
	}
	l := browse(t, b)
	<-reached
	atWork := settledAt(t, usage{1 << 10, 1 << 10})
	goOn <- true
	<-reached
	settledAt(t, atWork)
	goOn <- true
	l.stop()
	settledAt(t, idle)
}

func TestAdvertsLeaveNothingBehind(t *testing.T) {
	w := layWard(t)
	idle := used(t)
	l := browse(t, newTestBrowser(BoxService))
	stop := advertise(t, Advert{Service: BoxService, Instance: "ward-3", Port: 7443, TXT: TXT{ID: "ward-3"}})
	now := boxAddr
	for i := range 5 {
		next := fmt.Sprintf("10.77.0.10%d", i)
		w.readdress(now, next+"/24")
		now = next + "/24"
		l.await("ward-3", next+":7443")
	}
	stop()
	l.stop()
	settledAt(t, idle)
}

type usage struct{ goroutines, files int }

func used(t *testing.T) usage {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return usage{runtime.NumGoroutine(), len(fds)}
}

// settledAt waits until no more is used than the limit, and then until that is steady.
func settledAt(t *testing.T, limit usage) usage {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	last, same := usage{}, 0
	for {
		select {
		case <-tick.C:
			now := used(t)
			if now == last {
				same++
			} else {
				last, same = now, 0
			}
			if same >= 5 && now.goroutines <= limit.goroutines && now.files <= limit.files {
				return now
			}
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("uses %+v, want at most %+v\n%s", last, limit, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
