//go:build screens

package demo

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var screens = flag.String("screens", "", "directory for the pictures")

// TestScreens takes pictures of a running ward, as its people see it: go test -tags screens ./cmd/tapward/demo -screens DIR
func TestScreens(t *testing.T) {
	if *screens == "" {
		*screens = t.TempDir()
	}
	w := openWard(t, filepath.Join(t.TempDir(), "ward"))
	for _, typed := range []string{
		"sim tap door ana", "sim phone phone-1 undock", "sim tap dock-1 stranger", "sim tap med-room ben", "sim phone phone-3 battery 12",
	} {
		if said, code := w.do(strings.Fields(typed)...); code != 0 {
			t.Fatalf("%s: %s", typed, said)
		}
	}
	browser := openBrowser(t)
	for _, s := range []struct {
		name, url string
		width     int64
		height    int64
		want      string
	}{
		{"ward-station", w.url("Station"), 1280, 800, "Ana Demo"},
		{"ward-phone-held", w.url("phone-1"), 412, 892, "Ana Demo"},
		{"ward-phone-free", w.url("phone-3"), 412, 892, "Tap your badge"},
	} {
		var text string
		png := shoot(t, browser, s.url, s.width, s.height, &text)
		if !strings.Contains(text, s.want) {
			t.Errorf("%s does not show %q but %q", s.name, s.want, text)
		}
		if err := os.WriteFile(filepath.Join(*screens, s.name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if code := w.interrupt(); code != 0 {
		t.Errorf("exit status %d after Ctrl-C: %s", code, w.stderr.String())
	}
}

// url is the word after a name on the ward's screen.
func (r *running) url(name string) string { return r.screen[slices.Index(r.screen, name)+1] }

func openBrowser(t *testing.T) context.Context {
	t.Helper()
	limit, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors", true))
	allocator, stop := chromedp.NewExecAllocator(limit, options...)
	browser, end := chromedp.NewContext(allocator)
	t.Cleanup(func() { chromedp.Cancel(browser); end(); stop(); cancel() })
	return browser
}

func shoot(t *testing.T, browser context.Context, url string, width, height int64, text *string) []byte {
	t.Helper()
	if err := chromedp.Do(browser, chromedp.EmulateViewport(width, height), chromedp.Navigate(url),
		chromedp.WaitVisible(chromedp.CSS("h1"))); err != nil {
		t.Fatal(err)
	}
	var err error
	if *text, err = chromedp.Run(browser, chromedp.Evaluate[string]("document.body.innerText")); err != nil {
		t.Fatal(err)
	}
	png, err := chromedp.Run(browser, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	return png
}
