package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/station"
	"tapward/gateway/store"
)

// until waits for a picture of the ward at the station; what says what it should show.
func (t *tale) until(ctx context.Context, what string, asked func(*gateway.Ward) bool) (*gateway.Ward, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return t.await(ctx, what, asked)
}

// await is until, for as long as ctx lasts.
func (t *tale) await(ctx context.Context, what string, asked func(*gateway.Ward) bool) (*gateway.Ward, error) {
	w, err := await(ctx, t.box, asked)
	if err != nil {
		return nil, fmt.Errorf("the station does not show that %s: %w; it shows %s", what, err, t.now())
	}
	return w, nil
}

// now is the ward in a line, for a message.
func (t *tale) now() string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	w, err := t.box.Ward(ctx)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, p := range w.Phones {
		fmt.Fprintf(&b, "%s %s %q linked=%t reason=%s; ", p.ID, p.Phase, p.Holder, p.Linked, p.Reason)
	}
	for _, r := range w.Readers {
		fmt.Fprintf(&b, "%s %s; ", r.ID, r.State)
	}
	fmt.Fprintf(&b, "hub %s, %d of %d records wait, %s; ", w.Uplink.State, w.Waiting, w.Log.Size, w.Why)
	for _, tap := range w.Taps[:min(len(w.Taps), 2)] {
		fmt.Fprintf(&b, "tap at %s: %s %s; ", tap.Reader, tap.Signal, tap.Reason)
	}
	return b.String()
}

// holds waits until somebody's session is open on a phone, confirmed by it, and says which.
func (t *tale) holds(ctx context.Context, name string) (gateway.PhoneID, error) {
	var held gateway.PhoneID
	_, err := t.until(ctx, name+" holds a phone", func(w *gateway.Ward) bool {
		for _, p := range w.Phones {
			if p.Holder == name && p.Phase == "bound" && !p.Locked {
				held = p.ID
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", err
	}
	return held, t.shows(ctx, held, name)
}

// free waits until a phone is free.
func (t *tale) free(ctx context.Context, id gateway.PhoneID) error {
	_, err := t.until(ctx, string(id)+" is free", func(w *gateway.Ward) bool { return phoneOf(w, id).Phase == "free" })
	return err
}

// answered waits until the newest tap at a reader came to this, and returns the first picture that shows it.
func (t *tale) answered(ctx context.Context, reader gateway.ReaderID, signal gateway.Signal, reason gateway.Reason) (*gateway.Ward, error) {
	what := fmt.Sprintf("the tap at %s was answered by %s, %s", reader, signal, reason)
	return t.until(ctx, what, func(w *gateway.Ward) bool {
		return len(w.Taps) > 0 && w.Taps[0].Reader == reader && w.Taps[0].Signal == signal && w.Taps[0].Reason == reason
	})
}

// is waits until a reader is in a state.
func (t *tale) is(ctx context.Context, reader gateway.ReaderID, state gateway.ReaderState) error {
	_, err := t.until(ctx, fmt.Sprintf("reader %s is %s", reader, state), func(w *gateway.Ward) bool {
		for _, r := range w.Readers {
			if r.ID == reader {
				return r.State == state
			}
		}
		return false
	})
	return err
}

// shows checks that a phone's own screen shows a name, as its holder sees it.
func (t *tale) shows(ctx context.Context, id gateway.PhoneID, name string) error {
	return t.screen(ctx, id, func(page string) bool { return strings.Contains(page, name) }, "does not show "+name)
}

// hides checks that a phone's own screen shows nobody of the ward.
func (t *tale) hides(ctx context.Context, id gateway.PhoneID) error {
	return t.screen(ctx, id, func(page string) bool {
		for _, p := range staff {
			if strings.Contains(page, p.name) {
				return false
			}
		}
		return true
	}, "still shows a name")
}

// screen looks at a phone's page until it is right; the phone confirms to the box before it draws.
func (t *tale) screen(ctx context.Context, id gateway.PhoneID, right func(page string) bool, wrong string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		page, err := get(ctx, http.DefaultClient, t.place.Pages[string(id)])
		if err == nil && right(page) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the screen of %s %s (%v)", id, wrong, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// station reads the station page over TLS, with the box's certificate pinned.
func (t *tale) station(ctx context.Context) (string, error) {
	certificate, err := os.ReadFile(filepath.Join(boxFolder(t.ward.Dir), station.CertificateFile))
	if err != nil {
		return "", err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}}
	defer client.CloseIdleConnections()
	return get(ctx, client, t.place.Station)
}

func get(ctx context.Context, client *http.Client, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return string(page), err
}

// database is the box's, with the log.
func (t *tale) database() string { return filepath.Join(boxFolder(t.ward.Dir), store.DatabaseFile) }

// logged checks that the log holds a record as asked for.
func (t *tale) logged(ctx context.Context, what string, asked func(gateway.Record) bool) error {
	records, err := readLog(ctx, t.database())
	if err != nil {
		return err
	}
	for _, r := range records {
		if asked(r) {
			return nil
		}
	}
	return fmt.Errorf("the log holds no record that %s", what)
}

// readLog is every record of a log with what names people, oldest first.
func readLog(ctx context.Context, path string) ([]gateway.Record, error) {
	c, err := store.OpenCopy(ctx, path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	epochs, err := c.Epochs(ctx)
	if err != nil {
		return nil, err
	}
	var all []gateway.Record
	for _, e := range epochs {
		leaves, err := c.Leaves(ctx, e.Number, 0, int(e.Size))
		if err != nil {
			return nil, err
		}
		for _, sealed := range leaves {
			leaf, err := audit.Decode(sealed.Leaf)
			if err != nil {
				return nil, err
			}
			if leaf, _, err = leaf.Reveal(sealed.Openings); err != nil {
				return nil, err
			}
			all = append(all, leaf.Entry.Record)
		}
	}
	return all, nil
}
