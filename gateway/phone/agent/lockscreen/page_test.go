package lockscreen_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/agent/lockscreen"
)

// still shows what it is told to.
type still struct {
	mu      sync.Mutex
	view    agent.View
	changed chan struct{}
	made    []agent.Gesture
}

func (s *still) View() (agent.View, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view, s.changed
}

func (s *still) show(v agent.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = v
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *still) Left(v agent.View) time.Duration { return v.LeaseEnd }

func (s *still) Gesture(_ context.Context, g agent.Gesture) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made = append(s.made, g)
	return g.Check()
}

func serve(t *testing.T, play bool, v agent.View) (*still, *httptest.Server) {
	s := &still{view: v, changed: make(chan struct{})}
	server := httptest.NewServer(lockscreen.Page{Phone: s, Play: play, Log: slog.New(slog.DiscardHandler)}.Handler())
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return s, server
}

func get(t *testing.T, address string) string {
	t.Helper()
	r, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestScreens(t *testing.T) {
	for name, c := range map[string]struct {
		view  agent.View
		shown []string
		not   []string
	}{
		"free":     {agent.View{Screen: agent.ScreenFree, Boxes: "west"}, []string{"Tap your badge", "Connected to west"}, []string{"Dialler"}},
		"away":     {agent.View{Screen: agent.ScreenFree}, []string{"Not connected", "take another phone"}, []string{"Tap your badge"}},
		"unlocked": {agent.View{Screen: agent.ScreenUnlocked, Name: "Demo Nurse", LeaseEnd: 75 * time.Minute}, []string{"Demo Nurse", "1:15:00", "Dialler"}, nil},
		"locked": {agent.View{Screen: agent.ScreenLocked, Name: "Demo Nurse", Why: gateway.IdleLock.Sentence()},
			[]string{"Demo Nurse", "held by", "Tap your badge to go on", "nobody used the phone", "Dialler"}, []string{"role=\"timer\""}},
		"limit":          {agent.View{Screen: agent.ScreenLocked, Name: "Demo Nurse", Why: gateway.LimitReached.Sentence()}, []string{"Tap to start a new one"}, []string{"to go on"}},
		"clearing":       {agent.View{Screen: agent.ScreenClearing}, []string{"Clearing"}, []string{"Dialler"}},
		"preparing":      {agent.View{Screen: agent.ScreenPreparing, Name: "Demo Nurse"}, []string{"Demo Nurse", "being prepared"}, []string{"Unlocked"}},
		"out of service": {agent.View{Screen: agent.ScreenOutOfService}, []string{"Out of service", "Do not use"}, []string{"Tap your badge"}},
		"a hostile name": {agent.View{Screen: agent.ScreenUnlocked, Name: "<script>alert(1)</script>"}, []string{"&lt;script&gt;"}, []string{"<script>alert"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, server := serve(t, false, c.view)
			body := get(t, server.URL+"/")
			for _, words := range c.shown {
				if !strings.Contains(body, words) {
					t.Errorf("%q is not shown", words)
				}
			}
			for _, words := range append(c.not, "Play this phone") {
				if strings.Contains(body, words) {
					t.Errorf("%q is shown", words)
				}
			}
		})
	}
}

func TestEventsFollowThePhone(t *testing.T) {
	s, server := serve(t, false, agent.View{Screen: agent.ScreenFree, Boxes: "west"})
	r, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	until := func(words string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), words) {
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", words, lines.Err())
	}
	until("Tap your badge")
	s.show(agent.View{Screen: agent.ScreenUnlocked, Name: "Demo Nurse", LeaseEnd: 90 * time.Second})
	until("Demo Nurse")
	until("event: left")
	until("data: 1:30")
}

func TestWhoMayAsk(t *testing.T) {
	s, server := serve(t, true, agent.View{Screen: agent.ScreenFree})
	if !strings.Contains(get(t, server.URL+"/"), "Play this phone") {
		t.Error("no buttons to play the phone")
	}
	ask := func(method, host, origin string, form url.Values) int {
		r, err := http.NewRequest(method, server.URL+map[string]string{"GET": "/", "POST": "/gesture"}[method], strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if host != "" {
			r.Host = host
		}
		answer, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	dock := url.Values{"do": {"dock"}, "with": {"3"}}
	for _, c := range []struct {
		what, method, host, origin string
		form                       url.Values
		want                       int
	}{
		{"another site's name", "GET", "rebound.example", "", nil, http.StatusForbidden},
		{"localhost", "GET", "localhost:80", "", nil, http.StatusOK},
		{"another site's form", "POST", "", "http://elsewhere.example", dock, http.StatusForbidden},
		{"our own form", "POST", "", server.URL, dock, http.StatusSeeOther},
		{"a gesture that is none", "POST", "", server.URL, url.Values{"do": {"dance"}}, http.StatusUnprocessableEntity},
	} {
		if got := ask(c.method, c.host, c.origin, c.form); got != c.want {
			t.Errorf("%s: status %d, want %d", c.what, got, c.want)
		}
	}
	if len(s.made) != 2 || s.made[0] != (agent.Gesture{Do: "dock", With: "3"}) {
		t.Errorf("the phone noticed %+v", s.made)
	}
	_, quiet := serve(t, false, agent.View{})
	if r, err := http.PostForm(quiet.URL+"/gesture", dock); err != nil || r.StatusCode < 400 {
		t.Errorf("a gesture where the page plays nothing: %v %v", r.Status, err)
	}
}
