package archive_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/hub/database/databasetest"
)

const boxRecords = 6000

// settle re-checks an archive that was killed against a box: nothing acknowledged is lost, nothing is there in part, and
// the log goes on from where the archive says it stands.
func settle(t *testing.T, a *archive.Archive, b *box, acknowledged int64) (size int64) {
	t.Helper()
	s, err := a.Standing(t.Context(), b.origin)
	if err != nil {
		t.Fatal(err)
	}
	if s.Size < acknowledged {
		t.Errorf("%d records were acknowledged and %d are there", acknowledged, s.Size)
	}
	b.verify(t, a, s.Size)
	if records, err := a.Since(t.Context(), 0, boxRecords); err != nil || int64(len(records)) != s.Size {
		t.Errorf("%d records in order, %v; want %d", len(records), err, s.Size)
	}
	if gaps, err := a.Gaps(t.Context()); err != nil || len(gaps) != 0 {
		t.Errorf("gaps %+v, %v", gaps, err)
	}
	return s.Size
}

// TestPostgreSQLKilledInTheMidst kills the server, again and again, while a hub appends.
func TestPostgreSQLKilledInTheMidst(t *testing.T) {
	server, err := databasetest.NewServer(databasetest.Memory)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	db := openDatabase(t, server.URL("postgres"))
	a, b, size := archive.New(db, archive.Retention{}, quiet()), newBox("box-1").work(boxRecords), int64(0)
	for range 4 {
		began := size
		if size = settle(t, a, b, size); size != began {
			t.Logf("%d records were stored whose answer was lost", size-began)
		}
		acknowledged := make(chan int64, boxRecords)
		failed := make(chan error)
		go func() { failed <- appendOn(a, b, size, acknowledged) }()
		for range 1 + rand.IntN(60) {
			size = <-acknowledged
		}
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; err == nil {
			t.Error("the hub did not notice")
		}
		close(acknowledged)
		for n := range acknowledged {
			size = n
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		reconnect(t, db)
	}
	t.Logf("%d records over 4 kills", settle(t, a, b, size))
}

// reconnect uses up the connections that do not know yet that they are dead, as a hub does that tries again.
func reconnect(t *testing.T, db *database.DB) {
	t.Helper()
	var err error
	for range 20 {
		if err = db.PingContext(t.Context()); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// appendOn appends small batches until it fails.
func appendOn(a *archive.Archive, b *box, from int64, acknowledged chan<- int64) error {
	for ; from+10 <= boxRecords; from += 10 {
		if _, err := a.Append(context.Background(), b.batch(int(from), int(from)+10, start)); err != nil {
			return err
		}
		acknowledged <- from + 10
	}
	return errors.New("the box has no more records")
}

// writerURL asks the test binary to be a hub that appends until it is killed.
const writerURL = "TAPWARD_ARCHIVE_WRITER"

func writeUntilKilled() bool {
	url := os.Getenv(writerURL)
	if url == "" {
		return false
	}
	if err := appendBoxes(context.Background(), url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// TestHubKilledInTheMidst kills a hub on each engine while it appends.
func TestHubKilledInTheMidst(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		total := int64(0)
		for round := range 5 {
			acknowledged := killedHub(t, url)
			a := open(t, url)
			all, err := a.Origins(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held := int64(0)
			for _, s := range all {
				held += s.Size
			}
			if held < total+acknowledged {
				t.Errorf("round %d: %d records acknowledged and %d there", round, total+acknowledged, held)
			}
			if gaps, err := a.Gaps(t.Context()); err != nil || len(gaps) != 0 {
				t.Errorf("gaps %+v, %v", gaps, err)
			}
			records, err := a.Since(t.Context(), 0, 1_000_000)
			if err != nil || int64(len(records)) != held {
				t.Errorf("%d records in order, %v; want %d", len(records), err, held)
			}
			total = held
		}
		if total == 0 {
			t.Error("nothing was written in all rounds")
		}
		t.Logf("%d records over 5 kills", total)
	})
}

// killedHub runs a hub, kills it while it appends, and gives how many records it acknowledged.
func killedHub(t *testing.T, url string) (acknowledged int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	child := exec.CommandContext(ctx, "/proc/self/exe")
	child.Env = append(os.Environ(), writerURL+"="+url)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for said := rand.IntN(40); lines.Scan(); said-- {
		if acknowledged, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			t.Fatalf("the hub said %q", lines.Text())
		}
		if said == 0 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the hub ended by itself: %v", err)
	}
	return acknowledged
}

// appendBoxes appends one new box's log after another and says how many records are acknowledged.
func appendBoxes(ctx context.Context, url string) error {
	db, err := database.Open(ctx, url)
	if err != nil {
		return err
	}
	a := archive.New(db, archive.Retention{}, quiet())
	for n := int64(0); ; {
		b := newBox(fmt.Sprintf("box-%d", rand.Uint64()%1e9)).work(100)
		for from := 0; from < 100; from += 10 {
			if _, err := a.Append(ctx, b.batch(from, from+10, start)); err != nil {
				return err
			}
			n += 10
			fmt.Println(n)
		}
	}
}
