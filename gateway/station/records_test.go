package station

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tapward/gateway/audit"
)

// fakeRecords gives count records and then fails, or ends.
type fakeRecords struct {
	count int
	fail  error
	asked audit.Filter
	left  chan struct{} // closed when whoever reads has gone before the end
}

func (f *fakeRecords) Backwards(_ context.Context, asked audit.Filter) iter.Seq2[audit.Sealed, error] {
	f.asked = asked
	return func(yield func(audit.Sealed, error) bool) {
		for i := range f.count {
			if !yield(recordNumber(i), nil) {
				close(f.left)
				return
			}
		}
		if f.fail != nil {
			yield(audit.Sealed{}, f.fail)
		}
	}
}

func recordNumber(n int) audit.Sealed {
	return audit.Sealed{
		Index: int64(n), Leaf: []byte(strings.Repeat("\x00\xff", 100)),
		Openings: []audit.Opening{{Field: audit.Clinician, Salt: [audit.SaltSize]byte{1, 2, 3}, Value: []byte("c-made-up")}},
	}
}

// openRecords serves records on a unix socket.
func openRecords(t *testing.T, f *fakeRecords) *Client {
	t.Helper()
	f.left = make(chan struct{})
	socket := filepath.Join(t.TempDir(), "api")
	s := New(newFake(emptyWard(time.Now())), f, nil, slog.New(slog.DiscardHandler))
	serve(t, s, nil, tls.Certificate{}, listen(t, "unix", socket))
	return NewClient(socket)
}

func TestRecordsComeAsTheyStandInTheLog(t *testing.T) {
	f := &fakeRecords{count: 3}
	c := openRecords(t, f)
	asked := audit.Filter{Phone: "phone-1", Reader: "a&b", Kind: "session.opened", Since: time.Unix(1_700_000_000, 42).UTC()}
	var got []audit.Sealed
	for r, err := range c.Backwards(t.Context(), asked) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	if want := []audit.Sealed{recordNumber(0), recordNumber(1), recordNumber(2)}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if f.asked != asked {
		t.Errorf("the log was asked for %+v, want %+v", f.asked, asked)
	}
}

func TestRecordsEndWhenTheReaderHasEnough(t *testing.T) {
	f := &fakeRecords{count: 1 << 30}
	c := openRecords(t, f)
	for r, err := range c.Backwards(t.Context(), audit.Filter{}) {
		if err != nil || r.Index == 4 {
			break
		}
	}
	<-f.left
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		client *Client
		want   string
	}{
		"the log fails":      {openRecords(t, &fakeRecords{count: 2, fail: errors.New("record 9: torn; verify the log")}), "record 9: torn"},
		"the box breaks off": {NewClient(breaksOff(t)), "the box broke off"},
		"there is no box":    {NewClient(filepath.Join(t.TempDir(), "none")), "is tapwardd running"},
	} {
		var last error
		for _, err := range c.client.Backwards(t.Context(), audit.Filter{}) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, last, c.want)
		}
	}
}

// breaksOff answers one request with a whole record and no end.
func breaksOff(t *testing.T) (socket string) {
	socket = filepath.Join(t.TempDir(), "api")
	l := listen(t, "unix", socket)
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		answerHalf(c)
	}()
	return socket
}

func answerHalf(c net.Conn) {
	io.ReadAtLeast(c, make([]byte, 4096), 1)
	fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+`{"record":{"Index":1,"Leaf":"","Openings":null}}`+"\n")
}

func TestUnknownFilterIsExplained(t *testing.T) {
	for target, words := range map[string]string{"/v1/log?colour=red": "colour", "/v1/log?since=today": "since"} {
		w := ask(t, newFake(emptyWard(time.Now())), onSocket, "GET", target, "")
		if w.Code != 400 || !strings.Contains(w.Body.String(), words) {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}
