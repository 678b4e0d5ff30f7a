package station

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"tapward/gateway"
)

// shown is a ward in the words and marks of the page. Everything in it is text; the templates escape it.
type shown struct {
	Ward, Box  string
	Notice     string
	Time, Day  string
	Tallies    []tally
	Unsigned   string // the banner's words; empty: signed
	Offline    string // likewise; empty: connected with the hospital, or not meant to be
	Alarms     []string
	Armed      *armed
	Latest     *tap
	Phones     []card
	Taps       []tap
	Readers    []readerLine
	Candidates []candidate
	Standing   []fact
	Log        logLine
}

// tally counts the phones of one look.
type tally struct {
	Look, Icon, Word string
	Count            int
}

type armed struct {
	Reader, Phone, Until string
	Unix                 int64 // of Until, in milliseconds
	Mine                 bool  // the caller may disarm
}

type tap struct {
	Look, Icon, Time, Reader, Who, Sentence, Phone string

	Remedy string // what whoever was refused can do
	Fresh  bool   // it has just happened
}

// fresh is how long a tap stands out.
const fresh = 2 * time.Minute

type readerLine struct{ Look, Icon, ID, Word, Note string }

type candidate struct {
	Name, Address string
	Key           []string // the fingerprint in lines
}

// fact is one line about the box itself.
type fact struct{ Look, Icon, Name, Word string }

type logLine struct {
	Size int64
	Root []string
}

func picture(w *gateway.Ward, now time.Time, may right) shown {
	out := shown{
		Ward: cmp.Or(w.Name, "Ward"), Box: string(w.Box),
		Time: now.Format("15:04"), Day: now.Format("Monday 2 January"),
		Unsigned: unsigned(w.Policy),
		Offline:  offline(w.Uplink, now),
		Alarms:   alarms(w),
		Standing: standing(w, now),
		Log:      logLine{Size: w.Log.Size},
	}
	if w.Log.Size > 0 {
		out.Log.Root = lines(w.Log.Root.String(), 16)
	}
	for _, p := range w.Phones {
		out.Phones = append(out.Phones, phoneCard(p, now, may))
	}
	out.Tallies = tallies(out.Phones)
	for i, t := range w.Taps {
		if line := tapLine(t, now); i == 0 {
			out.Latest = &line
		} else {
			out.Taps = append(out.Taps, line)
		}
	}
	for _, r := range w.Readers {
		out.Readers = append(out.Readers, readerOf(r, now))
	}
	for _, c := range w.Seen {
		out.Candidates = append(out.Candidates, candidate{c.Name, c.Address, lines(c.Key.String(), 20)})
	}
	if a := w.Armed; a != nil && a.Until.After(now) {
		out.Armed = &armed{string(a.Reader), string(a.Phone), a.Until.Local().Format("15:04:05"), a.Until.UnixMilli(), may&takeOver != 0}
	}
	return out
}

func unsigned(p gateway.WardPolicy) string {
	switch {
	case !p.Loaded:
		return gateway.NoPolicy.Sentence()
	case !p.Signed:
		return gateway.UnsignedPolicy.Sentence()
	}
	return ""
}

// alarms are what somebody must do something about, in words.
func alarms(w *gateway.Ward) []string {
	var out []string
	switch w.Storage {
	case gateway.StorageNear:
		out = append(out, gateway.StorageLow.Sentence())
	case gateway.StorageNone:
		out = append(out, gateway.StorageExhausted.Sentence()+" No phone can be given out. Call IT.")
	}
	if w.Uplink.Trouble != "" {
		out = append(out, w.Uplink.Trouble)
	}
	down := 0
	for _, r := range w.Readers {
		if r.State == gateway.ReaderDown {
			down++
		}
	}
	if down > 0 && down == len(w.Readers) {
		out = append(out, "No reader works: badges are not read. Call IT.")
	}
	return out
}

func tallies(cards []card) []tally {
	out := []tally{
		{Look: "free", Icon: "free", Word: "free"},
		{Look: "note", Icon: "charge", Word: "to charge"},
		{Look: "use", Icon: "use", Word: "in use"},
		{Look: "move", Icon: "move", Word: "changing hands"},
		{Look: "out", Icon: "out", Word: "not usable"},
	}
	for _, c := range cards {
		i := slices.IndexFunc(out, func(t tally) bool { return t.Look == countedAs[c.Look] })
		out[i].Count++
	}
	out = slices.DeleteFunc(out, func(t tally) bool { return t.Count == 0 && (t.Look == "move" || t.Look == "note") })
	for i := range out {
		if out[i].Count == 0 {
			out[i].Look = noneOf(out[i].Look, len(cards))
		}
	}
	return out
}

// noneOf is the look of a tally of nothing: quiet, but for a ward that has phones and none to give.
func noneOf(look string, phones int) string {
	if look == "free" && phones > 0 {
		return "note"
	}
	return "away"
}

// countedAs sorts the looks of cards into the tallies.
var countedAs = map[string]string{
	"free": "free", "note": "note", "use": "use", "locked": "use", "move": "move", "out": "out", "away": "out",
}

func tapLine(t gateway.WardTap, now time.Time) tap {
	look := map[gateway.Signal]string{
		gateway.Seen: "move", gateway.Granted: "free", gateway.Note: "note", gateway.Refused: "out", gateway.Fault: "out",
	}[t.Signal]
	icon := map[gateway.Signal]string{
		gateway.Seen: "move", gateway.Granted: "free", gateway.Note: "note", gateway.Refused: "refused", gateway.Fault: "out",
	}[t.Signal]
	out := tap{
		Look: look, Icon: icon, Time: clock(t.At, now), Reader: string(t.Reader), Who: t.Who,
		Sentence: t.Reason.Sentence(), Phone: string(t.Phone), Fresh: now.Sub(t.At) < fresh,
	}
	if t.Signal == gateway.Refused || t.Signal == gateway.Fault {
		out.Remedy = t.Reason.Remedy()
	}
	return out
}

func readerOf(r gateway.WardReader, now time.Time) readerLine {
	line := map[gateway.ReaderState]readerLine{
		gateway.ReaderDown:     {Look: "out", Icon: "refused", Word: "not working"},
		gateway.ReaderUp:       {Look: "free", Icon: "free", Word: "ready"},
		gateway.ReaderDegraded: {Look: "note", Icon: "note", Word: "unreliable"},
	}[r.State]
	line.ID, line.Note = string(r.ID), r.Note
	if r.State != gateway.ReaderUp && !r.Since.IsZero() {
		line.Word += " since " + clock(r.Since, now)
	}
	return line
}

func standing(w *gateway.Ward, now time.Time) []fact {
	policy := fact{"out", "refused", "Policy", "none loaded"}
	if w.Policy.Loaded {
		policy = fact{"note", "note", "Policy", fmt.Sprintf("version %d, unsigned demo policy", w.Policy.Version)}
		if w.Policy.Signed {
			policy = fact{"free", "free", "Policy", fmt.Sprintf("version %d, signed by both departments", w.Policy.Version)}
		}
	}
	return []fact{
		graded("Clock", strings.ReplaceAll(w.Clock, "-", " "), map[string]string{"synchronised": "free"}),
		network(w.Uplink),
		graded("Storage", w.Storage.String(), map[string]string{"ok": "free", "exhausted": "out"}),
		policy,
		{"plain", "plain", "Running", "for " + span(w.Up)},
	}
}

// graded looks a word up; one that is not listed deserves a look.
func graded(name, word string, looks map[string]string) fact {
	look := cmp.Or(looks[word], "note")
	icon := map[string]string{"free": "free", "plain": "plain", "note": "note", "out": "refused"}[look]
	return fact{look, icon, name, cmp.Or(word, "unknown")}
}

// clock is a moment as a wall clock shows it, with the day where it is not today.
func clock(at, now time.Time) string {
	at = at.Local()
	if at.Format(time.DateOnly) == now.Local().Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("Mon 15:04")
}

// span is a duration in two units at most.
func span(d time.Duration) string {
	minutes := int64(max(d, 0) / time.Minute)
	hours, days := minutes/60, minutes/(24*60)
	switch {
	case minutes == 0:
		return "under a minute"
	case hours == 0:
		return fmt.Sprintf("%d min", minutes)
	case days == 0:
		return fmt.Sprintf("%d h %02d min", hours, minutes%60)
	}
	return fmt.Sprintf("%d d %d h", days, hours%24)
}

// lines breaks text into pieces of n characters, for a fingerprint that people compare.
func lines(text string, n int) []string {
	var out []string
	for len(text) > n {
		out = append(out, strings.TrimSuffix(text[:n], "-"))
		text = text[n:]
	}
	return append(out, text)
}
