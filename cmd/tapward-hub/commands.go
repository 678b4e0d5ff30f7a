package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"tapward/sync/claim"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/enrol"
	"tapward/sync/hub/release"
	"tapward/sync/uplink"
)

type statusCommand struct {
	Hub
	JSON bool `help:"For programs." name:"json"`
}

func (s statusCommand) Run(ctx context.Context, p place) error {
	var now status
	if err := s.get(ctx, "/v1/status", &now); err != nil {
		return err
	}
	if s.JSON {
		return json.NewEncoder(p.out).Encode(now)
	}
	fmt.Fprintf(p.out, "Hub of site %s, since %s\n", now.Site, stamp(now.Started))
	fmt.Fprintf(p.out, "Broker     %s; its promise to keep: %s\n", word(now.Connected, "connected", "NOT CONNECTED"), now.Durability)
	fmt.Fprintf(p.out, "Archive    %d records; %d gaps\n", now.Records, now.Gaps)
	fmt.Fprintf(p.out, "Boxes      %d let in, %d waiting (tapward-hub claims)\n", now.Boxes, now.Claims)
	fmt.Fprintf(p.out, "Alarms     %d open (tapward-hub alarms)\n", now.Alarms)
	for _, l := range now.Loud {
		fmt.Fprintf(p.out, "!          %s\n", l)
	}
	return nil
}

type claimsCommand struct{ Hub }

func (c claimsCommand) Run(ctx context.Context, p place) error {
	var pending []enrol.Pending
	if err := c.get(ctx, "/v1/claims", &pending); err != nil {
		return err
	}
	return table(p.out, "NUMBER\tBOX\tWARD\tCODE\tUNTIL\tNOTE", pending, func(q enrol.Pending) []any {
		note := word(q.Listed, "announced", "")
		if q.Replace {
			note = "replaces a box of this name"
		}
		return []any{q.Claim, q.Subject.ID, q.Ward, q.Code, stamp(q.Ends), note}
	})
}

type confirmCommand struct {
	Hub
	Claim string `arg:"" help:"Number of the claim."`
	Code  string `arg:"" help:"The eight digits as the box shows them."`
}

func (c confirmCommand) Run(ctx context.Context) error {
	code, err := claim.ParseCode(c.Code)
	if err != nil {
		return err
	}
	return c.post(ctx, "/v1/claims/"+url.PathEscape(c.Claim)+"/confirm", confirmRequest{code})
}

type declineCommand struct {
	Hub
	Claim string `arg:"" help:"Number of the claim."`
}

func (c declineCommand) Run(ctx context.Context) error {
	return c.post(ctx, "/v1/claims/"+url.PathEscape(c.Claim)+"/decline", struct{}{})
}

type expectCommand struct {
	Hub
	List string `arg:"" help:"The signed list." type:"existingfile"`
}

func (c expectCommand) Run(ctx context.Context, p place) error {
	list, err := os.ReadFile(c.List)
	if err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	var taken claim.Expected
	if err := c.call(ctx, "POST", "/v1/expected", list, &taken); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "%d boxes are expected until %s.\n", len(taken.Boxes), stamp(taken.Expires))
	return nil
}

type boxesCommand struct{ Hub }

func (c boxesCommand) Run(ctx context.Context, p place) error {
	var boxes []box
	if err := c.get(ctx, "/v1/boxes", &boxes); err != nil {
		return err
	}
	return table(p.out, "BOX\tWARD\tSINCE\tCERTIFICATE UNTIL\tARCHIVED\tNOTE", boxes, func(b box) []any {
		archived, note := int64(0), ""
		for _, l := range b.Logs {
			archived += l.Size
			if l.Refused != "" {
				note = l.Refused
			}
		}
		if !b.Revoked.IsZero() {
			note = "revoked " + stamp(b.Revoked)
		}
		return []any{b.Subject.ID, b.Ward, stamp(b.Since), stamp(b.Ends), archived, note}
	})
}

type revokeCommand struct {
	Box       revokeBoxCommand    `cmd:"" help:"A box: it may not come back, and its connections are cut."`
	Clinician revokePersonCommand `cmd:"" help:"A person, with every badge: sessions end, taps are refused."`
	Badge     revokeBadgeCommand  `cmd:"" help:"One badge, by its keyed hash in hex: taps are refused."`
	Phone     revokePhoneCommand  `cmd:"" help:"A phone: it is released and no longer handed out."`
	Reach     reachCommand        `cmd:"" help:"Show which boxes have put a revocation into force, and how long the others may be trusted."`
}

type revokeBoxCommand struct {
	Hub
	Box string `arg:"" help:"The box."`
	Why string `help:"For the log." required:""`
}

func (c revokeBoxCommand) Run(ctx context.Context) error {
	return c.post(ctx, "/v1/boxes/"+url.PathEscape(c.Box)+"/revoke", whyRequest{c.Why})
}

// revokeDownstream is what is taken away on every box of the site.
type revokeDownstream struct {
	Hub
	ID string `arg:"" help:"Its id."`
}

func (c revokeDownstream) do(ctx context.Context, p place, target uplink.Target) error {
	text, err := encode(revokeRequest{target, c.ID})
	if err != nil {
		return err
	}
	var done uplink.Revocation
	if err := c.call(ctx, "POST", "/v1/revocations", text, &done); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Revocation %d goes out. How far it has got: tapward-hub revoke reach %d\n", done.Number, done.Number)
	return nil
}

type (
	revokePersonCommand struct{ revokeDownstream }
	revokeBadgeCommand  struct{ revokeDownstream }
	revokePhoneCommand  struct{ revokeDownstream }
)

func (c revokePersonCommand) Run(ctx context.Context, p place) error {
	return c.do(ctx, p, uplink.Clinician)
}
func (c revokeBadgeCommand) Run(ctx context.Context, p place) error {
	return c.do(ctx, p, uplink.Badge)
}
func (c revokePhoneCommand) Run(ctx context.Context, p place) error {
	return c.do(ctx, p, uplink.Phone)
}

type reachCommand struct {
	Hub
	Number uint64 `arg:"" help:"Number of the revocation."`
}

func (c reachCommand) Run(ctx context.Context, p place) error {
	var r release.Reach
	if err := c.get(ctx, "/v1/revocations/"+strconv.FormatUint(c.Number, 10), &r); err != nil {
		return err
	}
	sent := "not yet"
	if !r.Sent.IsZero() {
		sent = fmt.Sprintf("after %s", r.Sent.Sub(r.Revocation.At).Round(time.Millisecond))
	}
	fmt.Fprintf(p.out, "Revocation %d of a %s, decided %s, sent %s\n", r.Revocation.Number, r.Revocation.Target, stamp(r.Revocation.At), sent)
	if r.Deaf > 0 {
		fmt.Fprintf(p.out, "%d boxes do not run it; the last phone that one of them unlocked locks itself by %s\n", r.Deaf, stamp(r.TrustEnds))
	}
	return table(p.out, "BOX\tAPPLIED\tHEARD\tNOTE", r.Boxes, func(b release.BoxReach) []any {
		applied, note := "NOT YET", b.Refused
		if !b.Applied.IsZero() {
			applied = "after " + b.Took.Round(time.Millisecond).String()
		}
		heard := "never"
		if !b.Heard.IsZero() {
			heard = stamp(b.Heard)
		}
		return []any{b.ID, applied, heard, note}
	})
}

type policyCommand struct {
	Hub
	Document string `arg:"" type:"existingfile" help:"The policy document, docs/policy.md."`
}

func (c policyCommand) Run(ctx context.Context, p place) error {
	document, err := os.ReadFile(c.Document)
	if err != nil {
		return fmt.Errorf("read the policy: %w", err)
	}
	var version uint64
	if err := c.call(ctx, "POST", "/v1/policy", document, &version); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Version %d goes out to every box of the site.\n", version)
	return nil
}

type reinstateCommand struct {
	Hub
	Box string `arg:"" help:"The box."`
	Why string `help:"For the log." required:""`
}

func (c reinstateCommand) Run(ctx context.Context) error {
	return c.post(ctx, "/v1/boxes/"+url.PathEscape(c.Box)+"/reinstate", whyRequest{c.Why})
}

type alarmsCommand struct {
	Hub
	All bool `help:"Those that were closed, too."`
}

func (c alarmsCommand) Run(ctx context.Context, p place) error {
	path := "/v1/alarms"
	if c.All {
		path += "?all=1"
	}
	var alarms []archive.Incident
	if err := c.get(ctx, path, &alarms); err != nil {
		return err
	}
	return table(p.out, "NUMBER\tLOG\tSINCE\tTIMES\tWHAT\tCLOSED", alarms, func(a archive.Incident) []any {
		closed := ""
		if !a.Lifted.IsZero() {
			closed = a.LiftedBy + ": " + a.LiftedWhy
		}
		return []any{a.ID, a.Origin, stamp(a.First), a.Times, a.What, closed}
	})
}

type liftCommand struct {
	Hub
	Alarm int64  `arg:"" help:"Number of the alarm."`
	Why   string `help:"What you found; for the log." required:""`
}

func (c liftCommand) Run(ctx context.Context) error {
	return c.post(ctx, "/v1/alarms/"+strconv.FormatInt(c.Alarm, 10)+"/lift", whyRequest{c.Why})
}

type logCommand struct {
	Hub
	Box       string `help:"Of this box only; \"hub\" is the hub itself."`
	Phone     string `help:"Of this phone only."`
	Clinician string `help:"Of this person's sessions only."`
	Limit     int    `help:"At most so many, newest first." default:"50"`
	JSON      bool   `help:"For programs, one record to a line." name:"json"`
}

func (c logCommand) Run(ctx context.Context, p place) error {
	query := url.Values{"box": {c.Box}, "phone": {c.Phone}, "clinician": {c.Clinician}, "limit": {strconv.Itoa(c.Limit)}}
	var lines []logLine
	if err := c.get(ctx, "/v1/log?"+query.Encode(), &lines); err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(p.out)
		for _, l := range lines {
			if err := e.Encode(l); err != nil {
				return err
			}
		}
		return nil
	}
	return table(p.out, "TIME\tBOX\tRECORD\tWHAT\tPHONE\tWHO\tMORE", lines, func(l logLine) []any {
		return []any{stamp(l.At), l.Box, fmt.Sprintf("%d.%d", l.Epoch, l.Index), l.Kind, l.Phone,
			string(l.Clinician) + l.Operator, l.State + " " + l.Words}
	})
}

type keysCommand struct {
	Config string `help:"The hub's configuration." type:"path" default:"${config}"`
	Make   bool   `help:"Make those that are missing, in a folder where no hub has run yet."`
	Boxes  bool   `help:"Also the log keys of the boxes, from the running hub."`
	Only   string `help:"Only this one, without its name: ca, stored, accepted or log." placeholder:"NAME"`
}

// Run prints what may be known by anybody.
func (c keysCommand) Run(ctx context.Context, p place) error {
	config, err := readConfig(c.Config)
	if err != nil {
		return err
	}
	look := existingKeys
	if c.Make {
		look = madeKeys
	}
	k, err := look(config)
	if err != nil {
		return err
	}
	lines := [][2]string{
		{"ca", k.ca.Fingerprint().String()}, // [uplink] ca of a box
		{"stored", k.storedBy},              // --hub-key
		{"accepted", k.acceptedBy},          // --hub-log, and for witnesses
		{"log", k.logBy},                    // --key of the history of "hub"
	}
	if c.Boxes {
		var boxes []box
		if err := (Hub{Config: c.Config}).get(ctx, "/v1/boxes", &boxes); err != nil {
			return err
		}
		for _, b := range boxes {
			lines = append(lines, [2]string{"box " + b.Subject.ID, b.Log})
		}
	}
	found := false
	for _, line := range lines {
		switch c.Only {
		case "":
			fmt.Fprintf(p.out, "%-12s%s\n", line[0], line[1])
		case line[0]:
			fmt.Fprintln(p.out, line[1])
		default:
			continue
		}
		found = true
	}
	if !found {
		return fmt.Errorf("there is no key %q", c.Only)
	}
	return nil
}

type brokerCommand struct {
	Config string `help:"The hub's configuration." type:"path" default:"${config}"`
}

func (c brokerCommand) Run(p place) error {
	config, err := readConfig(c.Config)
	if err != nil {
		return err
	}
	keys, err := existingKeys(config)
	if err != nil {
		return err
	}
	text, err := keys.broker.ServerConfig()
	if err != nil {
		return err
	}
	_, err = io.WriteString(p.out, text)
	return err
}

// table writes a line for each entry, under a heading.
func table[T any](out io.Writer, heading string, entries []T, line func(T) []any) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	for _, e := range entries {
		for i, cell := range line(e) {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func word(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}
