package lockscreen

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"tapward/gateway/phone/agent"
)

// Phone is what the page shows; agent.Agent is one.
type Phone interface {
	View() (v agent.View, changed <-chan struct{})
	Left(agent.View) time.Duration
	Gesture(ctx context.Context, g agent.Gesture) error
}

// Page serves one phone's lock screen.
type Page struct {
	Phone Phone
	Play  bool // show buttons that play the phone's body, for demonstrations
	Log   *slog.Logger
}

//go:embed page.html screen.css screen.js
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html"))

// Handler serves the page to browsers on this machine only: a request under another name or from another site's page
// is refused.
func (p Page) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /events", p.events)
	mux.HandleFunc("GET /screen.css", asset("screen.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /screen.js", asset("screen.js", "text/javascript; charset=utf-8"))
	if p.Play {
		mux.HandleFunc("POST /gesture", p.gesture)
	}
	return local(http.NewCrossOriginProtection().Handler(mux))
}

// local refuses names that are not this machine's own, so that no other site's name can be pointed here (DNS rebinding).
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); ip == nil && host != "localhost" {
			http.Error(w, "ask for this page by localhost or an address", http.StatusForbidden)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func asset(name, kind string) http.HandlerFunc {
	content, err := fs.ReadFile(files, name)
	if err != nil {
		panic(err) // embedded
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Write(content)
	}
}

func (p Page) show(w http.ResponseWriter, _ *http.Request) {
	v, _ := p.Phone.View()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(p.render("page", v))
}

func (p Page) render(name string, v agent.View) []byte {
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, name, p.draw(v)); err != nil {
		p.Log.Error("draw lock screen", "err", err)
	}
	return b.Bytes()
}

// events sends the screen whenever it changed, and the time left every second.
func (p Page) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		v, changed := p.Phone.View()
		if !event(w, "screen", p.render("screen", v)) || stream.Flush() != nil {
			return
		}
		for current := true; current; {
			select {
			case <-r.Context().Done():
				return
			case <-changed:
				current = false
			case <-second.C:
				if !event(w, "left", []byte(left(p.Phone.Left(v)))) || stream.Flush() != nil {
					return
				}
			}
		}
	}
}

// event writes one server-sent event (WHATWG HTML 9.2).
func event(w http.ResponseWriter, name string, body []byte) bool {
	lines := strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "\ndata: ")
	_, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, lines)
	return err == nil
}

func (p Page) gesture(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	g := agent.Gesture{Do: r.PostFormValue("do"), With: r.PostFormValue("with")}
	if err := p.Phone.Gesture(r.Context(), g); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
