package uplink_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/sync/uplink"
)

func release() uplink.Release {
	return uplink.Release{
		Kind: uplink.Roster, Site: "site-1", Ward: "icu", Version: 7, Issued: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Body: []byte("made-up roster"),
	}
}

func TestReleases(t *testing.T) {
	k := newKeys(t)
	for _, r := range []uplink.Release{
		release(),
		{Kind: uplink.Policy, Site: "site-1", Version: 1, Issued: release().Issued, Body: []byte{}},
		{Kind: uplink.Revocations, Site: "site-1", Version: 1 << 60, Issued: release().Issued, Body: bytes.Repeat([]byte("x"), 1<<20)},
	} {
		in, err := uplink.SignRelease(r, k.release)
		must(t, err)
		have, err := uplink.OpenRelease(in, k.public())
		if err != nil || !reflect.DeepEqual(have, r) {
			t.Errorf("%s: %v", r.Kind, err)
		}
	}
}

func TestReleasesThatAreRefused(t *testing.T) {
	k, other := newKeys(t), strangers(t)
	sign := func(change func(*uplink.Release)) []byte {
		r := release()
		change(&r)
		in, err := uplink.SignRelease(r, k.release)
		must(t, err)
		return in
	}
	good := sign(func(*uplink.Release) {})
	envelope := func(change func(map[string]any)) []byte {
		var e map[string]any
		must(t, json.Unmarshal(good, &e))
		change(e)
		out, err := json.Marshal(e)
		must(t, err)
		return out
	}
	foreign, err := uplink.SignRelease(release(), other.release)
	must(t, err)
	payload, err := json.Marshal(release())
	must(t, err)
	altered := bytes.Replace(payload, []byte(`"version":7`), []byte(`"version":8`), 1)
	for name, in := range map[string][]byte{
		"another key":       foreign,
		"no version":        sign(func(r *uplink.Release) { r.Version = 0 }),
		"no site":           sign(func(r *uplink.Release) { r.Site = "" }),
		"no time":           sign(func(r *uplink.Release) { r.Issued = time.Time{} }),
		"a roster of none":  sign(func(r *uplink.Release) { r.Ward = "" }),
		"a policy of one":   sign(func(r *uplink.Release) { r.Kind = uplink.Policy }),
		"no signature":      envelope(func(e map[string]any) { e["signatures"] = []any{} }),
		"another type":      envelope(func(e map[string]any) { e["payloadType"] = "application/json" }),
		"a changed payload": envelope(func(e map[string]any) { e["payload"] = base64.StdEncoding.EncodeToString(altered) }),
		"an unknown member": envelope(func(e map[string]any) { e["more"] = 1 }),
		"more behind it":    append(bytes.Clone(good), '{', '}'),
		"half":              good[:len(good)/2],
		"nothing":           nil,
		"too long":          append(bytes.Clone(good), bytes.Repeat([]byte(" "), uplink.MaxRelease)...),
	} {
		if have, err := uplink.OpenRelease(in, k.public()); err == nil {
			t.Errorf("%s: took %+v", name, have)
		}
	}
	if _, err := uplink.OpenRelease(good, nil); err == nil {
		t.Error("it verified against no key")
	}
	big := release()
	big.Body = make([]byte, uplink.MaxRelease)
	if _, err := uplink.SignRelease(big, k.release); err == nil {
		t.Error("a release that no message holds was signed")
	}
}

func revoked() uplink.Revoked {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return uplink.Revoked{Through: 9, List: []uplink.Revocation{
		{Number: 3, Target: uplink.Clinician, ID: "c-made-up", At: at, Reason: gateway.Barred},
		{Number: 9, Target: uplink.Badge, ID: "00ff", At: at, Reason: gateway.RevokedBadge},
	}}
}

func TestRevocations(t *testing.T) {
	for _, r := range []uplink.Revoked{revoked(), {}, {Through: 5}} {
		in, err := r.Encode()
		must(t, err)
		if have, err := uplink.ParseRevoked(in); err != nil || !reflect.DeepEqual(have, r) {
			t.Errorf("%+v, %v", have, err)
		}
	}
	for name, change := range map[string]func(*uplink.Revoked){
		"out of order":   func(r *uplink.Revoked) { r.List[0], r.List[1] = r.List[1], r.List[0] },
		"twice":          func(r *uplink.Revoked) { r.List[1].Number = 3 },
		"from zero":      func(r *uplink.Revoked) { r.List[0].Number = 0 },
		"beyond the end": func(r *uplink.Revoked) { r.Through = 8 },
		"of nobody":      func(r *uplink.Revoked) { r.List[0].ID = "" },
		"of no kind":     func(r *uplink.Revoked) { r.List[0].Target = "ward" },
	} {
		r := revoked()
		change(&r)
		in, err := r.Encode()
		must(t, err)
		if have, err := uplink.ParseRevoked(in); err == nil {
			t.Errorf("%s: took %+v", name, have)
		}
	}
	for _, in := range []string{"", "{", `{"through":1,"list":[],"more":2}`, `{"through":1,"list":[]}[]`} {
		if have, err := uplink.ParseRevoked([]byte(in)); err == nil {
			t.Errorf("%q: took %+v", in, have)
		}
	}
}

func report() uplink.Report {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return uplink.Report{
		At: at, Version: "1.2.3", Ward: "icu", Epoch: 2, Size: 300, Stored: 256, Disk: gateway.StorageNear, Sessions: 4,
		Applied: map[uplink.Kind]uplink.Applied{uplink.Policy: {Version: 3, Digest: gateway.Digest{1}, At: at, Refused: "made-up"}},
	}
}

func TestReports(t *testing.T) {
	in, err := report().Encode()
	must(t, err)
	if have, err := uplink.ParseReport(in); err != nil || !reflect.DeepEqual(have, report()) {
		t.Errorf("%+v, %v", have, err)
	}
	newer := bytes.Replace(in, []byte(`{`), []byte(`{"of a newer box":true,`), 1)
	if have, err := uplink.ParseReport(newer); err != nil || !reflect.DeepEqual(have, report()) {
		t.Errorf("a newer box's: %+v, %v", have, err)
	}
	for _, in := range []string{"", "{", `{"disk":"made-up"}`, `{"size":"many"}`, "{}" + strings.Repeat(" ", uplink.MaxReport)} {
		if have, err := uplink.ParseReport([]byte(in)); err == nil {
			t.Errorf("%.20q: took %+v", in, have)
		}
	}
}

// FuzzOpenRelease: what opens is what was signed.
func FuzzOpenRelease(f *testing.F) {
	k := newKeys(f)
	in, err := uplink.SignRelease(release(), k.release)
	must(f, err)
	f.Add(in)
	f.Add(in[:len(in)/2])
	f.Add([]byte(`{"payloadType":"application/vnd.tapward.release.v1+json","payload":"","signatures":[]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if r, err := uplink.OpenRelease(in, k.public()); err == nil && !reflect.DeepEqual(r, release()) {
			t.Errorf("opened %+v, which nobody signed", r)
		}
	})
}

// FuzzParseRevoked: what is taken rises, and means the same after Encode.
func FuzzParseRevoked(f *testing.F) {
	in, err := revoked().Encode()
	must(f, err)
	f.Add(in)
	f.Add([]byte(`{"through":0,"list":null}`))
	f.Add(in[:len(in)/2])
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := uplink.ParseRevoked(in)
		if err != nil {
			return
		}
		for i, v := range r.List {
			if v.Number == 0 || v.Number > r.Through || i > 0 && v.Number <= r.List[i-1].Number {
				t.Fatalf("took %+v", r)
			}
		}
		out, err := r.Encode()
		if err != nil {
			return // a time in a year that JSON cannot say
		}
		if again, err := uplink.ParseRevoked(out); err != nil || len(again.List) != len(r.List) || again.Through != r.Through {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}

// FuzzParseReport: what is taken is taken again after Encode.
func FuzzParseReport(f *testing.F) {
	in, err := report().Encode()
	must(f, err)
	f.Add(in)
	f.Add([]byte(`{}`))
	f.Add(in[:len(in)/2])
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := uplink.ParseReport(in)
		if err != nil {
			return
		}
		out, err := r.Encode()
		if err != nil || len(out) > uplink.MaxReport {
			return
		}
		if again, err := uplink.ParseReport(out); err != nil || again.Size != r.Size || again.Disk != r.Disk || len(again.Applied) != len(r.Applied) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}

// FuzzAuditAddress: a subject that is a box's is exactly that box's.
func FuzzAuditAddress(f *testing.F) {
	for _, s := range []string{address.AuditSubject(), "tapward.audit.*.*", "tapward.audit.a.b.c", "tapward.audit..", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		a, err := uplink.AuditAddress(subject)
		if err == nil && (a.AuditSubject() != subject || strings.ContainsAny(subject, "*> \t\r\n") || strings.Count(subject, ".") != 3) {
			t.Errorf("%q is of %v", subject, a)
		}
	})
}
