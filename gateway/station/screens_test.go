//go:build screens

package station

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"tapward/gateway"
)

var (
	screens = flag.String("screens", "", "directory for the pictures")
	readme  = flag.String("picture", "", "file for the picture in the README")
)

// sizes are a wall's screen, a nursing PC's, one on its side, and a phone's.
var sizes = [][2]int64{{1920, 1080}, {1280, 800}, {800, 1280}, {390, 844}}

// TestScreens opens the real page in a real browser: go test -tags screens -run Screens ./gateway/station -screens DIR
func TestScreens(t *testing.T) {
	if *screens == "" {
		*screens = t.TempDir()
	}
	now := time.Now()
	engine := newFake(busyWard(now))
	url := serveForBrowser(t, engine)
	browser := openBrowser(t)
	for _, w := range []struct {
		name string
		ward *gateway.Ward
		path string
	}{
		{"busy", busyWard(now), "/"}, {"empty", emptyWard(now), "/"}, {"troubled", troubledWard(now), "/"},
		{"refused", refusedWard(now), "/"}, {"armed", busyWard(now), "/"}, {"choose", busyWard(now), "/takeover?phone=phone-01"},
	} {
		engine.show(w.ward)
		if w.name == "armed" {
			engine.arm(time.Now().Add(time.Minute))
		}
		for _, size := range sizes {
			for _, scheme := range []string{"light", "dark"} {
				file := filepath.Join(*screens, fmt.Sprintf("%s-%dx%d-%s.png", w.name, size[0], size[1], scheme))
				shoot(t, browser, url+w.path, file, size, scheme)
				if w.name == "busy" && size[0] == 1280 && scheme == "light" && *readme != "" {
					shoot(t, browser, url+w.path, *readme, size, scheme)
				}
			}
		}
	}
}

// The page's own script, under the page's own content policy, puts in what the box sends and cancels on any input.
func TestBrowserFollowsTheWard(t *testing.T) {
	now := time.Now()
	engine := newFake(emptyWard(now))
	url := serveForBrowser(t, engine)
	browser := openBrowser(t)
	run(t, browser, chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS(".empty")))
	engine.show(busyWard(now))
	run(t, browser, chromedp.WaitVisible(chromedp.CSS("#take-phone-01")), chromedp.Focus(chromedp.CSS("#take-phone-01")))
	changed := busyWard(now)
	changed.Phones[1] = changed.Phones[0]
	changed.Phones[1].ID = "phone-02"
	engine.show(changed)
	run(t, browser, chromedp.WaitVisible(chromedp.CSS("#take-phone-02")))
	if focused := value(t, browser, chromedp.Evaluate[string]("document.activeElement.id")); focused != "take-phone-01" {
		t.Errorf("after an update %q has the focus", focused)
	}
	engine.arm(time.Now().Add(time.Minute))
	run(t, browser, chromedp.WaitVisible(chromedp.CSS("#disarm")), chromedp.KeyEvent("x"))
	wait(t, browser, func() bool { return len(engine.acts()) == 1 })
	if got := engine.acts()[0]; got != (done{"station", gateway.TakeOver{Reader: "desk"}}) {
		t.Errorf("a key press did %+v", got)
	}
}

// A page that has lost the box says so, greys what it still shows, and is live again by itself.
func TestBrowserSaysThatTheBoxIsLost(t *testing.T) {
	if *screens == "" {
		*screens = t.TempDir()
	}
	certificate, err := Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	station := New(newFake(busyWard(time.Now())), nil, nil, slog.New(slog.DiscardHandler))
	l := listen(t, "tcp", "127.0.0.1:0")
	stop := serve(t, station, l, certificate, nil)
	browser := openBrowser(t)
	for _, size := range sizes {
		run(t, browser, chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate("https://"+l.Addr().String()), live)
		stop()
		run(t, browser, chromedp.WaitVisible(chromedp.CSS(".lost #lost")))
		if shown := value(t, browser, chromedp.Evaluate[int]("[...document.querySelectorAll('.act, .now')].filter(e => e.checkVisibility()).length")); shown != 0 {
			t.Errorf("a page that has lost the box still shows %d clocks and buttons", shown)
		}
		save(t, browser, filepath.Join(*screens, fmt.Sprintf("lost-%dx%d-light.png", size[0], size[1])))
		stop = serve(t, station, listen(t, "tcp", l.Addr().String()), certificate, nil)
		run(t, browser, live)
	}
}

// live waits until the page shows its clock: until it has the box.
var live = chromedp.WaitVisible(chromedp.CSS("body:not(.lost) .now"))

// wait polls from the browser's side, a frame at a time.
func wait(t *testing.T, browser context.Context, until func() bool) {
	t.Helper()
	for !until() {
		value(t, browser, chromedp.Evaluate[int]("1"))
	}
}

func serveForBrowser(t *testing.T, engine Engine) string {
	t.Helper()
	certificate, err := Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, New(engine, nil, nil, slog.New(slog.DiscardHandler)), l, certificate, nil)
	return "https://" + l.Addr().String()
}

func openBrowser(t *testing.T) context.Context {
	t.Helper()
	limit, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors", true))
	allocator, stop := chromedp.NewExecAllocator(limit, options...)
	browser, end := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(browser)
		end()
		stop()
		cancel()
	})
	return browser
}

func shoot(t *testing.T, browser context.Context, url, file string, size [2]int64, scheme string) {
	t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	run(t, browser,
		chromedp.EmulateViewport(size[0], size[1]),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, media)
			return err
		}),
		chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("h1")))
	save(t, browser, file)
}

func save(t *testing.T, browser context.Context, file string) {
	t.Helper()
	png := value(t, browser, chromedp.CaptureScreenshot())
	if len(png) < 10_000 {
		t.Errorf("%s has %d bytes: nothing was painted", file, len(png))
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, browser context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(browser, steps...); err != nil {
		t.Fatal(err)
	}
}

func value[T any](t *testing.T, browser context.Context, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(browser, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refusedWard is a quiet ward on which somebody was refused.
func refusedWard(now time.Time) *gateway.Ward {
	w := busyWard(now)
	w.Phones = w.Phones[:3]
	w.Policy.Signed = true
	w.Taps[0] = gateway.WardTap{At: now.Add(-5 * time.Second), Reader: "door", Signal: gateway.Refused, Reason: gateway.UnknownBadge}
	return w
}
