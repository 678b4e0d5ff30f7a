package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/reader"
)

func TestSince(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                     {},
		"90m":                  now.Add(-90 * time.Minute),
		"2026-02-01":           time.Date(2026, 2, 1, 0, 0, 0, 0, time.Local),
		"2026-02-01 07:30":     time.Date(2026, 2, 1, 7, 30, 0, 0, time.Local),
		"2026-02-01T07:30:00Z": time.Date(2026, 2, 1, 7, 30, 0, 0, time.UTC),
	} {
		if got, err := since(text, now); err != nil || !got.Equal(want) {
			t.Errorf("since(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	if _, err := since("soon", now); err == nil {
		t.Error(`"soon" was taken for a time`)
	}
}

func TestDifference(t *testing.T) {
	for _, c := range []struct{ was, is, want string }{
		{`{"a":[1,2]}`, `{"a":[1,2]}`, ""},
		{`{"a":[1,{"b":2}]}`, `{"a":[1,{"b":3}]}`, "a[1].b was 2, now is 3"},
		{`{"a":[1]}`, `{"a":[1,2]}`, "a had 1 entries, now has 2"},
		{`{"a":1}`, `{"a":1,"b":2}`, "b was <nil>, now is 2"},
		{`{"a":{}}`, `{"a":[]}`, "a was map[], now is []"},
		{`{"n":9007199254740993}`, `{"n":9007199254740992}`, "n was 9007199254740993, now is 9007199254740992"},
	} {
		if got, err := difference([]byte(c.was), []byte(c.is)); err != nil || got != c.want {
			t.Errorf("from %s to %s: got %q, %v; want %q", c.was, c.is, got, err, c.want)
		}
	}
}

func TestUplinkInWords(t *testing.T) {
	now := time.Date(2026, 3, 2, 14, 0, 0, 0, time.Local)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for want, u := range map[string]gateway.Uplink{
		"none configured":          {State: gateway.NoUplink},
		"connected since 13:58:00": {State: gateway.UplinkConnected, Since: ago(2 * time.Minute)},
		"asks to join since 13:59:00; code 1234 5678, to be compared with the hub's": {
			State: gateway.UplinkJoining, Since: ago(time.Minute), Code: "1234 5678"},
		"cut off since 13:40:00; records that wait: 128, the oldest for 1h5m0s; the broker has gone silent": {
			State: gateway.UplinkCutOff, Since: ago(20 * time.Minute), Why: "the broker has gone silent", Waiting: 128, Oldest: ago(65 * time.Minute)},
		"connected since 13:58:00; records that wait: 2; the log is refused": {
			State: gateway.UplinkConnected, Since: ago(2 * time.Minute), Waiting: 2, Trouble: "the log is refused"},
	} {
		if got := uplinkWords(u, now); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestPlainKeepsTextFromSteeringTheTerminal(t *testing.T) {
	if got := plain("a\x1b[2Jb\nc\té"); strings.ContainsAny(got, "\x1b\n\t") || !strings.Contains(got, "é") {
		t.Errorf("got %q", got)
	}
}

func TestReaderThatSaysNothing(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("cable pulled"), "desk is down: cable pulled"},
		{context.DeadlineExceeded, "desk is down: it did not say how it is within 3s"},
	} {
		if got := outcome("desk", nil, c.err); got.Level != ill || got.What != c.want {
			t.Errorf("got %+v, want %q", got, c.want)
		}
	}
	up := map[gateway.ReaderID]reader.Status{"desk": {Reader: "desk", State: gateway.ReaderUp}}
	if got := outcome("desk", up, context.Canceled); got.Level != well {
		t.Errorf("a reader that is up was found %+v", got)
	}
}

// digits are more than any refusal says of its own accord.
var digits = regexp.MustCompile(`[0-9A-Fa-f]{6,}`)

// FuzzBadgeNumber holds that a refusal never repeats what was typed, and that a number has one form.
func FuzzBadgeNumber(f *testing.F) {
	for _, text := range []string{"", "04a2b3c4", "04:A2:B3:C4", "0102030405", "00AB12", "secret number", "04a2b3c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []gateway.CredentialKind{gateway.UID, gateway.EM, gateway.Line} {
			number, err := badgeNumber(kind, text)
			if err != nil {
				if digits.MatchString(err.Error()) {
					t.Errorf("the refusal %q holds digits of a number", err)
				}
				continue
			}
			again, err := badgeNumber(kind, strings.ToLower(text))
			if err != nil || string(again) != string(number) {
				t.Errorf("the same number in lower case is another")
			}
		}
	})
}

// FuzzReplay holds that no trace, whoever wrote it, does more than be refused.
func FuzzReplay(f *testing.F) {
	start := `{"event":"Restarted","with":{"At":"2026-03-01T12:00:00Z","SameBoot":true},"effects":[],"state":{"Box":"b","Custody":0,"Phones":[{"ID":"p"}]}}` + "\n"
	for _, line := range []string{
		"", "{}", start + start,
		start + `{"event":"Gone","with":{"Phone":"p"},"effects":[],"state":{}}` + "\n",
		start + `{"event":"Deadline","with":{"Phone":"p","Timer":99},"effects":[],"state":{}}` + "\n",
		start + `{"event":"Answered","with":{"Receipt":{"kind":"bound","phone":"p"}},"effects":[],"state":{}}` + "\n",
		strings.Replace(start, `"ID":"p"`, `"ID":"p","Phase":77`, 1) + `{"event":"Ordered","with":{"Phone":"p"},"effects":[],"state":{}}` + "\n",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := replay{}
		err := r.run(strings.NewReader(text))
		if lines := strings.Count(text, "\n"); err == nil && r.steps+r.given != lines {
			t.Errorf("%d of %d lines were looked at and nothing was said", r.steps+r.given, lines)
		}
	})
}
