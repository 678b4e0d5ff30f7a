package ocsf_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tapward/gateway"
	"tapward/sync/hub/export"
	"tapward/sync/hub/export/exporttest"
	"tapward/sync/hub/export/ocsf"
)

// class is what schema 1.5.0 demands of a class beyond what it demands of all.
type class struct {
	activities string // numbers with a name of their own
	required   []string
	oneOf      []string
}

var classes = map[float64]class{
	0:    {"", nil, nil},
	3002: {"1 Logon, 2 Logoff", []string{"user"}, []string{"service", "dst_endpoint"}},
	3004: {"1 Create, 3 Update, 4 Delete", []string{"entity"}, nil},
	6002: {"3 Start, 4 Stop", []string{"app"}, nil},
}

// TestEveryRecordIsAnEvent holds events of every kind, and wild ones, to the schema's rules.
func TestEveryRecordIsAnEvent(t *testing.T) {
	for _, r := range exporttest.Every(t) {
		line, err := ocsf.Lines{}.Append(nil, r)
		if err != nil || strings.Count(string(line), "\n") != 1 {
			t.Fatalf("%v: %q", err, line)
		}
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		number := func(name string) float64 { n, _ := e[name].(float64); return n }
		c, known := classes[number("class_uid")]
		if !known || number("type_uid") != number("class_uid")*100+number("activity_id") || number("category_uid") != float64(int(number("class_uid"))/1000) {
			t.Errorf("%s: class %v, type %v, category %v", r.Kind(), e["class_uid"], e["type_uid"], e["category_uid"])
		}
		name, _ := json.Marshal(e["activity_id"])
		if number("activity_id") != 99 && !strings.Contains(c.activities, string(name)+" "+e["activity_name"].(string)) {
			t.Errorf("%s: activity %s %v", r.Kind(), name, e["activity_name"])
		}
		for _, need := range append([]string{"metadata", "severity_id", "time", "status_id", "device", "message"}, c.required...) {
			if e[need] == nil {
				t.Errorf("%s lacks %s: %s", r.Kind(), need, line)
			}
		}
		found := len(c.oneOf) == 0
		for _, one := range c.oneOf {
			found = found || e[one] != nil
		}
		if meta := e["metadata"].(map[string]any); !found || meta["version"] != ocsf.Version || meta["uid"] != r.ID() {
			t.Errorf("%s: %s", r.Kind(), line)
		}
		for _, secret := range []string{exporttest.Name, exporttest.Words, exporttest.Receipt} {
			if strings.Contains(string(line), secret) {
				t.Errorf("%s tells %q: %s", r.Kind(), secret, line)
			}
		}
	}
}

// TestWhatASIEMSees holds some events to what rules are written against.
func TestWhatASIEMSees(t *testing.T) {
	for _, c := range []struct {
		kind             gateway.RecordKind
		reason           gateway.Reason
		typ, status, sev int
		user             string
	}{
		{gateway.SessionOpened, gateway.CheckOut, 300201, 1, 1, "c-1001"},
		{gateway.SessionCleared, gateway.ReturnedDock, 300202, 1, 1, "c-1001"},
		{gateway.TapRefused, gateway.UnknownBadge, 300201, 2, 3, "c-1001"},
		{gateway.TapRefused, gateway.NoPhoneFree, 300201, 2, 2, "c-1001"},
		{gateway.ClearFailure, gateway.PhoneNotCleared, 300202, 2, 3, "c-1001"},
		{gateway.PhoneRefused, "", 300201, 2, 4, "c-1001"},
		{gateway.PolicyLoaded, "", 300403, 1, 1, ""},
		{gateway.BoxStarted, "", 600203, 1, 1, ""},
		{"never.heard-of", "", 99, 1, 1, ""},
	} {
		r, err := exporttest.Of(1, exporttest.Entry(1, c.kind, c.reason))
		if err != nil {
			t.Fatal(err)
		}
		e, user := ocsf.Project(r), ""
		if e.User != nil {
			user = e.User.UID
		}
		if e.TypeUID != c.typ || e.StatusID != c.status || e.SeverityID != c.sev || user != c.user || e.StatusCode != string(c.reason) {
			t.Errorf("%s %s: type %d, status %d, severity %d, user %q, code %q", c.kind, c.reason, e.TypeUID, e.StatusID, e.SeverityID, user, e.StatusCode)
		}
	}
}

func records(t *testing.T, count int64) (all []export.Record) {
	t.Helper()
	for i := range count {
		r, err := exporttest.Of(i, exporttest.Entry(i, gateway.SessionOpened))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// read gives the indexes of the events in files, and fails where one is not whole.
func read(t *testing.T, paths ...string) (indexes []int64) {
	t.Helper()
	for _, path := range paths {
		all, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(all)) {
			var e ocsf.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
				t.Errorf("%q: %v", line, err)
			}
			indexes = append(indexes, e.Metadata.Sequence)
		}
	}
	return indexes
}

// TestFileRotates keeps every event in order over many files, and then only the newest.
func TestFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	bystander := filepath.Join(filepath.Dir(path), "events-mine.jsonl")
	if err := os.WriteFile(bystander, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := records(t, 40)
	f := &ocsf.File{Path: path, Size: 9000}
	for i := 0; i < 40; i += 2 {
		if answers, err := f.Deliver(t.Context(), all[i:i+2]); err != nil || len(answers) != 2 {
			t.Fatal(answers, err)
		}
	}
	aside, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "events-2*.jsonl"))
	got := read(t, append(aside, path)...)
	for i, index := range got {
		if int64(i) != index {
			t.Fatalf("events %v", got)
		}
	}
	if len(got) != 40 || len(aside) < 3 {
		t.Errorf("%d events, %d files put aside", len(got), len(aside))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = &ocsf.File{Path: path, Size: 1, Keep: 2}
	for i := range 4 {
		if _, err := f.Deliver(t.Context(), all[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	defer f.Close()
	aside, _ = filepath.Glob(filepath.Join(filepath.Dir(path), "events-2*.jsonl"))
	if got := read(t, append(aside, path)...); len(aside) != 2 || len(got) != 3 || got[2] != 3 {
		t.Errorf("%d files put aside, events %v", len(aside), got)
	}
	if _, err := os.Stat(bystander); err != nil {
		t.Error("somebody else's file is gone")
	}
}

// TestFileAfterACrash takes half a line away, and half a line only.
func TestFileAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	all := records(t, 3)
	first := &ocsf.File{Path: path}
	if _, err := first.Deliver(t.Context(), all[:2]); err != nil {
		t.Fatal(err)
	}
	first.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range []string{"", `{"activity_id"`, strings.Repeat("x", 100_000)} {
		if err := os.WriteFile(path, append(whole[:len(whole):len(whole)], half...), 0o600); err != nil {
			t.Fatal(err)
		}
		f := &ocsf.File{Path: path}
		if _, err := f.Deliver(t.Context(), all[2:]); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if got := read(t, path); len(got) != 3 || got[2] != 2 {
			t.Errorf("after %d bytes of a line: events %v", len(half), got)
		}
	}
	gone := &ocsf.File{Path: filepath.Join(filepath.Dir(path), "gone", "events.jsonl")}
	if answers, err := gone.Deliver(t.Context(), all); err == nil || len(answers) != 0 {
		t.Errorf("wrote into no folder: %v, %v", answers, err)
	}
}

// TestPost posts many at once, finds the bad one where many are refused, and does not answer for what failed.
func TestPost(t *testing.T) {
	var got []string
	status := http.StatusOK
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		if status == http.StatusOK && strings.Contains(string(body), "north/box-1/2/1\"") {
			http.Error(w, "a field too long", http.StatusBadRequest)
			return
		}
		if w.WriteHeader(status); status == http.StatusOK {
			got = append(got, string(body))
		}
	}))
	defer collector.Close()
	for _, single := range []bool{false, true} {
		p := &ocsf.Post{Endpoint: export.Endpoint{Base: collector.URL + "/events", Client: collector.Client()}, Single: single}
		got = nil
		answers, err := p.Deliver(t.Context(), records(t, 3))
		if err != nil || len(answers) != 3 || answers[0].Refused+answers[2].Refused != "" || !strings.Contains(answers[1].Refused, "a field too long") {
			t.Errorf("%+v, %v", answers, err)
		}
		if len(got) != 2 || strings.HasPrefix(got[0], "[") == single {
			t.Errorf("posted %q", got)
		}
		got = nil
		if answers, err := p.Deliver(t.Context(), records(t, 1)); err != nil || len(answers) != 1 || len(got) != 1 {
			t.Errorf("%+v, %v", answers, err)
		}
		status = http.StatusServiceUnavailable
		if answers, err := p.Deliver(t.Context(), records(t, 3)); err == nil || len(answers) != 0 || errors.As(err, new(*export.Busy)) {
			t.Errorf("%+v, %v", answers, err)
		}
		status = http.StatusOK
	}
}
