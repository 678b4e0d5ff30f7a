package station

import (
	"fmt"
	"net/http"

	"tapward/gateway/policy"
)

// route is one line of the table that says who may do what.
type route struct {
	pattern string // method and path
	right   right
	body    int64 // most bytes of a request's body
	do      http.HandlerFunc
}

const small = 16 << 10

// table is everything the station answers, on the page's port and on the socket alike.
func (s *Station) table(ending <-chan struct{}) []route {
	return []route{
		{"GET /{$}", view, 0, s.showWard},
		{"GET /events", view, 0, s.stream(ending, s.fragments)},
		{"GET /takeover", takeOver, 0, s.chooseReader},
		{"POST /takeover", takeOver, small, s.armFromPage},
		{"GET /station.css", view, 0, asset("station.css", "text/css; charset=utf-8")},
		{"GET /station.js", view, 0, asset("station.js", "text/javascript; charset=utf-8")},

		{"GET /v1/ward", view, 0, s.getWard},
		{"GET /v1/events", view, 0, s.stream(ending, pictures)},
		{"GET /v1/log", operate, 0, s.getLog},
		{"POST /v1/takeover", takeOver, small, s.postTakeOver},
		{"POST /v1/phones", operate, small, s.postPhone},
		{"DELETE /v1/phones/{id}", operate, 0, s.deletePhone},
		{"POST /v1/phones/{id}/release", operate, 0, s.postRelease},
		{"POST /v1/policy", operate, policy.MaxDocument, s.postPolicy},
	}
}

// handler serves the table. Streams end when ending is closed.
func (s *Station) handler(ending <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.table(ending) {
		mux.Handle(r.pattern, r)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, fmt.Sprintf("there is no %s %s here", r.Method, r.URL.Path))
	})
	return s.guard(mux)
}

// ServeHTTP lets a request through to its route where the caller has the right.
func (t route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if callerOf(r.Context()).may&t.right == 0 {
		writeProblem(w, http.StatusForbidden, refusedRight[t.right])
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, t.body)
	t.do(w, r)
}

var refusedRight = map[right]string{
	view:     "only people at the box may look at this",
	takeOver: "a phone is taken over at the station itself, not from another machine",
	operate:  "this is done on the box itself, with the tapward command",
}
