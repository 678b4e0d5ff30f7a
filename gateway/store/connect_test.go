package store

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
)

// A setting that SQLite did not take is refused on every connection, not only on the first.
func TestConnectionThatIsNotAsAskedIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	if err := create(t.Context(), path, "box-1"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ parameter, value, want string }{
		"the driver's default": {"_synchronous", "", "synchronous = 1 where 2"},
		"weaker":               {"_synchronous", "OFF", "synchronous = 0 where 2"},
		"no foreign keys":      {"_foreign_keys", "", "foreign_keys = 0 where 1"},
		"another time-out":     {"_busy_timeout", "1", "busy_timeout = 1 where 5000"},
		"another journal":      {"_journal_mode", "DELETE", "journal_mode = delete where wal"},
		"not for writing":      {"_query_only", "on", "query_only = 1 where 0"},
	} {
		otherwise := func(path string) (kind, error) {
			k, err := writing(path)
			if k.params.Set(c.parameter, c.value); c.value == "" {
				k.params.Del(c.parameter)
			}
			return k, err
		}
		db := connect(path, otherwise, 1)
		if err := db.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReadersCannotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s, err := Open(t.Context(), Config{Path: path, Create: true, Box: "box-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Log.db.ExecContext(t.Context(), `DELETE FROM leaf`); err == nil {
		t.Error("the read-only pool wrote")
	}
}

// Only what changed is written: a row that was changed behind the store's back stays until its phone changes.
func TestOnlyChangedPhonesAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s, err := Open(t.Context(), Config{Path: path, Create: true, Box: "box-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	state := stateOf("phone-01", "phone-02", "phone-03")
	if _, err := s.Commit(t.Context(), state, nil); err != nil {
		t.Fatal(err)
	}
	state = stateOf("phone-01", "phone-03")
	state.Phones[1].Fence = 9
	state.Phones[0].Linked = true // not durable: no change
	b, err := s.gather(state, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.changed) != 1 || b.changed[0].row.phone != "phone-03" || len(b.removed) != 1 || b.removed[0] != "phone-02" {
		t.Errorf("changed %v, removed %v", b.changed, b.removed)
	}
}

// A commit that happened and said that it failed: the store does not go on, and a restart finds it whole.
func TestCommitThatHappenedButSaidItFailed(t *testing.T) {
	conf := Config{Path: filepath.Join(t.TempDir(), "ward.db"), Create: true, Box: "box-1", BootID: "boot-1"}
	s, err := Open(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	entry := audit.Entry{At: time.Unix(1, 0), Record: gateway.Record{Kind: gateway.BoxStarted}}
	b, err := s.gather(stateOf("phone-01"), []audit.Entry{entry}, nil)
	if err != nil {
		t.Fatal(err)
	}
	lost := errors.New("the answer was lost")
	err = s.transact(t.Context(), func(ctx context.Context) error {
		if err := s.write(ctx, b); err != nil {
			return err
		}
		if _, err := s.statements.commit.ExecContext(ctx); err != nil {
			return err
		}
		return lost
	})
	if !errors.Is(err, lost) {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), stateOf("phone-01"), []audit.Entry{entry}); !errors.Is(err, lost) {
		t.Errorf("it went on writing: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), conf); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stored, err := s.Load(t.Context())
	if err != nil || stored.Head != b.tree.Head() || len(stored.State.Phones) != 1 {
		t.Errorf("have %+v, %v", stored, err)
	}
}

func stateOf(ids ...gateway.PhoneID) session.State {
	s := session.State{Box: "box-1"}
	for _, id := range ids {
		s.Phones = append(s.Phones, session.Phone{ID: id})
	}
	return s
}
