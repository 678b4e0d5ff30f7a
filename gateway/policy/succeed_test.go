package policy

import (
	"errors"
	"fmt"
	"testing"

	"tapward/gateway"
)

func versioned(t *testing.T, version int, ward string, comment ...any) Document {
	t.Helper()
	doc, err := Parse(fmt.Appendf(nil, "version = %d\nsite = \"s\"\n[[ward]]\nid = %q\nname = \"Ward\"\n# %v", version, ward, comment))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestSucceed(t *testing.T) {
	key := gateway.BadgeKey{1}
	three := New(versioned(t, 3, "5b"), "5b", key)
	for _, c := range []struct {
		name    string
		before  Snapshot
		doc     Document
		refused gateway.Reason // empty: it succeeds
	}{
		{"the first", Snapshot{}, versioned(t, 1, "5b"), ""},
		{"the next", three, versioned(t, 4, "5b"), ""},
		{"the same", three, versioned(t, 3, "5b"), gateway.OldPolicy},
		{"an older", three, versioned(t, 2, "5b"), gateway.OldPolicy},
		{"another of the same version", three, versioned(t, 3, "5b", "other bytes"), gateway.OldPolicy},
		{"of another ward", three, versioned(t, 9, "7a"), gateway.WrongWard},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, err := c.before.Succeed(c.doc, "5b", key)
			if c.refused == "" {
				if err != nil || next.Version() != c.doc.Version {
					t.Fatalf("got %v, %v; want version %d", next, err, c.doc.Version)
				}
				return
			}
			refusal := (*gateway.Refusal)(nil)
			if !errors.As(err, &refusal) || refusal.Reason != c.refused {
				t.Fatalf("got error %v, want a refusal %s", err, c.refused)
			}
			if next.Digest() != c.before.Digest() {
				t.Error("the policy in force was replaced although the document was refused")
			}
		})
	}
}
