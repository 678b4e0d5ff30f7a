package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/session"
)

// durable is what a phone's session must look like after a restart.
func durable(p session.Phone) session.Phone {
	p.Linked, p.For, p.By = false, nil, ""
	for _, t := range []*time.Time{&p.Since, &p.Due.Answer, &p.Due.Pickup, &p.Due.Renew, &p.Due.Lease, &p.Due.Limit, &p.Due.Return} {
		if *t = t.Round(0); !t.IsZero() {
			*t = t.Local()
		}
	}
	return p
}

// phones draws session rows with any value in any field, whatever fields there are.
func phones() *rapid.Generator[session.Phone] {
	return rapid.Custom(func(t *rapid.T) session.Phone {
		var p session.Phone
		fill(t, reflect.ValueOf(&p).Elem())
		p.Phase = rapid.SampledFrom(session.Phases).Draw(t, "phase")
		p.Await = gateway.CommandKind(rapid.IntRange(0, int(gateway.Release)).Draw(t, "await"))
		p.For = &session.Request{Clinician: "c-made-up"}
		return p
	})
}

// fill sets a value and all its fields at random.
func fill(t *rapid.T, v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.ValueOf(time.Unix(0, rapid.Int64().Draw(t, "time"))))
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.String:
		v.SetString(rapid.StringN(0, 8, 30).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "uint"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Byte().Draw(t, "byte")))
	}
}

func TestStateComesBackAsItWasCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	rapid.Check(t, func(rt *rapid.T) {
		byID := rapid.SliceOfNDistinct(phones(), 0, 4, func(p session.Phone) gateway.PhoneID { return p.ID })
		want := session.State{Box: "box-1", Custody: gateway.Custody(rapid.Uint64().Draw(rt, "custody"))}
		for _, p := range byID.Draw(rt, "phones") {
			want.Phones = append(want.Phones, durable(p))
		}
		slices.SortFunc(want.Phones, func(a, b session.Phone) int {
			if a.ID < b.ID {
				return -1
			}
			return 1
		})
		given := session.State{Box: want.Box, Custody: want.Custody, Phones: slices.Clone(want.Phones)}
		for i := range given.Phones {
			given.Phones[i].Linked, given.Phones[i].By = true, "door"
			given.Phones[i].For = &session.Request{Clinician: "c-made-up"}
		}
		if _, err := s.Commit(t.Context(), given, nil); err != nil {
			rt.Fatal(err)
		}
		have := load(t, s).State
		if !reflect.DeepEqual(have, want) {
			rt.Fatalf("have %+v\nwant %+v", have, want)
		}
		// A store that starts anew compares the next commit with the same state.
		if rapid.Bool().Draw(rt, "restart") {
			shut(t, s)
			s = open(t, config(t, path))
			if have := load(t, s).State; !reflect.DeepEqual(have, want) {
				rt.Fatalf("after a restart: have %+v\nwant %+v", have, want)
			}
		}
	})
}

func TestActsAreOfTheSameCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	one := gateway.Phone{ID: "phone-01", Key: gateway.Fingerprint{1}, Class: gateway.Workflow, Pool: "shared", Addrs: []string{"[::1]:9000"}}
	two := gateway.Phone{ID: "phone-02", Key: gateway.Fingerprint{2}, Class: gateway.Convenience, Pool: "night"}
	commit := func(acts ...gateway.Act) {
		t.Helper()
		if _, err := s.Commit(t.Context(), stateAt(1), []audit.Entry{entry(0)}, acts...); err != nil {
			t.Fatal(err)
		}
	}
	if have := load(t, s); have.Policy != nil || have.Paired != nil || have.PolicyRevision != 0 {
		t.Errorf("a new store has %+v", have)
	}
	commit(gateway.AddPhone{Phone: two}, gateway.AddPhone{Phone: one}, gateway.LoadPolicy{Document: []byte("first")},
		gateway.ReleasePhone{Phone: "phone-01"}, gateway.TakeOver{Reader: "door", Phone: "phone-01"})
	have := load(t, s)
	if !reflect.DeepEqual(have.Paired, []gateway.Phone{one, two}) || string(have.Policy) != "first" || have.PolicyRevision != 1 {
		t.Errorf("have %+v", have)
	}
	one.Pool, one.Key = "day", gateway.Fingerprint{3}
	commit(gateway.AddPhone{Phone: one}, gateway.RemovePhone{Phone: "phone-02"}, gateway.LoadPolicy{Document: []byte("second")})
	shut(t, s)
	s = open(t, config(t, path))
	have = load(t, s)
	if !reflect.DeepEqual(have.Paired, []gateway.Phone{one}) || string(have.Policy) != "second" || have.PolicyRevision != 2 ||
		time.Since(have.PolicyLoaded) > time.Minute || have.PolicyDigest.IsZero() {
		t.Errorf("have %+v", have)
	}
	shut(t, s)
	alter(t, path, "UPDATE policy SET document = x'03'")
	s = open(t, config(t, path))
	if have := load(t, s); have.PolicyDamage == nil || have.Policy != nil {
		t.Error("a policy that was changed in the database was loaded")
	}
}

func TestCancelledContextStopsNoCommit(t *testing.T) {
	s := open(t, config(t, filepath.Join(t.TempDir(), "ward.db")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	head, err := s.Commit(ctx, stateAt(1), []audit.Entry{entry(0)})
	if err != nil || head.Size != 1 || load(t, s).Head != head {
		t.Errorf("have %v, %v", head, err)
	}
}

func TestGroupOfEntriesIsOneCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	var entries []audit.Entry
	for n := range 300 {
		entries = append(entries, entry(n))
	}
	head, err := s.Commit(t.Context(), stateAt(1), entries)
	if err != nil || head.Size != 300 || head != s.Head() {
		t.Fatal(head, err)
	}
	shut(t, s)
	if r := mustVerify(t, path, head); r.Records != 300 || r.Openings != 600 {
		t.Errorf("have %+v", r)
	}
}

func TestUnknownOutcomeEndsWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ward.db")
	s := open(t, config(t, path))
	add(t, s, 2)
	// A trigger stands for a disk that fails: the store cannot know what became of the transaction.
	alter(t, path, `CREATE TRIGGER fail BEFORE INSERT ON opening BEGIN SELECT raise(ABORT, 'input/output error'); END`)
	head, err := s.Commit(t.Context(), stateAt(9), []audit.Entry{entry(2)})
	if err == nil || errors.Is(err, gateway.ErrStorageFull) || head.Size != 2 {
		t.Fatalf("have %v, %v", head, err)
	}
	alter(t, path, `DROP TRIGGER fail`)
	if _, err := s.Commit(t.Context(), stateAt(9), []audit.Entry{entry(2)}); err == nil {
		t.Error("it went on writing after an unknown outcome")
	}
	shut(t, s)
	s = open(t, config(t, path))
	if have := load(t, s); have.Head.Size != 2 || have.State.Custody != 1 {
		t.Errorf("after a restart: %+v", have)
	}
	add(t, s, 1)
	shut(t, s)
	mustVerify(t, path)
}

func TestReadingTheLog(t *testing.T) {
	s := open(t, config(t, filepath.Join(t.TempDir(), "ward.db")))
	add(t, s, 700)
	ctx := t.Context()
	records, err := s.Leaves(ctx, audit.FirstEpoch, 690, 100)
	if err != nil || len(records) != 10 || records[0].Index != 690 || len(records[9].Openings) != 2 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	listed, err := audit.Take(s.Backwards(ctx, audit.Filter{Reader: "reader-1", Since: time.Unix(1_700_000_000+10, 0)}), 400)
	if err != nil || len(listed) != 345 || listed[0].Index != 699 || listed[344].Index != 11 {
		t.Fatalf("%d listed, %v", len(listed), err)
	}
	if l := listed[0]; l.Entry.Record.Clinician != "c-made-up-699" || l.Forgotten != nil || l.Entry.Boot != 1 || l.Entry.Machine != "box-1" {
		t.Errorf("have %+v", l)
	}
	for _, none := range []audit.Filter{{Phone: "phone-09"}, {Kind: gateway.BoxStopped}, {Since: time.Unix(1_800_000_000, 0)}} {
		if listed, err := audit.Take(s.Backwards(ctx, none), 10); err != nil || len(listed) != 0 {
			t.Errorf("%+v: %d listed, %v", none, len(listed), err)
		}
	}
	head := s.Head()
	proof, err := tlog.ProveRecord(head.Size, 123, s.Hashes(ctx, head.Epoch))
	if err != nil {
		t.Fatal(err)
	}
	records, err = s.Leaves(ctx, head.Epoch, 123, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckRecord(proof, head.Size, tlog.Hash(head.Root), 123, tlog.RecordHash(records[0].Leaf)); err != nil {
		t.Error(err)
	}
	if _, err := s.Hashes(ctx, head.Epoch).ReadHashes([]int64{tlog.StoredHashIndex(0, 700)}); err == nil {
		t.Error("a hash was read that is not there")
	}
}

func TestForgottenOpeningShowsAsForgotten(t *testing.T) {
	path := ward(t, 3)
	alter(t, path, "DELETE FROM opening WHERE leaf & 0xff = 1 AND field = 'clinician'")
	s := open(t, config(t, path))
	listed, err := audit.Take(s.Backwards(t.Context(), audit.Filter{}), 3)
	if err != nil || !slices.Equal(listed[1].Forgotten, []audit.Field{audit.Clinician}) || listed[1].Entry.Record.Clinician != "" {
		t.Errorf("have %+v, %v", listed, err)
	}
	shut(t, s)
	if r := mustVerify(t, path); r.Forgotten != 1 || r.Openings != 5 {
		t.Errorf("have %+v", r)
	}
}
