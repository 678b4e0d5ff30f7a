package store_test

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
	"tapward/gateway/store"
)

func list(through uint64, ids ...string) gateway.Revocations {
	r := gateway.Revocations{Through: through, Issued: time.Unix(1_800_000_000, 5), Digest: gateway.Digest{byte(through)}}
	for i, id := range ids {
		r.List = append(r.List, gateway.Revocation{
			Number: uint64(i + 1), Target: gateway.RevokesClinician, ID: id, At: time.Unix(1_700_000_000, 0).UTC(), Reason: "left",
		})
	}
	return r
}

func revoke(t *testing.T, s *store.Store, r gateway.Revocations) {
	t.Helper()
	entry := audit.Entry{At: time.Now(), Clock: audit.ClockUnknown, Record: gateway.Record{Kind: gateway.RevokedLoaded}}
	if _, err := s.Commit(t.Context(), session.State{Box: "box-1"}, []audit.Entry{entry}, gateway.InstallRevocations{Revocations: r}); err != nil {
		t.Fatal(err)
	}
}

// The newest list stays through a restart and through policies that are loaded later.
func TestRevocationsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	if have := load(t, s).Revocations; have.Through != 0 {
		t.Errorf("a new box has %+v", have)
	}
	revoke(t, s, list(1, "c-1"))
	revoke(t, s, list(3, "c-1", "c-2", "c-3"))
	if _, err := s.Commit(t.Context(), session.State{Box: "box-1"}, nil, gateway.LoadPolicy{Document: []byte("a policy")}); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	s = open(t, config(t, path))
	have, want := load(t, s).Revocations, list(3, "c-1", "c-2", "c-3")
	if !have.Issued.Equal(want.Issued) {
		t.Errorf("issued %s, want %s", have.Issued, want.Issued)
	}
	have.Issued = want.Issued
	if !reflect.DeepEqual(have, want) {
		t.Errorf("have %+v, want %+v", have, want)
	}
	revoke(t, s, list(4)) // all were dropped
	if have := load(t, s).Revocations; have.Through != 4 || len(have.List) != 0 {
		t.Errorf("have %+v", have)
	}
	shut(t, s)
	mustVerify(t, path)
}

// Where the list was changed in the database, nobody can be told from the revoked: the box has no policy.
func TestChangedRevocationsLetNobodyIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	revoke(t, s, list(2, "c-1", "c-2"))
	if _, err := s.Commit(t.Context(), session.State{Box: "box-1"}, nil, gateway.LoadPolicy{Document: []byte("a policy")}); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	alter(t, path, "UPDATE revocations SET list = '[]', through = 9")
	s = open(t, config(t, path))
	have := load(t, s)
	if have.Policy != nil || have.PolicyDamage == nil || !strings.Contains(have.PolicyDamage.Error(), "revocations were changed") || have.Revocations.Through != 0 {
		t.Errorf("have %+v", have)
	}
	revoke(t, s, list(2, "c-1", "c-2")) // as the hub says it again
	if have := load(t, s); have.Policy == nil || have.PolicyDamage != nil || len(have.Revocations.List) != 2 {
		t.Errorf("after the hub's next message: %+v", have)
	}
	shut(t, s)
}
