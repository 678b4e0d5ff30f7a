package fhir_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/sync/hub/export"
	"tapward/sync/hub/export/exporttest"
	"tapward/sync/hub/export/fhir"
)

// records have a box of their own, so that a test finds its own in the repository.
func records(t testing.TB, box gateway.BoxID, count int64) (all []export.Record) {
	t.Helper()
	for i := range count {
		r, err := exporttest.Of(i, exporttest.Entry(i, gateway.SessionOpened))
		if err != nil {
			t.Fatal(err)
		}
		r.Address.Box = box
		all = append(all, r)
	}
	return all
}

// way is what stands between the hub and the repository. It counts requests, and may spoil them.
type way struct {
	*httptest.Server
	requests atomic.Int64
	spoil    atomic.Pointer[func(http.ResponseWriter, *http.Request, http.Handler)]
}

func newWay(t *testing.T) *way {
	t.Helper()
	base, err := url.Parse(medplum.Base(t))
	if err != nil {
		t.Fatal(err)
	}
	repository, w := httputil.NewSingleHostReverseProxy(base), &way{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		w.requests.Add(1)
		if spoil := w.spoil.Load(); spoil != nil {
			(*spoil)(response, request, repository)
			return
		}
		repository.ServeHTTP(response, request)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *way) feed() *fhir.Feed {
	return &fhir.Feed{Endpoint: export.Endpoint{Base: w.URL, Client: w.Client()}}
}

func (w *way) be(spoil func(response http.ResponseWriter, request *http.Request, repository http.Handler)) {
	if spoil == nil {
		w.spoil.Store(nil)
		return
	}
	w.spoil.Store(&spoil)
}

// stored counts a record in the repository, by its id and by what it is about.
func stored(t *testing.T, r export.Record) (byID, named int) {
	t.Helper()
	status, _ := send(t, http.MethodGet, medplum.Base(t)+"/AuditEvent/"+r.ID(), nil)
	if status == http.StatusOK {
		byID = 1
	}
	_, all := send(t, http.MethodGet, medplum.Base(t)+"/AuditEvent?_count=1000", nil)
	var b struct {
		Entry []struct{ Resource fhir.AuditEvent }
	}
	if err := json.Unmarshal([]byte(all), &b); err != nil {
		t.Fatal(err)
	}
	for _, e := range b.Entry {
		if e.Resource.Entity[0].What.Identifier.Value == r.Name() {
			named++
		}
	}
	return byID, named
}

func deliver(t *testing.T, f *fhir.Feed, records []export.Record) []export.Answer {
	t.Helper()
	answers, err := f.Deliver(t.Context(), records)
	if err != nil || len(answers) != len(records) {
		t.Fatalf("%d answers for %d records, %v", len(answers), len(records), err)
	}
	return answers
}

// TestFeedStoresOnce delivers in every way, twice, and finds each record once; where the repository chooses the ids it finds
// two, which is why that is not the way that is chosen.
func TestFeedStoresOnce(t *testing.T) {
	for name, c := range map[string]struct {
		post, single    bool
		requests, twice int
	}{
		"batch-of-put":  {false, false, 1, 1},
		"single-put":    {false, true, 5, 1},
		"batch-of-post": {true, false, 1, 2},
		"single-post":   {true, true, 5, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWay(t)
			f, all := w.feed(), records(t, gateway.BoxID(name), 5)
			f.Post, f.Single = c.post, c.single
			for range 2 {
				for _, a := range deliver(t, f, all) {
					if a.Refused != "" {
						t.Errorf("refused: %s", a.Refused)
					}
				}
			}
			if got := int(w.requests.Load()); got != 2*c.requests {
				t.Errorf("%d requests, want %d", got, 2*c.requests)
			}
			for _, r := range all {
				if byID, named := stored(t, r); byID == 1 == c.post || named != c.twice {
					t.Errorf("%s is there %d times, under its id %d", r.Name(), named, byID)
				}
			}
		})
	}
}

// bad is a record whose event no repository takes: FHIR ends with the year 9999. No box can write that.
func bad(r export.Record) export.Record {
	r.Leaf.Entry.At = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	return r
}

// TestFeedKeepsTheRepositorysWords delivers a bad record among good ones, in a batch and alone.
func TestFeedKeepsTheRepositorysWords(t *testing.T) {
	for _, single := range []bool{false, true} {
		w := newWay(t)
		f, all := w.feed(), records(t, "words", 3)
		f.Single = single
		all[1] = bad(all[1])
		answers := deliver(t, f, all)
		if answers[0].Refused != "" || answers[2].Refused != "" {
			t.Errorf("good ones refused: %+v", answers)
		}
		if got := answers[1].Refused; !strings.HasPrefix(got, "400") || !strings.Contains(got, "AuditEvent.recorded") {
			t.Errorf("the bad one: %q", got)
		}
	}
}

// TestFeedBatchRefused sends one by one what a repository does not take as a batch.
func TestFeedBatchRefused(t *testing.T) {
	w := newWay(t)
	w.be(func(response http.ResponseWriter, request *http.Request, repository http.Handler) {
		if request.Method == http.MethodPost {
			http.Error(response, "no batches here", http.StatusBadRequest)
			return
		}
		repository.ServeHTTP(response, request)
	})
	all := records(t, "alone", 3)
	for i, a := range deliver(t, w.feed(), all) {
		if byID, _ := stored(t, all[i]); a.Refused != "" || byID != 1 {
			t.Errorf("record %d: %+v, stored %d", i, a, byID)
		}
	}
}

// TestFeedFailures takes what is not about the records for a failure that passes, and gives no answer that it did not get.
func TestFeedFailures(t *testing.T) {
	type spoil = func(http.ResponseWriter, *http.Request, http.Handler)
	says := func(status int, header, body string) spoil {
		return func(response http.ResponseWriter, _ *http.Request, _ http.Handler) {
			response.Header().Set("Retry-After", header)
			response.WriteHeader(status)
			io.WriteString(response, body)
		}
	}
	for what, spoil := range map[string]spoil{
		"down":              says(503, "7", "later"),
		"too many":          says(429, "7", "later"),
		"who are you":       says(401, "", "who are you"),
		"not here":          says(404, "", "nothing here"),
		"no answer":         func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
		"no bundle":         says(200, "", "<html>welcome</html>"),
		"too few":           says(200, "", `{"resourceType":"Bundle","type":"batch-response","entry":[]}`),
		"no status":         says(200, "", `{"resourceType":"Bundle","type":"batch-response","entry":[{},{},{}]}`),
		"overloaded inside": says(200, "", `{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"503"}},{"response":{"status":"200"}},{"response":{"status":"200"}}]}`),
		"lost answer": func(_ http.ResponseWriter, request *http.Request, repository http.Handler) {
			repository.ServeHTTP(httptest.NewRecorder(), request)
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWay(t)
			w.Config.ErrorLog = nil
			f, all := w.feed(), records(t, gateway.BoxID(strings.ReplaceAll(what, " ", "-")), 3)
			w.be(spoil)
			answers, err := f.Deliver(t.Context(), all)
			if err == nil || len(answers) != 0 {
				t.Fatalf("%+v, %v", answers, err)
			}
			var busy *export.Busy
			if asked := errors.As(err, &busy) && busy.After == 7*time.Second; asked != (what == "down" || what == "too many") {
				t.Errorf("asked to wait: %v, %v", asked, err)
			}
			w.be(nil)
			deliver(t, f, all)
			for _, r := range all {
				if byID, named := stored(t, r); byID != 1 || named != 1 {
					t.Errorf("%s is there %d times", r.Name(), named)
				}
			}
		})
	}
}

// TestFeedStopsWithItsContext does not wait for a repository that never answers.
func TestFeedStopsWithItsContext(t *testing.T) {
	w := newWay(t)
	arrived, leave := make(chan struct{}), make(chan struct{})
	w.be(func(http.ResponseWriter, *http.Request, http.Handler) { close(arrived); <-leave })
	defer close(leave)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := w.feed().Deliver(ctx, records(t, "hangs", 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestFeedShowsItsAuthorization takes a new token each time.
func TestFeedShowsItsAuthorization(t *testing.T) {
	w, shown := newWay(t), make(chan string, 2)
	w.be(func(_ http.ResponseWriter, request *http.Request, _ http.Handler) {
		shown <- request.Header.Get("Authorization")
	})
	f, token := w.feed(), "Bearer one"
	f.Single = true
	f.Endpoint.Authorization = func() (string, error) { return token, nil }
	all := records(t, "token", 1)
	deliver(t, f, all)
	token = "Bearer two"
	deliver(t, f, all)
	if first, second := <-shown, <-shown; first != "Bearer one" || second != "Bearer two" {
		t.Errorf("showed %q, then %q", first, second)
	}
	f.Endpoint.Authorization = func() (string, error) { return "", errors.New("no token file") }
	if _, err := f.Deliver(t.Context(), all); err == nil || !strings.Contains(err.Error(), "no token file") {
		t.Errorf("%v", err)
	}
}

// BenchmarkBatch is one batch of 100 to Medplum, its validation included.
func BenchmarkBatch(b *testing.B) {
	f := &fhir.Feed{Endpoint: export.Endpoint{Base: medplum.Base(b), Client: http.DefaultClient}}
	all := records(b, "bench", 100)
	for b.Loop() {
		if _, err := f.Deliver(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(100*b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkProject is one record as FHIR JSON.
func BenchmarkProject(b *testing.B) {
	r := records(b, "bench", 1)[0]
	var line []byte
	for b.Loop() {
		line, _ = fhir.Lines{}.Append(line[:0], r)
	}
	b.SetBytes(int64(len(line)))
}
