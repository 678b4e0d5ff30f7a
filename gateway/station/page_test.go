package station

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
)

var (
	atStation = caller{operator: "station", may: view | takeOver, network: true}
	elsewhere = caller{operator: "station", may: view, network: true}
	onSocket  = caller{operator: "alex", may: view | takeOver | operate}
)

// ask sends one request to the real handler as the given caller.
func ask(t *testing.T, e Engine, who caller, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "localhost:7440"
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	ending := make(chan struct{})
	close(ending)
	w := httptest.NewRecorder()
	s := New(e, &fakeRecords{}, []string{"Station-5B.example."}, slog.New(slog.DiscardHandler))
	s.handler(ending).ServeHTTP(w, r.WithContext(withCaller(r.Context(), who)))
	return w
}

const form = "application/x-www-form-urlencoded"

func TestPageShowsTheWard(t *testing.T) {
	page := ask(t, newFake(busyWard(time.Now())), atStation, "GET", "/", "").Body.String()
	for _, want := range []string{
		"Ward 5B", "<b>2</b> free", "<b>1</b> to charge", "<b>4</b> in use", "<b>2</b> changing hands", "<b>3</b> not usable",
		"Unsigned demo policy", "unsigned demo policy", "Ana Demo", "1 h 12 min", "93 %", "charging", "14 % low",
		"no link", "then Emil Placeholder", "Locked: nobody used the phone.", "Out of use", "Elsewhere", "No contact",
		"This badge is not known on this ward.", "unreliable since", "phone-new", "18342 records", "synchronised",
		"none configured", "9 h 12 min", `aria-live="polite"`, `http-equiv="refresh"`,
		strings.TrimSuffix(gateway.FingerprintOf([]byte("example")).String()[:20], "-"),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestPageSaysWhatIsWrong(t *testing.T) {
	page := ask(t, newFake(troubledWard(time.Now())), atStation, "GET", "/", "").Body.String()
	for _, want := range []string{
		gateway.NoPhoneFree.Sentence(), "disk is nearly full", "No reader works", "not synchronised",
		"It may still hold the session of Ana Demo.", "Faulty",
	} {
		if !strings.Contains(strings.ReplaceAll(page, "&#39;", "'"), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestEmptyPageSaysTheNextStep(t *testing.T) {
	page := ask(t, newFake(emptyWard(time.Now())), atStation, "GET", "/", "").Body.String()
	for _, want := range []string{"No phones are paired yet.", "tapward phone add", gateway.NoPolicy.Sentence(), "None is connected."} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestSignedPolicyHasNoBanner(t *testing.T) {
	w := busyWard(time.Now())
	w.Policy.Signed = true
	if page := ask(t, newFake(w), atStation, "GET", "/", "").Body.String(); strings.Contains(strings.ToLower(page), "unsigned") {
		t.Error("a signed policy is called unsigned")
	}
}

// Every text on the page comes from outside: rosters, phones, mDNS. None of it may become markup.
func TestHostileNamesStayText(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	w := busyWard(time.Now())
	w.Name, w.Box, w.Clock = evil, evil, evil
	w.Uplink = gateway.Uplink{State: evil, Why: evil, Code: evil, Trouble: evil}
	for i := range w.Phones {
		p := &w.Phones[i]
		p.ID, p.Holder, p.Next, p.Reason, p.Pool, p.Slot, p.Class = evil, evil, evil, evil, evil, evil, evil
	}
	w.Phones[11].Phase = evil
	w.Seen[0].Name, w.Seen[0].Address = evil, evil
	w.Readers[0].ID, w.Readers[0].Note = evil, evil
	w.Taps[0] = gateway.WardTap{Who: evil, Reader: evil, Reason: evil, Phone: evil}
	w.Armed = &gateway.WardArmed{Reader: evil, Phone: evil, Until: time.Now().Add(time.Hour)}
	e := newFake(w)
	for _, target := range []string{"/", "/takeover?phone=" + url.QueryEscape(evil), "/takeover?phone=" + url.QueryEscape(evil+"x")} {
		page := ask(t, e, atStation, "GET", target, "").Body.String()
		if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") || !strings.Contains(page, "&lt;script&gt;alert") {
			t.Errorf("%s carries markup from outside:\n%s", target, page)
		}
	}
	events := ask(t, e, atStation, "GET", "/events", "").Body.String()
	if strings.Contains(events, "<script>alert") || strings.Contains(events, "<img") || strings.Contains(events, `u003cimg`) {
		t.Error("the stream carries markup from outside")
	}
}

// The content policy forbids inline script and style; the page must not need them.
func TestPageObeysItsContentPolicy(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script>|javascript:|https?://`)
	for _, target := range []string{"/", "/takeover?phone=phone-01", "/station.js", "/station.css"} {
		w := ask(t, newFake(busyWard(time.Now())), atStation, "GET", target, "")
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d", target, w.Code)
		}
		if !strings.HasPrefix(target, "/station") {
			if m := inline.FindString(w.Body.String()); m != "" {
				t.Errorf("%s needs %q", target, m)
			}
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": contentPolicy, "X-Frame-Options": "DENY", "Cache-Control": "no-store",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q", target, name, got)
			}
		}
	}
	if strings.Contains(contentPolicy, "unsafe") || !strings.Contains(contentPolicy, "frame-ancestors 'none'") {
		t.Errorf("content policy is %q", contentPolicy)
	}
}

func TestTakeOverFromThePage(t *testing.T) {
	e := newFake(busyWard(time.Now()))
	choose := ask(t, e, atStation, "GET", "/takeover?phone=phone-01", "").Body.String()
	if !strings.Contains(choose, `name="reader" value="desk"`) || !strings.Contains(choose, "Ana Demo") {
		t.Errorf("the choice is\n%s", choose)
	}
	w := ask(t, e, atStation, "POST", "/takeover", "phone=phone-01&reader=desk", "Content-Type", form, "Sec-Fetch-Site", "same-origin")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" {
		t.Errorf("answer is %d to %q", w.Code, w.Header().Get("Location"))
	}
	ask(t, e, atStation, "POST", "/takeover", "reader=desk", "Content-Type", form)
	want := []done{{"station", gateway.TakeOver{Reader: "desk", Phone: "phone-01"}}, {"station", gateway.TakeOver{Reader: "desk"}}}
	if got := e.acts(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("acts are %v, want %v", got, want)
	}
	for _, phone := range []string{"phone-02", "phone-08", "none"} {
		if w := ask(t, e, atStation, "GET", "/takeover?phone="+phone, ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "cannot be taken over") {
			t.Errorf("%s, which nobody holds: %d", phone, w.Code)
		}
	}
}

func TestRefusedTakeOverIsSaidOnThePage(t *testing.T) {
	e := newFake(busyWard(time.Now()))
	e.fail = &gateway.Refusal{Reason: gateway.PhoneBusy}
	w := ask(t, e, atStation, "POST", "/takeover", "phone=phone-01&reader=desk", "Content-Type", form)
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), gateway.PhoneBusy.Sentence()) || !strings.Contains(w.Body.String(), "Ana Demo") {
		t.Errorf("answer is %d\n%s", w.Code, w.Body)
	}
}

func TestArmedIsShownLargeUntilItLapses(t *testing.T) {
	e := newFake(busyWard(time.Now()))
	e.arm(time.Now().Add(15 * time.Second))
	page := ask(t, e, atStation, "GET", "/", "").Body.String()
	if !strings.Contains(page, "Tap your badge at <b>desk</b> now") || !strings.Contains(page, `id="disarm"`) {
		t.Error("an armed take-over is not shown with its cancel button")
	}
	if page := ask(t, e, elsewhere, "GET", "/", "").Body.String(); strings.Contains(page, `id="disarm"`) || strings.Contains(page, "Take over") {
		t.Error("somebody elsewhere is offered what they may not do")
	}
	e.arm(time.Now().Add(-time.Second))
	if page := ask(t, e, atStation, "GET", "/", "").Body.String(); strings.Contains(page, "Tap your badge") {
		t.Error("a lapsed take-over is still shown")
	}
}

// askOf asks a station whose server is ending.
func askOf(s *Station, who caller, method, target string) *httptest.ResponseRecorder {
	ending := make(chan struct{})
	close(ending)
	r := httptest.NewRequest(method, target, nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	s.handler(ending).ServeHTTP(w, r.WithContext(withCaller(r.Context(), who)))
	return w
}
