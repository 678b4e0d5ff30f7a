package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"tapward/gateway"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
	"tapward/sync/hub/export"
	"tapward/sync/hub/export/csv"
	"tapward/sync/hub/export/fhir"
	"tapward/sync/hub/export/ocsf"
)

// exportCommand writes records to a file. It reads the database itself, so that it works beside a hub and without one.
type exportCommand struct {
	Config string    `help:"The hub's configuration." type:"path" default:"${config}"`
	Since  time.Time `help:"Records archived then or later, such as 2026-01-31; default: the oldest kept." format:"2006-01-02"`
	Format string    `help:"fhir, ocsf or csv." enum:"fhir,ocsf,csv" required:""`
	Out    string    `help:"A file that does not exist yet; default: standard output." type:"path"`
}

// Run writes the file, or as much of it as goes.
func (c exportCommand) Run(ctx context.Context, p place) error {
	config, err := readConfig(c.Config)
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, config.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	from := exported{archive.New(db, archive.Retention{}, slog.Default())}
	format := map[string]export.Format{"fhir": fhir.Lines{}, "ocsf": ocsf.Lines{}, "csv": csv.Format{}}[c.Format]
	if c.Out == "" {
		_, err := export.Write(ctx, format, from, c.Since, p.out)
		return err
	}
	file, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the file: %w", err)
	}
	buffered := bufio.NewWriter(file)
	n, err := export.Write(ctx, format, from, c.Since, buffered)
	if err := errors.Join(err, buffered.Flush(), file.Sync(), file.Close()); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "%d records written to %s\n", n, c.Out)
	return nil
}

type exportsCommand struct {
	List    feedsListCommand    `cmd:"" default:"withargs" help:"Show how far each export is."`
	Dead    feedsDeadCommand    `cmd:"" help:"List what a receiver refused, with its words."`
	Retry   feedsRetryCommand   `cmd:"" help:"Send what was refused once more."`
	Dismiss feedsDismissCommand `cmd:"" help:"Give up what was refused: the receiver will never get it."`
	Resume  feedsResumeCommand  `cmd:"" help:"Let an export go on that stands still because too much was refused."`
	Again   feedsAgainCommand   `cmd:"" help:"Send everything since a day once more."`
}

type feedsListCommand struct{ Hub }

// feed is an export as it stands.
type feed struct {
	export.Standing
	Behind int64 // places in the archive
}

func (c feedsListCommand) Run(ctx context.Context, p place) error {
	var feeds []feed
	if err := c.get(ctx, "/v1/feeds", &feeds); err != nil {
		return err
	}
	return table(p.out, "EXPORT\tDELIVERED\tSENT\tBEHIND\tREFUSED\tTROUBLE", feeds, func(f feed) []any {
		return []any{f.Feed, f.Delivered, f.Sent, f.Behind, f.Dead, f.Trouble}
	})
}

type feedsDeadCommand struct {
	Hub
	Name string `arg:"" help:"The export."`
}

func (c feedsDeadCommand) Run(ctx context.Context, p place) error {
	var dead []export.Dead
	if err := c.get(ctx, "/v1/feeds/"+url.PathEscape(c.Name)+"/dead", &dead); err != nil {
		return err
	}
	return table(p.out, "PLACE\tRECORD\tKIND\tTIMES\tTHE RECEIVER'S WORDS", dead, func(d export.Dead) []any {
		return []any{d.Seq, d.Record, d.Kind, d.Times, d.Words}
	})
}

// feedAct is what every act on an export needs.
type feedAct struct {
	Hub
	Name string `arg:"" help:"The export."`
}

func (c feedAct) do(ctx context.Context, act string, since time.Time) error {
	return c.post(ctx, "/v1/feeds/"+url.PathEscape(c.Name)+"/"+act, feedRequest{since})
}

type (
	feedsRetryCommand   struct{ feedAct }
	feedsDismissCommand struct{ feedAct }
	feedsResumeCommand  struct{ feedAct }
	feedsAgainCommand   struct {
		feedAct
		Since time.Time `help:"From this day." format:"2006-01-02" required:""`
	}
)

func (c feedsRetryCommand) Run(ctx context.Context) error   { return c.do(ctx, "retry", time.Time{}) }
func (c feedsDismissCommand) Run(ctx context.Context) error { return c.do(ctx, "dismiss", time.Time{}) }
func (c feedsResumeCommand) Run(ctx context.Context) error  { return c.do(ctx, "resume", time.Time{}) }
func (c feedsAgainCommand) Run(ctx context.Context) error   { return c.do(ctx, "again", c.Since) }

type feedRequest struct {
	Since time.Time `json:"since"`
}

func (h *hub) getFeeds(r *http.Request) (any, error) {
	settled, err := h.archive.Settled(r.Context())
	if err != nil {
		return nil, err
	}
	standings, err := h.exporter.Standings(r.Context())
	feeds := make([]feed, len(standings))
	for i, s := range standings {
		feeds[i] = feed{s, s.Lag(settled)}
	}
	return feeds, err
}

// ExportChanged is the record of a person's act on an export.
const ExportChanged gateway.RecordKind = "export.changed"

func (h *hub) onFeed(r *http.Request, who string) (any, error) {
	var asked feedRequest
	if err := decode(r, &asked); err != nil {
		return nil, err
	}
	name, act := r.PathValue("name"), r.PathValue("act")
	if _, err := h.exporter.Standing(r.Context(), name); err != nil {
		return nil, err
	}
	do := map[string]func(context.Context) error{
		"retry":   func(ctx context.Context) error { _, err := h.exporter.Retry(ctx, name); return err },
		"dismiss": func(ctx context.Context) error { _, err := h.exporter.Dismiss(ctx, name); return err },
		"resume":  func(ctx context.Context) error { return h.exporter.Resume(ctx, name) },
		"again": func(ctx context.Context) error {
			place, err := export.Place(ctx, exported{h.archive}, asked.Since)
			if err != nil {
				return err
			}
			return h.exporter.Move(ctx, name, place)
		},
	}[act]
	if do == nil {
		return nil, fmt.Errorf("there is no act %q on an export", act)
	}
	err := h.journal.Record(r.Context(), gateway.Record{Kind: ExportChanged, At: time.Now(), Operator: who, State: act, Words: "export " + name})
	if err != nil {
		return nil, err
	}
	return nil, do(r.Context())
}
