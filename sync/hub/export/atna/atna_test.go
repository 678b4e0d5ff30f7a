package atna_test

import (
	"bytes"
	"encoding/xml"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"tapward/gateway"
	"tapward/sync/hub/export"
	"tapward/sync/hub/export/atna"
	"tapward/sync/hub/export/exporttest"
)

// TestRepositoryUnderstandsEveryRecord sends records of every kind, and wild ones, to rsyslogd over each of its TLS drivers.
func TestRepositoryUnderstandsEveryRecord(t *testing.T) {
	for _, driver := range []string{"gtls", "ossl"} {
		t.Run(driver, func(t *testing.T) {
			c, all := newCA(t), exporttest.Every(t)
			receiver := startRsyslog(t, c, driver, t.TempDir(), "0")
			s := &atna.Syslog{Address: receiver.address, TLS: c.client(t, "hub.example"), Host: "hub.example"}
			defer s.Close()
			for len(all) > 0 {
				n := min(50, len(all))
				if answers, err := s.Deliver(t.Context(), all[:n]); err != nil || len(answers) != n {
					t.Fatal(len(answers), err)
				}
				all = all[n:]
			}
			all = exporttest.Every(t)
			until(t, "all messages", func() bool { return len(receiver.messages(t)) >= len(all) })
			for i, p := range receiver.messages(t) {
				if p.PRI != "85" || p.ID != "IHE+RFC-3881" || p.Host != "hub.example" || p.App != "tapward-hub" {
					t.Fatalf("the repository understood %+v", p)
				}
				text, hasBOM := strings.CutPrefix(p.Message, "\ufeff")
				var m atna.Message
				if err := xml.Unmarshal([]byte(text), &m); err != nil || !hasBOM {
					t.Fatalf("%v: %q", err, p.Message)
				}
				want := atna.Project(all[i])
				want.XMLName = m.XMLName
				if !reflect.DeepEqual(m, want) {
					t.Fatalf("%s arrived as %+v, want %+v", all[i].Name(), m, want)
				}
				for _, secret := range []string{exporttest.Name, exporttest.Words, exporttest.Receipt} {
					if strings.Contains(p.Message, secret) {
						t.Errorf("%s tells %q", all[i].Kind(), secret)
					}
				}
			}
		})
	}
}

// TestRepositoryThatDoesNotWantUs has the refusal told, although the handshake looks done.
func TestRepositoryThatDoesNotWantUs(t *testing.T) {
	c := newCA(t)
	receiver := startRsyslog(t, c, "gtls", t.TempDir(), "0")
	all := exporttest.Every(t)[:1]
	for what, config := range map[string]*atna.Syslog{
		"a foreign name": {TLS: c.client(t, "stranger.example")},
		"no certificate": {TLS: c.client(t, "")},
		"a foreign CA":   {TLS: newCA(t).client(t, "hub.example")},
		"nobody there":   {TLS: c.client(t, "hub.example"), Address: "127.0.0.1:1"},
	} {
		if config.Address == "" {
			config.Address = receiver.address
		}
		if answers, err := config.Deliver(t.Context(), all); err == nil || len(answers) != 0 {
			t.Errorf("%s: %d answers, %v", what, len(answers), err)
		} else {
			t.Logf("%s: %v", what, err)
		}
	}
	if got := receiver.messages(t); len(got) != 0 {
		t.Errorf("the repository took %d messages", len(got))
	}
}

// TestRepositoryComesBack dials again where the repository was restarted. What is sent is never called delivered.
func TestRepositoryComesBack(t *testing.T) {
	c, dir, all := newCA(t), t.TempDir(), exporttest.Every(t)[:3]
	receiver := startRsyslog(t, c, "gtls", dir, "0")
	s := &atna.Syslog{Address: receiver.address, TLS: c.client(t, "hub.example"), MessageID: "DICOM+RFC3881", NoBOM: true}
	defer s.Close()
	if s.Confirms() {
		t.Error("syslog confirms nothing")
	}
	deliver := func(r export.Record) error {
		_, err := s.Deliver(t.Context(), []export.Record{r})
		return err
	}
	if err := deliver(all[0]); err != nil {
		t.Fatal(err)
	}
	until(t, "the first", func() bool { return len(receiver.messages(t)) == 1 })
	receiver.end()
	if err := deliver(all[1]); err == nil {
		t.Error("sent to nobody")
	}
	_, port, _ := strings.Cut(receiver.address, ":")
	receiver = startRsyslog(t, c, "gtls", dir, port)
	if err := deliver(all[1]); err != nil {
		t.Fatal(err)
	}
	until(t, "the second", func() bool { return len(receiver.messages(t)) == 2 })
	if p := receiver.messages(t)[1]; p.ID != "DICOM+RFC3881" || !strings.HasPrefix(p.Message, "<AuditMessage>") {
		t.Errorf("%+v", p)
	}
}

// TestFrame holds a message to the bytes of RFC 5425, and one requestor.
func TestFrame(t *testing.T) {
	for _, r := range exporttest.Every(t) {
		frame, err := (&atna.Syslog{}).Frame(r)
		if err != nil {
			t.Fatal(err)
		}
		length, message, _ := bytes.Cut(frame, []byte(" "))
		if n, err := strconv.Atoi(string(length)); err != nil || n != len(message) || n > 32768 || !bytes.HasPrefix(message, []byte("<85>1 ")) {
			t.Errorf("%s: %q", r.Kind(), frame)
		}
		requestors := 0
		for _, p := range atna.Project(r).Participants {
			if p.Requestor {
				requestors++
			}
		}
		if requestors != 1 {
			t.Errorf("%s: %d asked for it", r.Kind(), requestors)
		}
	}
	r, err := exporttest.Of(1, exporttest.Entry(1, gateway.SessionOpened))
	if err != nil {
		t.Fatal(err)
	}
	m := atna.Project(r)
	if m.Event.ID.Code != "110114" || m.Event.Types[0].Code != "110122" || m.Participants[0].ID != "c-1001" || !m.Participants[0].Requestor {
		t.Errorf("%+v", m)
	}
}
