package main

import (
	"context"
	"log/slog"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/handoff"
	"tapward/gateway/store"
)

// witnesses look at the checkpoints that phones bring back. One of this box that its own log cannot account for shows
// that the log was rolled back or rewritten.
type witnesses struct {
	db       *store.Store
	verifier note.Verifier
	log      *slog.Logger
	brought  chan testimony
}

type testimony struct {
	phone      gateway.PhoneID
	checkpoint string
}

func newWitnesses(db *store.Store, verifier note.Verifier, log *slog.Logger) *witnesses {
	return &witnesses{db, verifier, log, make(chan testimony, 64)}
}

// heard does not wait: a testimony that finds no room comes again with the phone's next hello.
func (w *witnesses) heard(phone gateway.PhoneID, checkpoint string) {
	select {
	case w.brought <- testimony{phone, checkpoint}:
	default:
	}
}

func (w *witnesses) run(ctx context.Context, engine *handoff.Engine) error {
	return pass(ctx, w.brought, func(ctx context.Context, t testimony) {
		head, err := audit.OpenCheckpoint(t.checkpoint, w.verifier)
		if err != nil {
			w.log.Warn("A phone brought a checkpoint that this box did not sign", "phone", t.phone, "err", err)
			return
		}
		why, err := w.db.Compare(ctx, head)
		if err != nil {
			w.log.Warn("Cannot compare a phone's checkpoint with the log", "phone", t.phone, "err", err)
			return
		}
		if why != "" {
			engine.Contradicted(ctx, head, t.checkpoint)
		}
	})
}
