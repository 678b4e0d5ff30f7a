package store_test

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway/audit"
	"tapward/gateway/store"
)

// run starts Run in a bubble. stop ends it and closes the store.
func run(t *testing.T, s *store.Store) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		shut(t, s)
	}
}

// settle lets a bubble's time pass until the WAL has been moved into the database.
func settle(t *testing.T, s *store.Store) {
	<-time.After(2 * time.Second)
	synctest.Wait()
}

// anchored lets a bubble's time pass until the newest head is published, and gives it.
func anchored(t *testing.T, s *store.Store) audit.Head {
	t.Helper()
	<-time.After(200 * time.Millisecond)
	synctest.Wait()
	_, verifier := key(t)
	head, err := audit.OpenCheckpoint(s.Checkpoint(), verifier)
	if err != nil || head != s.Head() {
		t.Fatalf("published %v of %v: %v", head, s.Head(), err)
	}
	return head
}

func TestCheckpointIsOutsideTheDatabaseBeforeItIsPublished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, config(t, path))
		defer stop()
		if s.Checkpoint() != "" {
			t.Error("a checkpoint of an empty log was published")
		}
		for range 5 {
			add(t, s, 3)
			anchored(t, s)
			if kept, err := store.ReadAnchor(path); err != nil || kept != s.Checkpoint() {
				t.Fatalf("published %q and anchored %q: %v", s.Checkpoint(), kept, err)
			}
		}
	})
}

func TestAnchorWaitsWhileTapsHaveTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, config(t, path))
		defer stop()
		for range 3 {
			add(t, s, 1)
			<-time.After(20 * time.Millisecond)
			synctest.Wait()
			if s.Checkpoint() != "" {
				t.Fatal("the anchor was written beside a burst of taps, which would wait for it")
			}
		}
		first := anchored(t, s)
		add(t, s, 1)
		if synctest.Wait(); s.Head() == first || anchored(t, s) == first {
			t.Error("the anchor does not follow the log")
		}
	})
}

func TestCloseAnchorsWhatRunDidNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	add(t, s, 3)
	head := s.Head()
	shut(t, s)
	kept, err := store.ReadAnchor(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, have, err := audit.PeekCheckpoint(kept); err != nil || have != head {
		t.Errorf("the anchor holds %v, %v", have, err)
	}
}

func TestIdleWALIsMovedIntoTheDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, config(t, path))
		defer stop()
		add(t, s, 20)
		withoutWAL := func() int64 {
			bare := filepath.Join(t.TempDir(), "ward.db")
			copyFile(t, path, bare)
			return mustVerify(t, bare).Records
		}
		if have := withoutWAL(); have == 20 {
			t.Fatal("everything was in the database at once: the test shows nothing")
		}
		settle(t, s)
		if have := withoutWAL(); have != 20 {
			t.Errorf("after a second of idling the database alone holds %d of 20 records", have)
		}
	})
}

func TestEightHoursInABubble(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	synctest.Test(t, func(t *testing.T) {
		s, stop := running(t, config(t, path))
		began := time.Now()
		for range 8 * 60 {
			<-time.After(time.Minute)
			add(t, s, 1)
		}
		if time.Since(began) < 8*time.Hour {
			t.Error("time did not pass")
		}
		anchored(t, s)
		stop()
	})
	mustVerify(t, path)
}
