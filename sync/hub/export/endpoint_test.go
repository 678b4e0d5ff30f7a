package export_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"tapward/sync/hub/database/databasetest"
	"tapward/sync/hub/export"
	"tapward/sync/hub/export/exporttest"
	"tapward/sync/hub/export/fhir"
	"tapward/sync/hub/export/ocsf"
)

const secret = "s3cret"

// login is a page that says yes to whoever comes, and counts them.
func login(t *testing.T) (page *httptest.Server, visits *atomic.Int64) {
	visits = new(atomic.Int64)
	page = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { visits.Add(1) }))
	t.Cleanup(page.Close)
	return page, visits
}

// TestRedirectIsNotFollowed has a receiver lead to a page that answers 200: nothing is delivered there, nor sent.
func TestRedirectIsNotFollowed(t *testing.T) {
	page, visits := login(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		var asked atomic.Int64
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			http.Redirect(w, r, strings.Replace(page.URL, "//", "//user:"+secret+"@", 1)+"/login?token="+secret, status)
		}))
		client := receiver.Client()
		end := export.Endpoint{Base: receiver.URL, Client: client}
		for _, method := range []string{http.MethodPut, http.MethodPost} {
			reply, err := end.Send(t.Context(), method, "/x", "text/plain", []byte("a record"))
			if err == nil || reply.Taken() {
				t.Fatalf("%s, %d: %+v", method, status, reply)
			}
			if words := err.Error(); !strings.Contains(words, fmt.Sprint(status)) || !strings.Contains(words, page.URL+"/login") || strings.Contains(words, secret) {
				t.Errorf("%s, %d: %q", method, status, words)
			}
		}
		for _, target := range []export.Target{&fhir.Feed{Endpoint: end}, &fhir.Feed{Endpoint: end, Post: true, Single: true}, &ocsf.Post{Endpoint: end}} {
			if answers, err := target.Deliver(t.Context(), records(t, 1, 2)); err == nil || len(answers) != 0 {
				t.Errorf("%T, %d: %+v", target, status, answers)
			}
		}
		if asked.Load() != 5 || client.CheckRedirect != nil {
			t.Errorf("%d: the receiver was asked %d times; the client was changed: %t", status, asked.Load(), client.CheckRedirect != nil)
		}
		receiver.Close()
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("the page where redirects lead was asked %d times", n)
	}
}

// TestRedirectToNowhere has a receiver answer 3xx without a place: that is trouble too.
func TestRedirectToNowhere(t *testing.T) {
	for _, status := range []int{http.StatusMultipleChoices, http.StatusFound, http.StatusNotModified} {
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		end := export.Endpoint{Base: receiver.URL, Client: receiver.Client()}
		if reply, err := end.Send(t.Context(), http.MethodPut, "", "text/plain", nil); err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("%d: %+v, %v", status, reply, err)
		}
		receiver.Close()
	}
}

// TestRedirectedFeedGoesOn stands still while the receiver redirects, and loses nothing.
func TestRedirectedFeedGoesOn(t *testing.T) {
	page, visits := login(t)
	var well atomic.Bool
	var taken atomic.Int64
	siem := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !well.Load() {
			http.Redirect(w, r, page.URL, http.StatusFound)
			return
		}
		taken.Add(1)
	}))
	defer siem.Close()
	target := &ocsf.Post{Endpoint: export.Endpoint{Base: siem.URL, Client: siem.Client()}, Single: true}
	archive := &exporttest.Archive{}
	archive.Add(records(t, 1, 3)...)
	r := start(t, open(t, databasetest.SQLite(t)), archive, &receiver{}, func(f *export.Feed) { f.Target = target })
	s := r.until(t, "a redirect is trouble", func(s export.Standing) bool { return s.Trouble != "" })
	if s.Place != 0 || s.Delivered != 0 || s.Dead != 0 || !strings.Contains(s.Trouble, "302") {
		t.Errorf("stands at %+v", s)
	}
	well.Store(true)
	s = r.until(t, "3 records", at(3))
	if s.Delivered != 3 || s.Dead != 0 || s.Trouble != "" || taken.Load() != 3 || visits.Load() != 0 {
		t.Errorf("stands at %+v; taken %d, the page was asked %d times", s, taken.Load(), visits.Load())
	}
}

// TestCheckBase takes https, and http to this machine; never a credential, which no error shows.
func TestCheckBase(t *testing.T) {
	for _, good := range []string{
		"https://arr.example", "https://arr.example:8443/fhir/R4", "HTTPS://arr.example/", "https://siem.example/in?channel=1",
		"http://127.0.0.1:8080/fhir", "http://127.9.9.9", "http://[::1]:80/x", "http://[::ffff:127.0.0.1]", "http://localhost:1",
	} {
		if err := export.CheckBase(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "arr.example", "//arr.example", "https:", "https:///fhir", "https://:443", "ftp://arr.example", "file:///etc/passwd",
		"http://arr.example", "http://10.0.0.1", "http://localhost.example", "http://127.0.0.1.example", "http://0.0.0.0",
		"https://" + secret + "@arr.example", "https://user:" + secret + "@arr.example/", "http://user:" + secret + "@127.0.0.1",
		"http://arr.example/?token=" + secret, "https://@arr.example", "https:user:" + secret + "@arr.example",
		"https://user:" + secret + "@arr.example:port", "https://us er:" + secret + "@arr.example", "https://user:" + secret + "%zz@arr.example",
		"\x00" + secret,
	} {
		err := export.CheckBase(bad)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", bad, err)
		}
		end := export.Endpoint{Base: bad, Client: http.DefaultClient}
		if _, err := end.Send(t.Context(), http.MethodPut, "", "text/plain", nil); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("sent to %q: %v", bad, err)
		}
		for _, target := range []export.Target{&fhir.Feed{Endpoint: end}, &ocsf.Post{Endpoint: end}} {
			_, err := export.New(export.Config{Feeds: []export.Feed{{Name: "arr", Target: target}}, Logger: slog.New(slog.DiscardHandler)})
			if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "arr") {
				t.Errorf("a feed to %q: %v", bad, err)
			}
		}
	}
}

// TestErrorsShowNoQuery has every error of an endpoint whose URL carries a token in its query.
func TestErrorsShowNoQuery(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("token") != secret {
			t.Error("the query was lost")
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	end := export.Endpoint{Base: receiver.URL + "/in?token=" + secret, Client: receiver.Client()}
	check := func(what string) {
		t.Helper()
		_, err := end.Send(t.Context(), http.MethodPost, "", "text/plain", nil)
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), receiver.URL+"/in") {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("a receiver that is busy")
	receiver.Close()
	check("a receiver that is gone")
	end.Authorization = func() (string, error) { return "", fmt.Errorf("no token file") }
	check("no authorization")
}

func FuzzCheckBase(f *testing.F) {
	for _, seed := range []string{"https://arr.example/fhir", "https://u:p@h", "http://[::1%25lo]:1", "https://h:x", "", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, base string) {
		marked := "https://user:" + secret + "@" + base
		if err := export.CheckBase(marked); err == nil || strings.Contains(err.Error(), secret) && !strings.Contains(base, secret) {
			t.Errorf("%q: %v", marked, err)
		}
		if export.CheckBase(base) == nil && !strings.HasPrefix(strings.ToLower(base), "http") {
			t.Errorf("%q was taken", base)
		}
	})
}
