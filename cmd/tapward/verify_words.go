package main

import (
	"fmt"
	"io"
	"time"
)

func (v *verification) print(out io.Writer) {
	fmt.Fprintf(out, "Log of box %s\n", v.copy.Box)
	for _, h := range v.report.Heads {
		fmt.Fprintf(out, "  epoch %d: %d records, root %s", h.Epoch, h.Size, h.Root)
		if below := v.pruned[h.Epoch]; below > 0 {
			fmt.Fprintf(out, "; pruned below %d, receipted", below)
		}
		fmt.Fprintln(out)
	}
	for _, b := range v.report.Breaks {
		fmt.Fprintf(out, "  epoch %d was opened %s because of %q: the log before it held %d records of epoch %d, against a checkpoint\n",
			b.Epoch, b.Entry.At.Local().Format(time.DateTime), b.Entry.Record.Reasons, b.Entry.Held.Size, b.Entry.Held.Epoch)
	}
	if wrong := v.wrong(); wrong != "" {
		fmt.Fprintf(out, "WRONG\n  %s\n  %d records before it are in order.\n", wrong, v.report.Records)
		return
	}
	list(out, "Proven", v.proven())
	list(out, "Not proven", v.notProven())
}

func list(out io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(out, title)
	for _, line := range lines {
		fmt.Fprintln(out, "  - "+line)
	}
}

// proven is what holds, in words. Nothing is claimed about a log in which something is wrong.
func (v *verification) proven() []string {
	if v.wrong() != "" {
		return []string{}
	}
	words := []string{
		fmt.Sprintf("%d records in %s: none missing between the first and the last, every byte of leaf and tree in accord", v.report.Records, count(len(v.report.Heads), "epoch")),
		fmt.Sprintf("%d openings: every one is what its leaf was made from; %d were forgotten, which breaks no proof", v.report.Openings, v.report.Forgotten),
	}
	if v.report.Pruned > 0 && v.hub != nil {
		words = append(words, fmt.Sprintf("%s pruned from the box: the hospital signed that it has them", count(int(v.report.Pruned), "record")))
	}
	for _, e := range v.evidence {
		what := fmt.Sprintf("the first %d records of epoch %d are those of the checkpoint in %s", e.head.Size, e.head.Epoch, e.from)
		if e.signed {
			what += ", which the key signed"
		}
		words = append(words, what)
	}
	return words
}

// notProven is what nobody may conclude from this run.
func (v *verification) notProven() []string {
	words := []string{}
	if v.wrong() != "" {
		return words
	}
	given := func(e evidence) bool { return !e.beside }
	every := func(evidence) bool { return true }
	last := v.newest()
	reach := v.covered(last.Epoch, given)
	if reach == 0 {
		words = append(words, "that the log was not cut short or rewritten as a whole: no checkpoint of its newest epoch that was kept elsewhere was given (--checkpoint)")
	}
	if len(v.evidence) > 0 && v.verifier == nil {
		words = append(words, "who signed the checkpoints: the log's verifier key was not given (--key)")
	}
	if v.report.Pruned > 0 {
		words = append(words, fmt.Sprintf("what %s said that the box has pruned: their hashes are here and their leaves are in the hospital's archive", count(int(v.report.Pruned), "record")))
	}
	if v.report.Pruned > 0 && v.hub == nil {
		words = append(words, "that the hospital has what was pruned: the verifier key of its receipts was not given (--hub-key)")
	}
	if v.covered(last.Epoch, every) > 0 && reach == 0 {
		words = append(words, "anything against somebody who could write to the box's disk: the anchor lies beside the database")
	}
	if after := last.Size - v.covered(last.Epoch, every); after > 0 && len(v.evidence) > 0 {
		words = append(words, fmt.Sprintf("that %s after the newest checkpoint are all there were: nothing outside covers them yet", count(int(after), "record")))
	}
	return words
}
