package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"tapward/gateway"
	"tapward/sync/hub/archive"
	"tapward/sync/hub/witness"
	"tapward/sync/uplink"
)

type historyCommand struct {
	Hub
	Box string `arg:"" help:"The box; \"hub\" is the hub itself."`
}

// Run writes the box's whole log as the archive has it, for tapward verify --from-hub.
func (c historyCommand) Run(ctx context.Context, p place) error {
	body, err := c.open(ctx, http.MethodGet, "/v1/boxes/"+url.PathEscape(c.Box)+"/history", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(p.out, body); err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	return nil
}

// getHistory streams a history. What goes wrong on the way cuts it short, which its reader notices.
func (h *hub) getHistory(w http.ResponseWriter, r *http.Request) {
	a := uplink.Address{Site: h.config.Site, Box: gateway.BoxID(r.PathValue("id"))}
	epochs, err := h.evidence(r.Context(), a)
	if err != nil {
		reply(w, nil, err)
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // it may be long
	out := bufio.NewWriter(w)
	if err := h.writeHistory(r.Context(), out, a, epochs); err != nil {
		h.log.Warn("Cannot write a history to its end", "box", a, "err", err)
		panic(http.ErrAbortHandler) // so that it does not look whole
	}
	_ = out.Flush()
}

// signed is an epoch with what is signed about it.
type signed struct {
	origin archive.Origin
	uplink.HistoryEpoch
}

func (h *hub) writeHistory(ctx context.Context, out io.Writer, a uplink.Address, epochs []signed) error {
	w, err := uplink.NewHistoryWriter(out, a)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		if err := w.Epoch(e.HistoryEpoch, h.archive.Records(ctx, e.origin, 0)); err != nil {
			return err
		}
	}
	return nil
}

// evidence is what is signed about each epoch of a box.
func (h *hub) evidence(ctx context.Context, a uplink.Address) (epochs []signed, err error) {
	origins, err := h.archive.Origins(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range origins {
		if o.Address != a {
			continue
		}
		e := uplink.HistoryEpoch{Epoch: o.Epoch, Size: o.Size, Stored: o.Stored}
		proof, err := h.witness.Prove(ctx, o.Origin, 0)
		switch {
		case err == nil:
			e.Witnessed = proof.Encode()
		case !errors.Is(err, witness.ErrNotWitnessed):
			return nil, err
		}
		epochs = append(epochs, signed{o.Origin, e})
	}
	if len(epochs) == 0 {
		return nil, fmt.Errorf("nothing of box %s is archived", a.Box)
	}
	return epochs, nil
}
