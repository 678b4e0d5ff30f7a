package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/store"
	"tapward/sync/uplink"
)

// verifyCommand re-checks a log without trusting the box that wrote it.
type verifyCommand struct {
	Database   string   `arg:"" optional:"" type:"existingfile" help:"A copy of ward.db with its -wal and .anchor where there are such, or the box's own."`
	Checkpoint []string `type:"existingfile" placeholder:"FILE" help:"A signed checkpoint that was kept elsewhere; may be given again."`
	HubKey     string   `placeholder:"VERIFIER" help:"The verifier key of the hospital's receipts: without it, what the box pruned is only said to be there."`
	Key        string   `placeholder:"VERIFIER" help:"The log's verifier key, as tapward keys printed it."`
	JSON       bool     `help:"The report as JSON."`

	FromHub string   `type:"existingfile" placeholder:"FILE" help:"Instead of a database: a box's history from the archive, as tapward-hub history wrote it."`
	HubLog  string   `placeholder:"VERIFIER" help:"The verifier key of the hub's own log of accepted checkpoints."`
	Witness []string `placeholder:"VERIFIER" help:"The verifier key of a witness of that log; may be given again."`
}

func (c verifyCommand) Run(ctx context.Context, t terminal) error {
	if (c.FromHub != "") == (c.Database != "") {
		return errors.New("give either a copy of a box's database, or --from-hub with a history of the archive")
	}
	if c.FromHub != "" {
		return c.verifyHistory(t)
	}
	v, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer v.copy.Close()
	if err := v.run(ctx); err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(t.out)
		e.SetIndent("", "  ")
		err = e.Encode(v.finding())
	} else {
		v.print(t.out)
	}
	if err == nil && v.wrong() != "" {
		err = errors.New("the log is not as it was written: " + v.wrong())
	}
	return err
}

// verification is one run of verify.
type verification struct {
	copy     *store.Copy
	verifier note.Verifier // nil: no key was given
	hub      note.Verifier // nil: none was given
	evidence []evidence
	receipts []audit.Head     // what the hospital says it has
	pruned   map[uint32]int64 // by epoch: below which index records may be gone
	anchor   string           // what is wrong with the anchor itself; empty: nothing
	report   audit.Report
}

// evidence is a head of the log that lies outside the database.
type evidence struct {
	from   string // a file, for people
	beside bool   // the anchor: it lies on the same disk as the database
	signed bool   // the signature was checked and is the box's
	head   audit.Head
}

func (c verifyCommand) begin(ctx context.Context) (*verification, error) {
	v := &verification{}
	if c.Key != "" {
		var err error
		if v.verifier, err = note.NewVerifier(c.Key); err != nil {
			return nil, fmt.Errorf("read --key: %w; it is the line that `tapward keys` prints for the log", err)
		}
	}
	if c.HubKey != "" {
		var err error
		if v.hub, err = uplink.NewStoredVerifier(c.HubKey); err != nil {
			return nil, fmt.Errorf("read --hub-key: %w", err)
		}
		if v.verifier == nil {
			return nil, errors.New("--hub-key needs --key too: a receipt is of this box's own checkpoint")
		}
	}
	var err error
	if v.copy, err = store.OpenCopy(ctx, c.Database); err != nil {
		return nil, err
	}
	// The anchor is read before the log: beside a running box the log may only be ahead of it.
	if err := errors.Join(v.takeAnchor(c.Database), v.takeCheckpoints(c.Checkpoint), v.takeReceipts(ctx)); err != nil {
		v.copy.Close()
		return nil, err
	}
	return v, nil
}

// takeAnchor takes the checkpoint beside the database. A damaged anchor is a finding, not a failure.
func (v *verification) takeAnchor(database string) error {
	checkpoint, err := readAnchor(database)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && checkpoint == "":
		return nil
	case err != nil:
		v.anchor = err.Error()
	}
	if checkpoint == "" {
		return nil
	}
	if err := v.take(checkpoint, "the anchor beside it", true); err != nil {
		v.anchor = err.Error()
	}
	return nil
}

func (v *verification) takeCheckpoints(files []string) error {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = v.take(string(text), file, false)
		}
		if err != nil {
			return fmt.Errorf("checkpoint %s: %w", file, err)
		}
	}
	return nil
}

// take adds a checkpoint to the evidence. Without a key what it says is compared all the same: one that does not fit the
// log is an alarm, whoever signed it.
func (v *verification) take(checkpoint, from string, beside bool) error {
	box, head, err := audit.PeekCheckpoint(checkpoint)
	if err != nil {
		return err
	}
	if box != v.copy.Box {
		return fmt.Errorf("it is of box %s and the database is of box %s", box, v.copy.Box)
	}
	if v.verifier != nil {
		if head, err = audit.OpenCheckpoint(checkpoint, v.verifier); err != nil {
			return fmt.Errorf("%w: the key of --key did not sign it", err)
		}
	}
	v.evidence = append(v.evidence, evidence{from, beside, v.verifier != nil, head})
	return nil
}

// takeReceipts takes the receipts in the database. The hospital's cosignature makes one as good as a checkpoint that was
// kept elsewhere; without a key to check it, it is as good as the anchor.
func (v *verification) takeReceipts(ctx context.Context) error {
	receipts, err := v.copy.Receipts(ctx)
	if err != nil {
		return err
	}
	for _, r := range receipts {
		from := fmt.Sprintf("the hospital's receipt for epoch %d", r.Epoch)
		if err := v.take(r.Stored, from, v.hub == nil); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		if v.hub != nil {
			if _, _, err := uplink.OpenStored(r.Stored, v.verifier, v.hub); err != nil {
				return fmt.Errorf("%s: %w: the key of --hub-key did not sign it", from, err)
			}
		}
		v.receipts = append(v.receipts, v.evidence[len(v.evidence)-1].head)
	}
	return nil
}

func (v *verification) run(ctx context.Context) error {
	var heads []audit.Head
	for _, e := range v.evidence {
		heads = append(heads, e.head)
	}
	verifier := audit.NewVerifier(heads...)
	for _, head := range v.receipts {
		verifier.Pruned(head)
	}
	var err error
	if v.report, err = v.copy.Verify(ctx, verifier); err != nil {
		return err
	}
	v.pruned = map[uint32]int64{}
	for _, head := range v.report.Heads {
		if v.pruned[head.Epoch], err = v.copy.PrunedBelow(ctx, head.Epoch); err != nil {
			return err
		}
	}
	return nil
}

// wrong is the first thing that is not as it was written; empty where all is.
func (v *verification) wrong() string {
	if v.report.Bad != nil {
		return v.report.Bad.String()
	}
	return v.anchor
}

// covered is how many records of an epoch the evidence that fits a condition reaches to.
func (v *verification) covered(epoch uint32, fits func(evidence) bool) (size int64) {
	for _, e := range v.evidence {
		if e.head.Epoch == epoch && fits(e) {
			size = max(size, e.head.Size)
		}
	}
	return size
}

// newest is the head of the last epoch that was verified to its end.
func (v *verification) newest() audit.Head {
	if n := len(v.report.Heads); n > 0 {
		return v.report.Heads[n-1]
	}
	return audit.Head{}
}

// verifyFinding is the outcome as JSON.
type verifyFinding struct {
	Box       gateway.BoxID `json:"box"`
	OK        bool          `json:"ok"`
	Wrong     string        `json:"wrong,omitempty"`
	Records   int64         `json:"records"`
	Openings  int64         `json:"openings"`
	Forgotten int64         `json:"forgotten"`
	Pruned    int64         `json:"pruned"`
	Heads     []headFinding `json:"epochs"`
	Proven    []string      `json:"proven"`
	NotProven []string      `json:"not_proven"`
}

type headFinding struct {
	Epoch uint32         `json:"epoch"`
	Size  int64          `json:"size"`
	Root  gateway.Digest `json:"root"`
}

func (v *verification) finding() verifyFinding {
	f := verifyFinding{
		Box: v.copy.Box, OK: v.wrong() == "", Wrong: v.wrong(), Records: v.report.Records, Openings: v.report.Openings,
		Forgotten: v.report.Forgotten, Pruned: v.report.Pruned, Proven: v.proven(), NotProven: v.notProven(), Heads: []headFinding{},
	}
	for _, h := range v.report.Heads {
		f.Heads = append(f.Heads, headFinding(h))
	}
	return f
}
