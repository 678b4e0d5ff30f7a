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

// witnesses look at the checkpoints that phones and the hospital bring back. One of this box that its own log cannot account for shows
// that the log was rolled back or rewritten.
type witnesses struct {
	db       *store.Store
	verifier note.Verifier
	log      *slog.Logger
	brought  chan testimony
}

type testimony struct{ from, checkpoint string }

func newWitnesses(db *store.Store, verifier note.Verifier, log *slog.Logger) *witnesses {
	return &witnesses{db, verifier, log, make(chan testimony, 64)}
}

// phone takes what a phone brought.
func (w *witnesses) phone(id gateway.PhoneID, checkpoint string) {
	w.hear("phone "+string(id), checkpoint)
}

// hospital takes what the hospital holds.
func (w *witnesses) hospital(checkpoint string) { w.hear("the hospital", checkpoint) }

// hear does not wait: a testimony that finds no room comes again with the phone's next hello or the hub's next receipt.
func (w *witnesses) hear(from, checkpoint string) {
	select {
	case w.brought <- testimony{from, checkpoint}:
	default:
	}
}

func (w *witnesses) run(ctx context.Context, engine *handoff.Engine) error {
	return pass(ctx, w.brought, func(ctx context.Context, t testimony) {
		head, err := audit.OpenCheckpoint(t.checkpoint, w.verifier)
		if err != nil {
			w.log.Warn("Somebody brought a checkpoint that this box did not sign", "from", t.from, "err", err)
			return
		}
		why, err := w.db.Compare(ctx, head)
		if err != nil {
			w.log.Warn("Cannot compare a checkpoint with the log", "from", t.from, "err", err)
			return
		}
		if why != "" {
			engine.Contradicted(ctx, head, t.checkpoint)
		}
	})
}
