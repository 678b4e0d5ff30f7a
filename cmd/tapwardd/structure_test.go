package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors is the house, from the ground up. A package may import those on lower floors, and its own parent. Adding a
// package means giving it a floor here.
var floors = []struct {
	name, why string
	pure      bool
	packages  []string
}{
	{"ground", "the nouns that everybody speaks in know nobody", true, []string{
		"gateway",
	}},
	{"floor 1", "what decides is a function of its arguments: the same events give the same ward, in a test, in a replay and after a crash", true, []string{
		"gateway/audit", "gateway/phone", "gateway/policy", "gateway/session", "reader",
	}},
	{"the agreement", "what a box and the hub say to each other is the same on both sides, and neither side's business", true, []string{
		"sync/claim", "sync/uplink",
	}},
	{"the machine", "what several adapters ask of the machine in the same way lies below them", false, []string{
		"gateway/durable", "gateway/isolate", "gateway/kernel", "sync/hub/database",
	}},
	{"the hub's ground", "what the hospital keeps is one thing, and several of its rooms work on it", false, []string{
		"sync/hub/archive",
	}},
	{"floor 2", "an adapter that imports its neighbour cannot be tested or replaced without it", false, []string{
		"gateway/handoff", "gateway/phone/link", "gateway/phone/mdns", "gateway/station", "gateway/store",
		"reader/pcsc", "reader/serial", "systemd",
		"reader/readertest", "reader/vpcd",
		"sync/bundle", "sync/enrol", "sync/outbox", "sync/upstream",
		"sync/hub/broker", "sync/hub/enrol", "sync/hub/export", "sync/hub/ingest", "sync/hub/journal", "sync/hub/release", "sync/hub/witness",
		"sync/hub/enrol/embedded", "sync/hub/enrol/stepca",
		"sync/hub/export/atna", "sync/hub/export/csv", "sync/hub/export/fhir", "sync/hub/export/ocsf",
		"sync/hub/database/databasetest", "sync/hub/export/exporttest",
	}},
	{"the phone's side", "an agent speaks the box's link, and the box knows no agent", false, []string{
		"gateway/phone/agent", "gateway/phone/agent/lockscreen", "gateway/phone/conformance",
	}},
	{"top", "programs know everybody and nobody knows them", false, []string{
		"cmd/tapward", "cmd/tapward/demo", "cmd/tapwardd", "cmd/tapward-hub", "cmd/tapward-phone",
	}},
}

// impure is what the pure floors do without.
var impure = map[string]string{
	"database/sql": "where a state is kept is the store's business",
	"net":          "what decides must not be able to ask the network (net/netip only names addresses)",
	"net/http":     "what decides must not be able to ask the network",
	"os":           "what decides must not depend on the machine it runs on",
	"os/exec":      "what decides must not depend on the machine it runs on",
	"math/rand/v2": "what decides must decide the same way again",
	"syscall":      "what decides must not depend on the machine it runs on",
}

// onlyFor is what no program of a ward may hold, with who else may.
var onlyFor = map[string][]string{
	"gateway/isolate":                {"cmd/tapward/demo"},
	"reader/readertest":              nil,
	"sync/hub/database/databasetest": nil,
	"sync/hub/export/exporttest":     nil,
	"reader/vpcd":                    {"cmd/tapward/demo"},
}

type listed struct {
	ImportPath, Name, Dir, Doc string
	GoFiles, CgoFiles          []string
	Imports, Deps              []string
	Module                     *struct{ Path string }
}

// listPackages asks the go command, which fails where something it is asked for does not exist.
func listPackages(t *testing.T, args ...string) map[string]listed {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Name,Dir,Doc,GoFiles,CgoFiles,Imports,Deps,Module"}, args...)...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("go list: %v\n%s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		name, _ := strings.CutPrefix(p.ImportPath, "tapward/")
		packages[name] = p
	}
}

func (p listed) files() []string { return append(slices.Clone(p.GoFiles), p.CgoFiles...) }

// ours are the imports from this module, without its name.
func ours(imports []string) (names []string) {
	for _, i := range imports {
		if name, ok := strings.CutPrefix(i, "tapward/"); ok {
			names = append(names, name)
		}
	}
	return names
}

func floorOf(name string) int {
	for i, f := range floors {
		if slices.Contains(f.packages, name) {
			return i
		}
	}
	return -1
}

func TestEveryPackageHasItsFloor(t *testing.T) {
	packages := listPackages(t, "tapward/...")
	for _, f := range floors {
		for _, name := range f.packages {
			if _, ok := packages[name]; !ok {
				t.Errorf("%s is on %s and does not exist", name, f.name)
			}
		}
	}
	for name := range packages {
		if floorOf(name) < 0 {
			t.Errorf("%s has no floor: put it where it belongs", name)
		}
	}
}

func TestImportsPointDown(t *testing.T) {
	for name, p := range listPackages(t, "tapward/...") {
		floor := floorOf(name)
		for _, imported := range ours(p.Imports) {
			if isParent := strings.HasPrefix(name, imported+"/"); isParent || floorOf(imported) < floor || floor < 0 {
				continue
			}
			if filepath.Dir(imported) == name && floor == len(floors)-1 {
				continue // a program's own part
			}
			t.Errorf("%s (%s) imports %s (%s): %s", name, floors[floor].name, imported, floors[floorOf(imported)].name, floors[floor].why)
		}
	}
}

// TestLinterKnowsThePureFloors keeps the linter's list of what must stay pure the same as this one.
func TestLinterKnowsThePureFloors(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join("..", "..", ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	_, pure, _ := strings.Cut(string(rules), "\n        pure:\n")
	pure, _, _ = strings.Cut(pure, "\n          deny:\n")
	for _, f := range floors {
		for _, name := range f.packages {
			if got := strings.Contains(pure, `"**/`+name+`/*.go"`); got != f.pure {
				t.Errorf(".golangci.yml holds %s pure: %v, want %v", name, got, f.pure)
			}
		}
	}
}

func TestPureFloorsImportNothingImpure(t *testing.T) {
	packages := listPackages(t, "tapward/...")
	for _, f := range floors {
		if !f.pure {
			continue
		}
		for _, name := range f.packages {
			for _, imported := range packages[name].Imports {
				if why, bad := impure[imported]; bad {
					t.Errorf("%s imports %s: %s", name, imported, why)
				}
			}
		}
	}
}

// TestPureFloorsDoNotReadTheClock holds that time comes to the pure floors in events: a state machine that looks at the
// clock itself decides otherwise when it is replayed.
func TestPureFloorsDoNotReadTheClock(t *testing.T) {
	packages := listPackages(t, "tapward/...")
	for _, f := range floors {
		if !f.pure {
			continue
		}
		for _, name := range f.packages {
			eachFile(t, packages[name], func(fset *token.FileSet, file *ast.File) {
				for _, at := range clockReadings(file) {
					t.Errorf("%s: %s reads the clock: the time comes with the event", fset.Position(at), name)
				}
			})
		}
	}
}

func TestClockReadingsAreFound(t *testing.T) {
	const source = `package p
import clock "time"
var a = clock.Now
func f(s struct{ Now int }) { _ = s.Now; _ = clock.Since(clock.Time{}); _ = clock.Until(clock.Time{}); _ = clock.Unix(0, 0) }`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(clockReadings(file)); n != 3 {
		t.Errorf("found %d of the 3 readings of the clock", n)
	}
}

// clockReadings finds every mention of time's Now, Since and Until, under whatever name time was imported.
func clockReadings(file *ast.File) (at []token.Pos) {
	clock := ""
	for _, i := range file.Imports {
		if path, _ := strconv.Unquote(i.Path.Value); path == "time" {
			clock = "time"
			if i.Name != nil {
				clock = i.Name.Name
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && clock != "" && x.Name == clock && slices.Contains([]string{"Now", "Since", "Until"}, s.Sel.Name) {
			at = append(at, s.Pos())
		}
		return true
	})
	return at
}

func eachFile(t *testing.T, p listed, look func(*token.FileSet, *ast.File)) {
	t.Helper()
	for _, name := range p.files() {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		look(fset, file)
	}
}

// TestPackagesSayWhatTheyAreFor asks of every package a first sentence that begins with its name and says something.
func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	sentence := regexp.MustCompile(`^(Package|Command) ([a-z-]+)( \S+){3,}`)
	for name, p := range listPackages(t, "tapward/...") {
		said := sentence.FindStringSubmatch(strings.SplitN(p.Doc, ".", 2)[0])
		if said == nil || said[2] != filepath.Base(name) {
			t.Errorf("%s: its doc comment must begin with its name and say what it is for; it says %q", name, p.Doc)
		}
	}
}

// TestNothingRunsBeforeMain holds that importing a package starts nothing and changes nothing.
func TestNothingRunsBeforeMain(t *testing.T) {
	for _, p := range listPackages(t, "tapward/...") {
		eachFile(t, p, func(fset *token.FileSet, file *ast.File) {
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s: init runs unasked; let a constructor do it", fset.Position(f.Pos()))
				}
			}
		})
	}
}

// TestBoxHoldsNothingOfTests keeps tools that play badges, phones and namespaces out of the ward's programs.
func TestBoxHoldsNothingOfTests(t *testing.T) {
	packages := listPackages(t, "tapward/...")
	for _, box := range []string{"cmd/tapwardd", "cmd/tapward-phone"} {
		for _, dep := range ours(packages[box].Deps) {
			if _, bad := onlyFor[dep]; bad {
				t.Errorf("%s holds %s, which is for tests and demonstrations", box, dep)
			}
		}
	}
	for name, p := range packages {
		for _, imported := range ours(p.Imports) {
			if may, guarded := onlyFor[imported]; guarded && !slices.Contains(may, name) {
				t.Errorf("%s imports %s; only tests may, and %v", name, imported, may)
			}
		}
	}
}

// TestNoSimulatedTapsOnTheWard compares the program that is shipped with the one for demonstrations: the door for
// simulated taps is in the second, and no trace of it in the first.
func TestNoSimulatedTapsOnTheWard(t *testing.T) {
	for name, p := range map[string]listed{
		"shipped": listPackages(t, "tapward/cmd/tapwardd")["cmd/tapwardd"],
		"demo":    listPackages(t, "-tags=demo", "tapward/cmd/tapwardd")["cmd/tapwardd"],
	} {
		if got, want := slices.Contains(p.GoFiles, "sim_demo.go"), name == "demo"; got != want {
			t.Errorf("the %s program is built with sim_demo.go: %v", name, got)
		}
	}
	const door = "listen for simulated taps"
	dir := t.TempDir()
	for tags, want := range map[string]bool{"": false, "demo": true} {
		program, err := os.ReadFile(build(t, dir, "tapwardd", tags))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(program), door); got != want {
			t.Errorf("the program built with tags %q has a door for simulated taps: %v", tags, got)
		}
	}
}

// build builds a program of this module into dir.
func build(t testing.TB, dir, program, tags string) string {
	t.Helper()
	path := filepath.Join(dir, program+tags)
	if out, err := exec.Command("go", "build", "-tags="+tags, "-o", path, "tapward/cmd/"+program).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", program, err, out)
	}
	return path
}
