package store_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
	"tapward/gateway/store"
)

// writerPath names the database of a child of this test that writes until it is killed.
const writerPath = "TAPWARD_STORE_WRITER"

// writeUntilKilled commits batches of one to four records as fast as it can, and prints the log's size after each.
func writeUntilKilled(path string) {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{Path: path, Create: true, Box: "box-1", BootID: "boot-1", Reserve: 64 << 10, LowWater: 1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	go s.Run(ctx)
	fmt.Println("open", s.Head().Size)
	for n := int(s.Head().Size); ; {
		var entries []audit.Entry
		for range 1 + n%4 {
			entries = append(entries, entry(n))
			n++
		}
		head, err := s.Commit(ctx, ackState(n), entries)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		fmt.Println("acknowledged", head.Size)
	}
}

// ackState tells the size of the log that it was committed with.
func ackState(n int) session.State {
	return session.State{Box: "box-1", Custody: gateway.Custody(n), Phones: []session.Phone{{ID: "phone-01", Fence: gateway.Fence(n)}}}
}

// TestKill kills a writer at random points. What it had acknowledged is there, the log verifies and is dense, and the
// state is the one of the last commit that is in the log.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	var total int64
	for round := range 30 {
		acknowledged := killedWriter(t, path)
		report := mustVerify(t, crash(t, path, t.TempDir())) // before anything recovers the file itself
		if report.Records < acknowledged {
			t.Fatalf("round %d: %d records acknowledged and %d found", round, acknowledged, report.Records)
		}
		s := open(t, config(t, path))
		stored := load(t, s)
		if size := stored.Head.Size; size != report.Records || stored.State.Custody != gateway.Custody(size) ||
			stored.State.Phones[0].Fence != gateway.Fence(size) {
			t.Fatalf("round %d: state and log are not of one commit: %+v", round, stored)
		}
		shut(t, s)
		total = report.Records
	}
	if total < 100 {
		t.Errorf("only %d records in all rounds: the writer did not get to write", total)
	}
	t.Logf("%d records over 30 kills", total)
}

// killedWriter runs a writer, kills it some time after it started to commit, and gives the last size it acknowledged.
func killedWriter(t *testing.T, path string) (acknowledged int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	child := exec.CommandContext(ctx, "/proc/self/exe")
	child.Env = append(os.Environ(), writerPath+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var kill *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, number, _ := strings.Cut(lines.Text(), " ")
		if acknowledged, err = strconv.ParseInt(number, 10, 64); err != nil {
			t.Fatalf("the writer said %q", lines.Text())
		}
		if word == "open" {
			kill = time.AfterFunc(time.Duration(rand.Int64N(int64(40*time.Millisecond))), func() { child.Process.Kill() })
		}
	}
	if err := child.Wait(); kill == nil || err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return acknowledged
}
