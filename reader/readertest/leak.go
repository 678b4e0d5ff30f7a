package readertest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"

	"tapward/reader"
)

const label = "readertest"

// labelled runs run so that it and every goroutine it begets carry the test's name.
func labelled(ctx context.Context, name string, run func(context.Context, chan<- reader.Event) error,
	out chan<- reader.Event) (err error) {
	pprof.Do(ctx, pprof.Labels(label, name), func(ctx context.Context) { err = run(ctx, out) })
	return err
}

// noneLeft fails the test while goroutines of a run that has returned are left. One that has said it is done may take a
// moment to be gone, so it looks many times before it believes.
func noneLeft(t *testing.T) {
	t.Helper()
	var left string
	for range 10_000 {
		if left = carrying(t.Name()); left == "" {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("goroutines of a run that has returned are left:\n%s", left)
}

// carrying is the part of the goroutine profile that carries the label.
func carrying(name string) string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		panic(err) // a buffer takes everything
	}
	var found []string
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q:%q", label, name)) {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n")
}
