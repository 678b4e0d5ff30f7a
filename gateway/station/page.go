package station

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"tapward/gateway"
)

//go:embed page
var files embed.FS

// pages are the templates: "page" is the ward, "choose" asks where a take-over's tap will come, and each of fragments
// is a part of "page" that is sent again when it changes.
var pages = template.Must(template.ParseFS(files, "page/*.tmpl"))

// fragments are in the order of the page. Each is the inside of the element with that id.
var fragments = []string{"header", "banners", "armed", "latest", "phones", "taps", "readers", "candidates", "box"}

func asset(name, kind string) http.HandlerFunc {
	text, err := files.ReadFile("page/" + name)
	if err != nil {
		panic(err) // embedded: the program was built wrong
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(text)
	}
}

func (s *Station) showWard(w http.ResponseWriter, r *http.Request) {
	s.page(w, r, http.StatusOK, "")
}

// page writes the ward, with a notice above it where one is given.
func (s *Station) page(w http.ResponseWriter, r *http.Request, status int, notice string) {
	ward, _ := s.engine.Ward()
	p := picture(ward, time.Now(), callerOf(r.Context()).may)
	p.Notice = notice
	s.write(w, status, "page", p)
}

func (s *Station) write(w http.ResponseWriter, status int, name string, v any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		s.log.Error("render the page", "template", name, "error", err)
		writeProblem(w, http.StatusInternalServerError, "the page could not be made")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// fragments makes the render of a live page: whatever part of it changed since it was last sent, as {id, html}.
func (s *Station) fragments(who caller) render {
	sent := map[string]string{}
	return func(w *gateway.Ward, now time.Time) ([]event, error) {
		p := picture(w, now, who.may)
		var out []event
		for _, id := range fragments {
			var html bytes.Buffer
			if err := pages.ExecuteTemplate(&html, id, p); err != nil {
				return nil, err
			}
			if before, ok := sent[id]; ok && before == html.String() {
				continue
			}
			sent[id] = html.String()
			text, err := json.Marshal(struct {
				ID   string `json:"id"`
				HTML string `json:"html"`
			}{id, html.String()})
			if err != nil {
				return nil, err
			}
			out = append(out, event{"fragment", string(text)})
		}
		return out, nil
	}
}

// chooseReader asks at which reader the badge will be tapped.
func (s *Station) chooseReader(w http.ResponseWriter, r *http.Request) {
	ward, _ := s.engine.Ward()
	p := picture(ward, time.Now(), callerOf(r.Context()).may)
	id := r.URL.Query().Get("phone")
	for _, c := range p.Phones {
		if c.ID == id && c.TakeOver {
			s.write(w, http.StatusOK, "choose", struct {
				Ward  shown
				Phone card
			}{p, c})
			return
		}
	}
	s.page(w, r, http.StatusNotFound, fmt.Sprintf("Phone %.64q cannot be taken over now.", id))
}

// armFromPage takes the form of either page: with a phone it arms the reader, without one it disarms it.
func (s *Station) armFromPage(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	if err != nil && !is[*http.MaxBytesError](err) {
		err = badRequest{"The form could not be read."}
	}
	if err == nil {
		err = s.act(r, gateway.TakeOver{
			Reader: gateway.ReaderID(r.PostForm.Get("reader")), Phone: gateway.PhoneID(r.PostForm.Get("phone")),
		})
	}
	if err != nil {
		s.page(w, r, statusOf(err), wordsOf(err))
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
