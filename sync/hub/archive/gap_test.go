package archive_test

import (
	"reflect"
	"testing"

	"tapward/sync/hub/archive"
)

// TestGapsAreFound takes rows out behind the archive's back.
func TestGapsAreFound(t *testing.T) {
	engines.Each(t, func(t *testing.T, url string) {
		db, b, other := openDatabase(t, url), newBox("box-1").work(50), newBox("box-2").work(20)
		a := archive.New(db, archive.Retention{}, quiet())
		b.send(t, a, 0, 50, start)
		other.send(t, a, 0, 20, start)
		for _, query := range []string{
			`DELETE FROM leaf WHERE origin = (SELECT id FROM origin WHERE box = 'box-1') AND (idx < 3 OR idx IN (10, 11, 30) OR idx > 47)`,
			`DELETE FROM body WHERE origin = (SELECT id FROM origin WHERE box = 'box-2') AND idx BETWEEN 5 AND 7`,
		} {
			if _, err := db.Exec(query); err != nil {
				t.Fatal(err)
			}
		}
		want := []archive.Gap{
			{b.origin, 0, 3, false}, {b.origin, 10, 12, false}, {b.origin, 30, 31, false}, {b.origin, 48, 50, false},
			{other.origin, 5, 8, true},
		}
		if gaps, err := a.Gaps(t.Context()); err != nil || !reflect.DeepEqual(gaps, want) {
			t.Errorf("gaps %+v, %v; want %+v", gaps, err, want)
		}
		if _, err := a.Tree(t.Context(), b.origin); err == nil {
			t.Error("a tree grows from hashes that are not there")
		}
		if _, err := a.LeafHashes(t.Context(), b.origin, 9, 10); err == nil {
			t.Error("hashes that are not there are compared")
		}
	})
}
