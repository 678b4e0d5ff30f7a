package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"tapward/gateway"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/database"
)

type vacateCommand struct {
	Hub
	Box string `arg:"" help:"The revoked box."`
	Why string `help:"For the log." required:""`
}

func (c vacateCommand) Run(ctx context.Context) error {
	return c.post(ctx, "/v1/boxes/"+url.PathEscape(c.Box)+"/vacate", whyRequest{c.Why})
}

type forgetCommand struct {
	Hub
	Clinician string `arg:"" help:"The person's id."`
	Why       string `help:"For the log, without the name." required:""`
}

func (c forgetCommand) Run(ctx context.Context, p place) error {
	text, err := encode(whyRequest{c.Why})
	if err != nil {
		return err
	}
	var f archive.Forgotten
	if err := c.call(ctx, "POST", "/v1/forget/"+url.PathEscape(c.Clinician), text, &f); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "%d openings of records erased, and the name in %d pieces of evidence.\n", f.Openings, f.Evidence)
	if f.Unread > 0 {
		fmt.Fprintf(p.out, "%d alarms hold evidence that cannot be read: close them, and the retention takes it.\n", f.Unread)
	}
	fmt.Fprintln(p.out, "Backups, the database's own logs and what was exported keep what they hold.")
	return nil
}

// PersonForgotten is the record of an erasure. It says who erased and why, and not whom.
const PersonForgotten gateway.RecordKind = "person.forgotten"

func (h *hub) forget(r *http.Request, who string) (any, error) {
	why, err := reason(r)
	if err != nil {
		return nil, err
	}
	err = h.journal.Record(r.Context(), gateway.Record{Kind: PersonForgotten, At: time.Now(), Operator: who, Words: why})
	if err != nil {
		return nil, err
	}
	return h.archive.Forget(r.Context(), gateway.ClinicianID(r.PathValue("clinician")))
}

// backupCommand reads the database itself, so that it works beside a hub and without one.
type backupCommand struct {
	Config string `help:"The hub's configuration." type:"path" default:"${config}"`
	File   string `arg:"" help:"A file that does not exist yet." type:"path"`
}

func (c backupCommand) Run(ctx context.Context) error {
	config, err := readConfig(c.Config)
	if err != nil {
		return err
	}
	db, err := database.Open(ctx, config.Database)
	if err != nil {
		return err
	}
	if db.Dialect == database.PostgreSQL {
		err = errors.New("a PostgreSQL database is backed up with pg_dump or pg_basebackup")
	} else {
		err = db.Backup(ctx, c.File)
	}
	return errors.Join(err, db.Close())
}
