package fhir_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/fhir/go/fhirversion"
	"github.com/google/fhir/go/jsonformat"

	"tapward/gateway"
	"tapward/sync/hub/export/exporttest"
	"tapward/sync/hub/export/fhir"
)

var medplum exporttest.Medplum

func TestMain(m *testing.M) { medplum.Main(m) }

// google is a validator that others wrote.
func google(t testing.TB) func(event []byte) error {
	t.Helper()
	u, err := jsonformat.NewUnmarshaller("UTC", fhirversion.R4)
	if err != nil {
		t.Fatal(err)
	}
	return func(event []byte) error {
		_, err := u.Unmarshal(event)
		return err
	}
}

// put is a second one, by others again, and an audit repository besides.
func put(t testing.TB, base string) func(event []byte) error {
	return func(event []byte) error {
		var id struct{ ID string }
		if err := json.Unmarshal(event, &id); err != nil {
			return err
		}
		status, body := send(t, http.MethodPut, base+"/AuditEvent/"+id.ID, event)
		if status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	}
}

func send(t testing.TB, method, url string, body []byte) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(all)
}

// TestEveryRecordIsValid gives records of every kind, and wild ones, to both validators.
func TestEveryRecordIsValid(t *testing.T) {
	google, medplum := google(t), put(t, medplum.Base(t))
	for _, r := range exporttest.Every(t) {
		event, err := fhir.Lines{}.Append(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		if err := google(event); err != nil {
			t.Fatalf("google/fhir refuses %s: %v\n%s", r.Kind(), err, event)
		}
		if err := medplum(event); err != nil {
			t.Fatalf("Medplum refuses %s: %v\n%s", r.Kind(), err, event)
		}
		for _, secret := range []string{exporttest.Name, exporttest.Words, exporttest.Receipt} {
			if strings.Contains(string(event), secret) {
				t.Errorf("%s tells %q: %s", r.Kind(), secret, event)
			}
		}
	}
}

// TestWhatTheValidatorsRefuse shows that they would have noticed: each case breaks one thing of an event, and says which of
// the two sees it. No one sees all.
func TestWhatTheValidatorsRefuse(t *testing.T) {
	google, medplum := google(t), put(t, medplum.Base(t))
	set := func(path string, value any) func(map[string]any) {
		return func(e map[string]any) {
			keys := strings.Split(path, ".")
			for _, key := range keys[:len(keys)-1] {
				if list, ok := e[key].([]any); ok {
					e = list[0].(map[string]any)
					continue
				}
				e = e[key].(map[string]any)
			}
			if value == nil {
				delete(e, keys[len(keys)-1])
				return
			}
			e[keys[len(keys)-1]] = value
		}
	}
	for _, c := range []struct {
		what, google, medplum string // what each says; empty: it takes it
		change                func(map[string]any)
	}{
		{"as it is", "", "", func(map[string]any) {}},
		{"no source", "source", "AuditEvent.source", set("source", nil)},
		{"no requestor", "requestor", "AuditEvent.agent[0].requestor", set("agent.requestor", nil)},
		{"an outcome that is none", "outcome", "", set("outcome", "7")},
		{"an action that is none", "action", "", set("action", "X")},
		{"R5's severity", "unknown field", "severity", set("severity", "notice")},
		{"R5's type", "AuditEvent.type", "type", set("type", map[string]any{"coding": []any{map[string]any{"code": "110114"}}})},
		{"a date for an instant", "recorded", "recorded", set("recorded", "2026-11-24")},
		{"name and query", "", "sev-1", func(e map[string]any) {
			set("entity.name", "a name")(e)
			set("entity.query", "YQ==")(e)
		}},
	} {
		r, err := exporttest.Of(1, exporttest.Entry(1, gateway.SessionOpened))
		if err != nil {
			t.Fatal(err)
		}
		event, _ := fhir.Lines{}.Append(nil, r)
		var changed map[string]any
		if err := json.Unmarshal(event, &changed); err != nil {
			t.Fatal(err)
		}
		c.change(changed)
		event, _ = json.Marshal(changed)
		check(t, c.what, "google/fhir", google(event), c.google)
		check(t, c.what, "Medplum", medplum(event), c.medplum)
		if c.what != "as it is" && c.google == "" && c.medplum == "" {
			t.Errorf("%s: nobody sees it", c.what)
		}
	}
}

func check(t *testing.T, what, who string, got error, want string) {
	t.Helper()
	switch {
	case got == nil && want != "":
		t.Errorf("%s: %s takes it", what, who)
	case got != nil && want == "":
		t.Errorf("%s: %s says %v", what, who, got)
	case got != nil && !strings.Contains(got.Error(), want):
		t.Errorf("%s: %s says %v, not about %q", what, who, got, want)
	default:
		t.Logf("%s: %s: %v", what, who, got)
	}
}
