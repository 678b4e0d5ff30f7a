package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

const metricsAt = "127.0.0.1:9464"

// ask gives the status and the body of a page of the running box's metrics.
func (b *testBox) ask(page string) (int, []byte) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+metricsAt+page, nil)
	b.must(err)
	answer, err := http.DefaultClient.Do(r)
	b.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	b.must(err)
	return answer.StatusCode, text
}

// measures checks that the box is open, and that its metrics have a line for each pattern and nothing of a person.
func (b *testBox) measures(people []person, lines ...string) {
	b.t.Helper()
	for _, page := range []string{"/healthz", "/readyz"} {
		if status, text := b.ask(page); status != http.StatusOK {
			b.t.Errorf("%s answers %d: %s", page, status, text)
		}
	}
	status, text := b.ask("/metrics")
	if status != http.StatusOK {
		b.t.Fatalf("/metrics answers %d: %s", status, text)
	}
	for _, line := range lines {
		if !regexp.MustCompile("(?m)^" + line).Match(text) {
			b.t.Errorf("no metric says %q:\n%s", line, text)
		}
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		b.t.Errorf("the metrics are not as Prometheus wants them: %+v, %v", problems, err)
	}
	for _, p := range people {
		for _, secret := range []string{string(p.ID), p.Name, p.Keys[0].String(), p.Keys[1].String()} {
			if strings.Contains(string(text), secret) {
				b.t.Errorf("the metrics name a person:\n%s", text)
			}
		}
	}
}
