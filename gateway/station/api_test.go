package station

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
)

var fingerprint = gateway.FingerprintOf([]byte("a phone"))

func phoneBody(id string) string {
	return fmt.Sprintf(`{"id":%q,"key":%q,"class":"workflow","pool":"ward","addrs":["10.0.0.7:7443"]}`, id, fingerprint)
}

// Every route, asked by everybody: who may do what, and what it does.
func TestRoutesAndRights(t *testing.T) {
	phone := gateway.Phone{ID: "phone-1", Key: fingerprint, Class: gateway.Workflow, Pool: "ward", Addrs: []string{"10.0.0.7:7443"}}
	for _, c := range []struct {
		method, target, body string
		station, away        int // the socket is always let in
		socket               int
		act                  gateway.Act
	}{
		{"GET", "/", "", 200, 200, 200, nil},
		{"GET", "/events", "", 200, 200, 200, nil},
		{"GET", "/station.css", "", 200, 200, 200, nil},
		{"GET", "/station.js", "", 200, 200, 200, nil},
		{"GET", "/takeover?phone=phone-01", "", 200, 403, 200, nil},
		{"POST", "/takeover", "reader=desk&phone=phone-01", 303, 403, 303, gateway.TakeOver{Reader: "desk", Phone: "phone-01"}},
		{"GET", "/v1/ward", "", 200, 200, 200, nil},
		{"GET", "/v1/events", "", 200, 200, 200, nil},
		{"GET", "/v1/log", "", 403, 403, 200, nil},
		{"POST", "/v1/takeover", `{"reader":"desk","phone":"phone-01"}`, 204, 403, 204, gateway.TakeOver{Reader: "desk", Phone: "phone-01"}},
		{"POST", "/v1/phones", phoneBody("phone-1"), 403, 403, 204, gateway.AddPhone{Phone: phone}},
		{"DELETE", "/v1/phones/phone-1", "", 403, 403, 204, gateway.RemovePhone{Phone: "phone-1"}},
		{"POST", "/v1/phones/phone-1/release", "", 403, 403, 204, gateway.ReleasePhone{Phone: "phone-1"}},
		{"POST", "/v1/policy", "version = 1", 403, 403, 204, gateway.LoadPolicy{Document: []byte("version = 1")}},
		{"GET", "/v1/policy", "", 404, 404, 404, nil},
		{"PUT", "/v1/ward", "", 404, 404, 404, nil},
	} {
		for who, want := range map[*caller]int{&atStation: c.station, &elsewhere: c.away, &onSocket: c.socket, {}: 403} {
			e := newFake(busyWard(time.Now()))
			w := ask(t, e, *who, c.method, c.target, c.body, "Content-Type", form)
			if want == 403 && w.Code == 404 && c.socket == 404 {
				continue // nothing there, for nobody
			}
			if w.Code != want {
				t.Errorf("%s %s by %+v: %d, want %d: %s", c.method, c.target, *who, w.Code, want, w.Body)
			}
			var acts []done
			if want < 400 && c.act != nil {
				acts = []done{{who.operator, c.act}}
			}
			if got := e.acts(); fmt.Sprint(got) != fmt.Sprint(acts) {
				t.Errorf("%s %s by %+v did %v, want %v", c.method, c.target, *who, got, acts)
			}
		}
	}
	if n := len((&Station{}).table(nil)); n != 14 {
		t.Errorf("the table has %d routes and this test knows 14", n)
	}
}

func TestBadRequestsAreExplained(t *testing.T) {
	for _, c := range []struct {
		method, target, body string
		status               int
		words                string
	}{
		{"POST", "/v1/phones", `{`, 400, "not the JSON"},
		{"POST", "/v1/phones", `{"id":"p","colour":"red"}`, 400, "colour"},
		{"POST", "/v1/phones", phoneBody("p") + phoneBody("q"), 400, "more than one value"},
		{"POST", "/v1/phones", `{"pool":"a b"}`, 400, "pool: an id is 1 to 64"},
		{"POST", "/v1/phones", `{"key":"12"}`, 400, "want 64 hex digits"},
		{"POST", "/v1/phones", `{"addrs":["nowhere"]}`, 400, `"nowhere" is not host:port`},
		{"POST", "/v1/phones", `{"addrs":["h:0","h:99999",":1"]}`, 400, `":1" is not host:port`},
		{"POST", "/v1/phones", strings.Repeat(" ", small+1), 413, "too large"},
		{"POST", "/v1/policy", strings.Repeat("#", policy.MaxDocument+1), 413, "too large"},
		{"POST", "/takeover", strings.Repeat("a", small+1), 413, "too large"},
	} {
		e := newFake(busyWard(time.Now()))
		w := ask(t, e, onSocket, c.method, c.target, c.body, "Content-Type", form)
		if w.Code != c.status || !strings.Contains(unescaped(w.Body.String()), c.words) {
			t.Errorf("%s %s %.60q: %d %s", c.method, c.target, c.body, w.Code, w.Body)
		}
		if len(e.acts()) != 0 {
			t.Errorf("%s %s did %v", c.method, c.target, e.acts())
		}
	}
}

// What can be made an act of goes to the engine however wrong it is: only the engine's refusals are in the log.
func TestTheEngineJudgesActs(t *testing.T) {
	for _, c := range []struct {
		method, target, body string
		act                  gateway.Act
	}{
		{"POST", "/v1/phones", `{}`, gateway.AddPhone{}},
		{"POST", "/v1/phones", `{"id":"a.b","class":"luxury"}`, gateway.AddPhone{Phone: gateway.Phone{ID: "a.b", Class: "luxury"}}},
		{"DELETE", "/v1/phones/a%20b", "", gateway.RemovePhone{Phone: "a b"}},
		{"POST", "/v1/phones/%2e%2e%2f/release", "", gateway.ReleasePhone{Phone: "../"}},
		{"POST", "/v1/takeover", `{"phone":"p"}`, gateway.TakeOver{Phone: "p"}},
		{"POST", "/v1/policy", "", gateway.LoadPolicy{}},
	} {
		e := newFake(busyWard(time.Now()))
		e.fail, e.after = &gateway.Refusal{Reason: gateway.Incomplete, Words: "not like this"}, true
		w := ask(t, e, onSocket, c.method, c.target, c.body)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "not like this") {
			t.Errorf("%s %s: %d %s", c.method, c.target, w.Code, w.Body)
		}
		if got, want := fmt.Sprint(e.acts()), fmt.Sprint([]done{{onSocket.operator, c.act}}); got != want {
			t.Errorf("%s %s did %s, want %s", c.method, c.target, got, want)
		}
	}
}

func unescaped(body string) string {
	var p problem
	if json.Unmarshal([]byte(body), &p) == nil {
		return p.Error
	}
	return body
}

func TestErrorsHaveTheirStatusAndTheirWords(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		words  string
	}{
		{&gateway.Refusal{Reason: gateway.PhoneBusy}, 409, gateway.PhoneBusy.Sentence()},
		{fmt.Errorf("act: %w", &gateway.Refusal{Reason: gateway.UnknownPhone, Words: "phone-9 is not paired"}), 404, "phone-9 is not paired"},
		{&gateway.Refusal{Reason: gateway.UnknownReader}, 404, gateway.UnknownReader.Sentence()},
		{&gateway.Refusal{Reason: gateway.Incomplete, Words: "needs an id"}, 400, "needs an id"},
		{&gateway.Refusal{Reason: gateway.WrongWard, Words: "no such ward"}, 409, "no such ward"},
		{&gateway.Refusal{Reason: gateway.StorageLow}, 507, "disk"},
		{policy.Problems{{Line: 3, Where: "site", What: "is wrong"}}, 422, "line 3: site: is wrong"},
		{errors.New("commit: disk on fire"), 500, "disk on fire"},
	} {
		for _, after := range []bool{false, true} {
			e := newFake(busyWard(time.Now()))
			e.fail, e.after = c.err, after
			w := ask(t, e, onSocket, "POST", "/v1/phones/p/release", "")
			if w.Code != c.status || !strings.Contains(unescaped(w.Body.String()), c.words) {
				t.Errorf("%v (happened: %v): %d %s", c.err, after, w.Code, w.Body)
			}
		}
	}
}

// An engine that never answers does not hold the operator for ever, and the answer does not say that nothing happened.
func TestAnEngineThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFake(busyWard(time.Now()))
		e.hang = true
		start := time.Now()
		w := ask(t, e, onSocket, "POST", "/v1/phones/p/release", "")
		if w.Code != http.StatusGatewayTimeout || !strings.Contains(w.Body.String(), "look at the station whether it happened") {
			t.Errorf("answer is %d %s", w.Code, w.Body)
		}
		if time.Since(start) != actWait {
			t.Errorf("it took %v", time.Since(start))
		}
	})
}

func TestStrangeWebSitesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		who    caller
		header []string
		status int
	}{
		{"same origin", atStation, []string{"Sec-Fetch-Site", "same-origin"}, 204},
		{"typed address", atStation, []string{"Host", "127.0.0.1:7440"}, 204},
		{"IPv6 address", atStation, []string{"Host", "[::1]:7440"}, 204},
		{"IPv6 address without port", atStation, []string{"Host", "[::1]"}, 204},
		{"configured name", atStation, []string{"Host", "station-5b.EXAMPLE:443"}, 204},
		{"own origin", atStation, []string{"Origin", "https://localhost:7440"}, 204},
		{"rebound name", atStation, []string{"Host", "evil.example"}, 421},
		{"name that begins like ours", atStation, []string{"Host", "localhost.evil.example"}, 421},
		{"no name", atStation, []string{"Host", ""}, 421},
		{"another site", atStation, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another port", atStation, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin", atStation, []string{"Origin", "https://evil.example"}, 403},
		{"no origin", atStation, []string{"Origin", "null"}, 403},
		{"the socket has no names", onSocket, []string{"Host", "tapward"}, 204},
	} {
		e := newFake(busyWard(time.Now()))
		w := ask(t, e, c.who, "POST", "/v1/takeover", `{"reader":"desk","phone":"phone-01"}`, c.header...)
		if w.Code != c.status {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if did := len(e.acts()) == 1; did != (c.status == 204) {
			t.Errorf("%s did %v", c.name, e.acts())
		}
	}
	if w := ask(t, newFake(busyWard(time.Now())), elsewhere, "GET", "/v1/ward", "", "Host", "evil.example"); w.Code != 421 || strings.Contains(w.Body.String(), "Amara") {
		t.Errorf("a rebound name reads the ward: %d", w.Code)
	}
}

func TestWardAsJSON(t *testing.T) {
	want := busyWard(time.Now().Round(0))
	w := ask(t, newFake(want), onSocket, "GET", "/v1/ward", "")
	var got gateway.Ward
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(want)
	b, _ := json.Marshal(got)
	if string(a) != string(b) || !strings.Contains(string(a), "Ana Demo") {
		t.Errorf("got\n%s\nwant\n%s", b, a)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s := New(newFake(emptyWard(time.Now())), nil, nil, slog.New(slog.DiscardHandler))
	for range maxStreams {
		s.streams <- struct{}{}
	}
	w := askOf(s, onSocket, "GET", "/v1/events")
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "too many pages") {
		t.Errorf("answer is %d %s", w.Code, w.Body)
	}
	<-s.streams
	if w := askOf(s, onSocket, "GET", "/v1/events"); w.Code != http.StatusOK || len(s.streams) != maxStreams-1 {
		t.Errorf("answer is %d with %d streams left open", w.Code, len(s.streams))
	}
}
