package upstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

func connected(s upstream.State) bool { return s.Connected }

var receipt = uplink.BucketSubject(uplink.ReceiptBucket, address.Key())

func watched(t *testing.T, c *upstream.Client, deliver func(upstream.Message)) {
	run(t, func(ctx context.Context) error {
		return c.Watch(ctx, deliver, upstream.Entry{Bucket: uplink.ReceiptBucket, Key: address.Key()})
	})
}

// What was published while the box was cut off is read after the connect, and only the newest of it.
func TestWatchReadsWhatWasMissed(t *testing.T) {
	s := newSite(t)
	srv := s.serve(t)
	js := hub(t, srv)
	c := s.client(t, nil)
	heard := make(chan upstream.Message, 16)
	watched(t, c, func(m upstream.Message) { heard <- m })
	until(t, c, "connected", connected)
	_, err := js.Publish(receipt, []byte("one"))
	must(t, err)
	if m := wait(t, "one", heard); string(m.Payload) != "one" {
		t.Fatalf("heard %+v", m)
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	until(t, c, "cut off", func(s upstream.State) bool { return !s.Connected })

	// The hub publishes before any box is back: without a listener, as after a power cut of everything.
	port := s.port
	s.port = 0
	s.port = freePort(t)
	srv = s.serve(t)
	js = hub(t, srv)
	for _, v := range []string{"two", "three", "four"} {
		_, err := js.Publish(receipt, []byte(v))
		must(t, err)
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	s.port = port
	s.serve(t)
	if m := wait(t, "what was missed", heard); string(m.Payload) != "four" || m.Sequence != 4 || m.At.IsZero() {
		t.Fatalf("heard %+v", m)
	}
	until(t, c, "connected again", connected)
	if len(heard) > 0 {
		t.Fatalf("heard besides: %+v", <-heard)
	}
}

// A receiver that is busy gets the newest next, not all that came meanwhile.
func TestWatchKeepsOnlyTheNewest(t *testing.T) {
	s := newSite(t)
	js := hub(t, s.serve(t))
	c := s.client(t, nil)
	until(t, c, "connected", connected)
	entered, leave, got := make(chan bool, 64), make(chan bool), make(chan string, 64)
	watched(t, c, func(m upstream.Message) {
		entered <- true
		<-leave
		got <- string(m.Payload)
	})
	_, err := js.Publish(receipt, []byte("first"))
	must(t, err)
	wait(t, "the first", entered)
	for i := range 50 {
		_, err := js.Publish(receipt, []byte(strconv.Itoa(i)))
		must(t, err)
	}
	// What the client heard is in its hands once it answered something asked on the same connection afterwards.
	_, err = c.Last(t.Context(), uplink.BucketStream(uplink.ReceiptBucket), receipt)
	must(t, err)
	close(leave)
	count := 0
	for v := wait(t, "a value", got); v != "49"; v = wait(t, "the newest", got) {
		count++
	}
	if count > 10 {
		t.Fatalf("%d older values were delivered", count)
	}
}

func TestLastSaysThatThereIsNone(t *testing.T) {
	s := newSite(t)
	hub(t, s.serve(t))
	c := s.client(t, nil)
	if _, err := c.Last(t.Context(), uplink.AuditStream, address.AuditSubject()); !errors.Is(err, upstream.ErrNone) {
		t.Fatalf("newest of nothing: %v", err)
	}
	until(t, c, "connected", connected)
}

// A broker without its streams is no hub: the connection stands, but nothing can be read back.
func TestConnectedIsProvedByReadingBack(t *testing.T) {
	s := newSite(t)
	srv := s.serve(t)
	c := s.client(t, nil)
	until(t, c, "not taken for connected", func(s upstream.State) bool { return strings.Contains(s.Why, "does not answer for its streams") })
	hub(t, srv)
	until(t, c, "connected", connected)
}

func TestCutOffInWords(t *testing.T) {
	s, other := newSite(t), newSite(t)
	hub(t, s.serve(t))
	old := s.issue(t, "b1", time.Now().Add(-time.Minute))
	foreign := other.issue(t, "b1", time.Now().Add(time.Hour))
	for want, certificate := range map[string]func() (*tls.Certificate, error){
		"refused by the hub: this box's certificate has expired (its certificate ended at": func() (*tls.Certificate, error) { return old, nil },
		"refused by the hub: this box's certificate is not one of its CA":                  func() (*tls.Certificate, error) { return foreign, nil },
		"no certificate yet": func() (*tls.Certificate, error) { return nil, errors.New("no certificate yet") },
	} {
		c := s.client(t, certificate)
		until(t, c, want, func(s upstream.State) bool { return strings.Contains(s.Why, want) })
		if _, err := c.Publish(t.Context(), address.AuditSubject(), nil, []byte("x"), 0); err == nil {
			t.Errorf("%s: published", want)
		}
	}
	impostor := &site{key: s.key, ca: s.ca, pool: other.pool, port: s.port}
	until(t, impostor.client(t, nil), "not taken for the hub", func(s upstream.State) bool {
		return strings.Contains(s.Why, "this is not the hospital's broker")
	})
	nobody := &site{key: s.key, ca: s.ca, pool: s.pool, port: freePort(t)}
	until(t, nobody.client(t, nil), "not reached", func(s upstream.State) bool { return strings.Contains(s.Why, "cannot be reached") })
}

func TestMethodsWaitForRun(t *testing.T) {
	s := newSite(t)
	c, err := upstream.New(upstream.Config{Address: address, URLs: []string{"tls://127.0.0.1:1"}, Roots: s.pool,
		Certificate: func() (*tls.Certificate, error) { return nil, errors.New("none") }}, nil)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Publish(ctx, address.AuditSubject(), nil, nil, 0); !errors.Is(err, upstream.ErrCutOff) {
		t.Fatalf("before Run: %v", err)
	}
	c.Renewed()
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, config := range map[string]upstream.Config{
		"no address": {URLs: []string{"tls://x"}}, "no broker": {Address: address},
	} {
		if _, err := upstream.New(config, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
