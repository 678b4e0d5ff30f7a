// Package exporttest gives tests of exports what they need: records of every kind, an archive in memory, and receivers that
// others wrote. Only tests import it.
package exporttest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/export"
	"tapward/sync/uplink"
)

// What stands in the records and may appear in no export.
const (
	Name    = "Edith Findling"
	Words   = "said by " + Name
	Receipt = "eyJhbGciOiJFZERTQSJ9.receipt"
)

// Start is when the first record of Of happened.
var Start = time.Date(2026, 11, 24, 7, 0, 0, 123456789, time.UTC)

// Random is a stream of chance that is the same every time.
func Random(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// Of makes an archived record of an entry, through the leaf that a box would write.
func Of(index int64, e audit.Entry, erased ...audit.Field) (export.Record, error) {
	leaf, openings, err := audit.Seal(2, index, e, Random(byte(index)))
	if err != nil {
		return export.Record{}, err
	}
	decoded, err := audit.Decode(leaf)
	if err != nil {
		return export.Record{}, err
	}
	openings = slices.DeleteFunc(openings, func(o audit.Opening) bool { return slices.Contains(erased, o.Field) })
	revealed, forgotten, err := decoded.Reveal(openings)
	return export.Record{
		Seq: index + 1, Address: uplink.Address{Site: "north", Box: "box-1"}, Leaf: revealed, Forgotten: forgotten,
		Archived: e.At.Add(time.Minute),
	}, err
}

// Entry is a full entry of a kind.
func Entry(index int64, kind gateway.RecordKind, reasons ...gateway.Reason) audit.Entry {
	at := Start.Add(time.Duration(index) * time.Second)
	return audit.Entry{
		At: at.Add(20 * time.Millisecond), Clock: audit.Synchronised, Boot: 7, Uptime: time.Hour, Machine: "box-1", PolicySigned: true,
		Record: gateway.Record{
			Kind: kind, At: at, Reader: "door", Origin: gateway.OriginPCSC, Phone: "phone-07", Fence: 41, Custody: 12,
			Grant: sha256.Sum256([]byte("grant")), Policy: sha256.Sum256([]byte("policy")), Reasons: reasons, State: "up",
			Assurance: gateway.Assurance{Card: gateway.CardLive, Holder: gateway.HolderPIN},
			Clinician: "c-1001", Previous: "c-1002", Operator: "", Words: Words, Receipt: Receipt,
		},
	}
}

// Every gives records of every kind there is and of some that there is not: full ones, bare ones, ones whose persons were
// erased, and ones full of what no format likes.
func Every(t testing.TB) (all []export.Record) {
	t.Helper()
	add := func(e audit.Entry, erased ...audit.Field) {
		r, err := Of(int64(len(all)), e, erased...)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	for _, kind := range append(Kinds(t), "breakglass.started", "some  new\tkind", "\x01") {
		index := int64(len(all))
		add(Entry(index, kind, gateway.LeaseEnded, "never-heard-of"))
		add(Entry(index+1, kind), audit.Fields[:]...)
		add(audit.Entry{At: Start, Record: gateway.Record{Kind: kind}})
		operated := Entry(index+3, kind, gateway.ByOperator)
		operated.Record.Clinician, operated.Record.Previous, operated.Record.Operator = "", "", "operator-3"
		add(operated)
		wild := Entry(index+4, kind, "", "\x02\x03", "<&\"'>")
		wild.At, wild.Record.At, wild.Clock = time.Unix(0, 0), time.Time{}, "\x00"
		wild.Record.State, wild.Record.Reader, wild.Record.Phone = "  \u202e\x1b[31m=1+1\r\n\u2028", "=\x7f,\"", "\ufeff\u200b"
		wild.Record.Clinician = "\x00c\u2029"
		add(wild)
	}
	return all
}

// Kinds reads every kind of record from the source of the whole tree: constants of type RecordKind, and of EventKind, which
// the hub puts into its own log.
func Kinds(t testing.TB) (kinds []gateway.RecordKind) {
	t.Helper()
	root := Root(t)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !strings.Contains(string(source), "RecordKind") && !strings.Contains(string(source), "EventKind") {
			return nil
		}
		found, err := kindsIn(path, source)
		kinds = append(kinds, found...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(kinds) < 25 {
		t.Fatalf("found only %d kinds of records", len(kinds))
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

func kindsIn(path string, source []byte) (kinds []gateway.RecordKind, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !isKind(spec.Type) {
			return true
		}
		for _, v := range spec.Values {
			if literal, ok := v.(*ast.BasicLit); ok {
				kind, errUnquote := strconv.Unquote(literal.Value)
				kinds, err = append(kinds, gateway.RecordKind(kind)), errUnquote
			}
		}
		return true
	})
	return kinds, err
}

func isKind(e ast.Expr) bool {
	name := ""
	switch e := e.(type) {
	case *ast.Ident:
		name = e.Name
	case *ast.SelectorExpr:
		name = e.Sel.Name
	}
	return name == "RecordKind" || name == "EventKind"
}

// Root is the folder of go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("there is no go.mod above the tests")
		}
		dir = filepath.Dir(dir)
	}
}

// Archive is an archive in memory. It may be told to fail.
type Archive struct {
	mu      sync.Mutex
	records []export.Record
	settled int64
	failing error
}

// Add archives records. Their places must rise.
func (a *Archive) Add(records ...export.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range records {
		if r.Seq <= a.settled {
			panic(fmt.Sprintf("place %d after %d", r.Seq, a.settled))
		}
		a.records, a.settled = append(a.records, r), r.Seq
	}
}

// Drop takes the records up to a place away, as a retention does.
func (a *Archive) Drop(upTo int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = slices.DeleteFunc(a.records, func(r export.Record) bool { return r.Seq <= upTo })
}

// Fail makes every call fail, until it is told nil.
func (a *Archive) Fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failing = err
}

// Since implements export.Archive.
func (a *Archive) Since(_ context.Context, after int64, limit int) ([]export.Record, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first, _ := slices.BinarySearchFunc(a.records, after+1, func(r export.Record, seq int64) int { return int(r.Seq - seq) })
	return slices.Clone(a.records[first:min(first+limit, len(a.records))]), a.failing
}

// Settled implements export.Archive.
func (a *Archive) Settled(context.Context) (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.settled, a.failing
}
