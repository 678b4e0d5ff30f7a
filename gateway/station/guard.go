package station

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// contentPolicy lets the page use its own style and script and nothing else, from nowhere else, inside nothing.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard keeps strange web sites out and tells browsers to keep nothing.
func (s *Station) guard(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if callerOf(r.Context()).network && !s.knows(r.Host) {
			writeProblem(w, http.StatusMisdirectedRequest, "this box does not go by that name; use its address, or add the name to its configuration")
			return
		}
		if err := origins.Check(r); err != nil {
			writeProblem(w, http.StatusForbidden, "this request came from another web site and was refused")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knows says that a Host header names this box. A web site that rebinds its own name to the box's address cannot pass;
// an address in numbers cannot be rebound.
func (s *Station) knows(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return s.names[canonical(host)]
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
