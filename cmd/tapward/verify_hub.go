package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway/audit"
	"tapward/sync/uplink"
)

// hubKeys are the public keys that somebody who trusts neither box nor hospital checks a history with.
type hubKeys struct {
	box       note.Verifier
	stored    note.Verifier
	log       note.Verifier   // of the hub's own log; nil: not given
	witnesses []note.Verifier // none: not given
}

func (c verifyCommand) hubKeys() (k hubKeys, err error) {
	if c.Key == "" || c.HubKey == "" {
		return k, errors.New("--from-hub needs --key, of the box's log, and --hub-key, of the hub's receipts")
	}
	if k.box, err = note.NewVerifier(c.Key); err != nil {
		return k, fmt.Errorf("read --key: %w", err)
	}
	if k.stored, err = uplink.NewStoredVerifier(c.HubKey); err != nil {
		return k, fmt.Errorf("read --hub-key: %w", err)
	}
	if c.HubLog != "" {
		if k.log, err = note.NewVerifier(c.HubLog); err != nil {
			return k, fmt.Errorf("read --hub-log: %w", err)
		}
	}
	for _, text := range c.Witness {
		w, err := uplink.NewStoredVerifier(text) // cosignatures are all of one kind
		if err != nil {
			return k, fmt.Errorf("read --witness: %w", err)
		}
		k.witnesses = append(k.witnesses, w)
	}
	if len(k.witnesses) > 0 && k.log == nil {
		return k, errors.New("--witness needs --hub-log, the key of the log that the witness saw")
	}
	return k, nil
}

// historyFinding is what a history proves.
type historyFinding struct {
	Site      string         `json:"site"`
	Box       string         `json:"box"`
	OK        bool           `json:"ok"`
	Wrong     string         `json:"wrong,omitempty"`
	Records   int64          `json:"records"`
	Expired   int64          `json:"expired"` // bodies that went with the retention
	Openings  int64          `json:"openings"`
	Forgotten int64          `json:"forgotten"`
	Epochs    []epochFinding `json:"epochs"`
}

type epochFinding struct {
	Epoch     uint32    `json:"epoch"`
	Size      int64     `json:"size"`
	Stored    time.Time `json:"stored"`              // cosigned by the hub
	Witnessed int64     `json:"witnessed,omitempty"` // of its records, those that a witness's cosignature covers
	By        []string  `json:"by,omitempty"`
}

// verifyHistory proves a box's whole log from a file of the archive alone.
func (c verifyCommand) verifyHistory(t terminal) error {
	keys, err := c.hubKeys()
	if err != nil {
		return err
	}
	file, err := os.Open(c.FromHub)
	if err != nil {
		return fmt.Errorf("open history: %w", err)
	}
	defer file.Close()
	f, err := checkHistory(file, keys)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(t.out)
		e.SetIndent("", "  ")
		err = e.Encode(f)
	} else {
		f.print(t.out, keys)
	}
	if err == nil && !f.OK {
		err = errors.New("the history is not as it was written: " + f.Wrong)
	}
	return err
}

// checkHistory reads a history once. An error means that it could not be read; what is wrong with it is in the finding.
func checkHistory(in io.Reader, keys hubKeys) (f historyFinding, err error) {
	r, err := uplink.NewHistoryReader(in)
	if err != nil {
		return f, err
	}
	f.Site, f.Box, f.Epochs = r.About().Site, string(r.About().Box), []epochFinding{}
	v := audit.NewVerifier()
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f, err
		}
		found, heads, err := keys.evidence(r.About(), e)
		if err != nil {
			f.Wrong = fmt.Sprintf("epoch %d: %v", e.Epoch, err)
			return f, nil
		}
		f.Epochs = append(f.Epochs, found)
		for _, head := range heads {
			v.Pruned(head)
		}
		if ok, err := v.Epoch(e.Epoch, r.Records(e)); err != nil {
			return f, err
		} else if !ok {
			break
		}
	}
	report := v.Finish()
	f.Records, f.Expired, f.Openings, f.Forgotten = report.Records, report.Pruned, report.Openings, report.Forgotten
	if report.Bad != nil {
		f.Wrong = report.Bad.String()
	}
	f.OK = f.Wrong == ""
	return f, nil
}

// evidence checks who signed for an epoch, and gives what its records must add up to.
func (k hubKeys) evidence(about uplink.Address, e uplink.HistoryEpoch) (f epochFinding, heads []audit.Head, err error) {
	head, at, err := uplink.OpenStored(e.Stored, k.box, k.stored)
	if err != nil {
		return f, nil, err
	}
	if head.Epoch != e.Epoch || head.Size != e.Size {
		return f, nil, fmt.Errorf("its receipt is of epoch %d at %d, the records end at %d", head.Epoch, head.Size, e.Size)
	}
	f = epochFinding{Epoch: e.Epoch, Size: e.Size, Stored: at}
	heads = []audit.Head{head}
	if len(e.Witnessed) == 0 || k.log == nil || len(k.witnesses) == 0 {
		return f, heads, nil
	}
	w, err := uplink.ParseWitnessed(e.Witnessed)
	if err != nil {
		return f, nil, err
	}
	seen, by, err := w.Verify(k.box, k.log, k.witnesses, 1)
	if err != nil {
		return f, nil, err
	}
	if w.Site != about.Site || seen.Epoch != e.Epoch || seen.Size > e.Size {
		return f, nil, fmt.Errorf("the witnessed checkpoint is of %s, epoch %d at %d", w.Site, seen.Epoch, seen.Size)
	}
	f.Witnessed = seen.Size
	for _, s := range by {
		f.By = append(f.By, s.Witness+" at "+s.At.Local().Format(time.DateTime))
	}
	return f, append(heads, seen), nil
}

func (f historyFinding) print(out io.Writer, k hubKeys) {
	fmt.Fprintf(out, "History of box %s of site %s, from the archive alone\n", f.Box, f.Site)
	if !f.OK {
		fmt.Fprintf(out, "WRONG\n  %s\n", f.Wrong)
		return
	}
	proven := []string{
		fmt.Sprintf("%d records in %s: none missing, every byte in accord with what the box signed", f.Records, count(len(f.Epochs), "epoch")),
		fmt.Sprintf("%d openings: every one is what its leaf was made from; %d were forgotten, which breaks no proof", f.Openings, f.Forgotten),
	}
	var not []string
	for _, e := range f.Epochs {
		proven = append(proven, fmt.Sprintf("epoch %d: the hub signed at %s that it has all %d", e.Epoch, e.Stored.Local().Format(time.DateTime), e.Size))
		for _, by := range e.By {
			proven = append(proven, fmt.Sprintf("epoch %d: the first %d were seen by %s and cannot have changed since, by whomever", e.Epoch, e.Witnessed, by))
		}
		if after := e.Size - e.Witnessed; after > 0 {
			not = append(not, fmt.Sprintf("epoch %d: that the hospital and the box together did not change %s that no witness covers", e.Epoch, count(int(after), "record")))
		}
	}
	if f.Expired > 0 {
		not = append(not, fmt.Sprintf("what %s said whose bodies went with the retention: their hashes are here", count(int(f.Expired), "record")))
	}
	if len(k.witnesses) == 0 {
		not = append(not, "what witnesses saw: their keys were not given (--hub-log, --witness)")
	}
	list(out, "Proven", proven)
	list(out, "Not proven", not)
}
