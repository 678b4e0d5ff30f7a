package export_test

import (
	"testing"

	"tapward/sync/hub/export"
	"tapward/sync/hub/export/exporttest"
)

func TestEveryKindHasAMeaning(t *testing.T) {
	for _, kind := range exporttest.Kinds(t) {
		if !export.Known(kind) {
			t.Errorf("%s has no meaning of its own; give it one in meaning.go", kind)
		}
	}
}

// TestIDsStay holds the ids of records to what receivers have already.
func TestIDsStay(t *testing.T) {
	r, err := exporttest.Of(5, exporttest.Entry(5, "session.opened"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Name() != "north/box-1/2/5" || r.ID() != "559ad11e-dd68-8851-a8be-612ab5a050a3" {
		t.Errorf("record %s has the id %s", r.Name(), r.ID())
	}
	seen := map[string]string{}
	for _, r := range exporttest.Every(t) {
		if other, ok := seen[r.ID()]; ok {
			t.Errorf("%s and %s have one id", r.Name(), other)
		}
		seen[r.ID()] = r.Name()
	}
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " a\t\n b ": "a b", "\x00": "", "x\u202ey": "x?y", "a\u2028b": "a b", "\xff": "?", "schön": "schön",
	} {
		if got := export.Line(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
