package policy

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tapward/gateway"
)

var update = flag.Bool("update", false, "write the golden files")

// Every refused document has its golden words beside it; they are what an operator reads.
func TestParseSaysEverythingThatIsWrong(t *testing.T) {
	files, err := filepath.Glob("testdata/refused/*.toml")
	if err != nil || len(files) < 6 {
		t.Fatalf("found %d documents: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Parse(slurp(t, file))
			if problems := (Problems)(nil); !errors.As(err, &problems) {
				t.Fatalf("error is %T (%v), want Problems", err, err)
			}
			golden := strings.TrimSuffix(file, ".toml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(slurp(t, golden)); err.Error()+"\n" != want {
				t.Errorf("got\n%s\nwant\n%s", err, want)
			}
			for _, secret := range []string{"Private", "123456789", "c 1"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error repeats %q, which is about a person:\n%s", secret, err)
				}
			}
		})
	}
}

func TestManyProblemsAreCounted(t *testing.T) {
	_, err := Parse([]byte(strings.Repeat("[[clinician]]\n", 1000)))
	var problems Problems
	if !errors.As(err, &problems) || len(problems) < 4000 {
		t.Fatalf("%d problems", len(problems))
	}
	if words := err.Error(); strings.Count(words, "\n") != shown+1 || !strings.HasSuffix(words, fmt.Sprintf("and %d more", len(problems)-shown)) {
		t.Errorf("words do not count the rest:\n%s", words)
	}
}

func TestTooLongIsRefusedUnread(t *testing.T) {
	if _, err := Parse(make([]byte, MaxDocument+1)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error is %v", err)
	}
}

// The manual's example is a good document, and the manual's table of terms is the table that Parse uses.
func TestManualHolds(t *testing.T) {
	manual := string(slurp(t, "../../docs/policy.md"))
	_, rest, _ := strings.Cut(manual, "```toml\n")
	example, _, _ := strings.Cut(rest, "```")
	doc, err := Parse([]byte(example))
	if err != nil {
		t.Fatalf("the example of docs/policy.md: %v", err)
	}
	if doc.Version != 3 || len(doc.Readers) != 2 || len(doc.Clinicians) != 1 || doc.Readers[1].Slot != "dock-1" {
		t.Errorf("the example was read as %+v", doc.Readers)
	}
	for _, term := range terms {
		row := fmt.Sprintf("| %s to %s |", short(term.min), short(term.max))
		for _, class := range gateway.Classes {
			d := defaultTerms[class]
			row += " " + short(*term.of(&d)) + " |"
		}
		found := false
		for line := range strings.Lines(manual) {
			found = found || strings.HasPrefix(line, "| `"+term.key+"` |") && strings.HasSuffix(strings.TrimSpace(line), row)
		}
		if !found {
			t.Errorf("docs/policy.md does not say of %s: %s", term.key, row)
		}
	}
}

func TestDefaultsAreWithinTheirBounds(t *testing.T) {
	for class, is := range defaultTerms {
		for _, term := range terms {
			if d := *term.of(&is); d < term.min || d > term.max {
				t.Errorf("%s of %s is %s", term.key, class, d)
			}
		}
		probe := &table{notes: &notes{}}
		checkTerms(probe, is)
		for _, n := range probe.notes.found {
			t.Errorf("%s: %s", class, n.what)
		}
	}
}

func TestDigestIsOfTheExactBytes(t *testing.T) {
	const small = "version = 1\nsite = \"s\"\n[[ward]]\nid = \"w\"\nname = \"W\"\n"
	a, b := mustParse(t, small), mustParse(t, small+"\n")
	if a.Digest() == b.Digest() || a.Digest().IsZero() {
		t.Error("two documents that differ by one byte have one digest")
	}
	if a.Signed() {
		t.Error("a document without signatures says that it is signed")
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/refused/*.toml")
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Add([]byte("version = 1\nsite = \"s\"\nward = [{id = \"w\", name = \"W\"}]\nclass.workflow.lease = \"1m\"\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := Parse(doc)
		if err != nil {
			problems := (Problems)(nil)
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("error without problems: %v", err)
			}
			for _, p := range problems {
				if p.What == "" || p.Line < 0 || p.Line > 1+strings.Count(string(doc), "\n") {
					t.Fatalf("problem %+v", p)
				}
			}
			return
		}
		if len(d.Wards) == 0 || d.Version == 0 {
			t.Fatal("accepted without a ward or a version")
		}
		s := New(d, d.Wards[0].ID, gateway.BadgeKey{})
		for _, class := range gateway.Classes {
			is := s.Terms(class)
			for _, term := range terms {
				if d := *term.of(&is); d < term.min || d > term.max {
					t.Fatalf("%s of %s is %s", term.key, class, d)
				}
			}
		}
	})
}

func slurp(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, doc string) Document {
	t.Helper()
	d, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return d
}
