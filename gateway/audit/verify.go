package audit

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Stored is one record as a log holds it: sealed, with the hashes that Append gave for it. Of a pruned record the hashes
// are all that is left: its Leaf is nil.
type Stored struct {
	Sealed
	Hashes []tlog.Hash
}

// Report is the outcome of a verification.
type Report struct {
	Records   int64  // verified before the first bad one, pruned ones included
	Pruned    int64  // of them, those whose leaf lies elsewhere, as a head given to Pruned says
	Openings  int64  // present and right
	Forgotten int64  // erased
	Heads     []Head // of every epoch verified to its end
	Breaks    []Leaf // first leaves of epochs that were opened because evidence contradicted the log before them
	Bad       *Bad   // nil: everything is as it was written
}

// Bad is the first record that is not as it was written. Index is -1 where the fault is of a whole epoch.
type Bad struct {
	Epoch uint32
	Index int64
	What  string
}

func (b Bad) String() string {
	if b.Index < 0 {
		return fmt.Sprintf("epoch %d: %s", b.Epoch, b.What)
	}
	return fmt.Sprintf("epoch %d, record %d: %s", b.Epoch, b.Index, b.What)
}

// Verifier re-checks a log epoch by epoch, oldest first. Trusted heads come from checkpoints whose signature was
// checked (OpenCheckpoint); without any, a log that somebody rewrote as a whole cannot be told from a true one.
type Verifier struct {
	trusted []Head
	pruned  map[uint32]int64 // by epoch: the size below which leaves may be missing
	report  Report

	epoch   uint32
	tree    Tree
	waiting []Head // trusted heads of this epoch that lie ahead, smallest first
	matched int64  // size up to which a trusted head has confirmed this epoch
	boot    uint64
	uptime  time.Duration
}

// NewVerifier starts a verification against any number of trusted heads.
func NewVerifier(trusted ...Head) *Verifier {
	return &Verifier{trusted: slices.Clone(trusted)}
}

// Pruned adds a trusted head of somebody who signed that they store what it covers: of these records the leaf may be
// missing from the log. Their hashes must be there, and add up to the head. It belongs before the first Epoch.
func (v *Verifier) Pruned(head Head) {
	if v.pruned == nil {
		v.pruned = map[uint32]int64{}
	}
	v.trusted = append(v.trusted, head)
	v.pruned[head.Epoch] = max(v.pruned[head.Epoch], head.Size)
}

// Report is the outcome so far.
func (v *Verifier) Report() Report { return v.report }

// Epoch checks one whole epoch and says whether to go on. It returns an error only where the log could not be read;
// everything wrong with what was read goes into the Report.
func (v *Verifier) Epoch(epoch uint32, records iter.Seq2[Stored, error]) (ok bool, err error) {
	if v.report.Bad != nil {
		return false, nil
	}
	if !v.begin(epoch) {
		return false, nil
	}
	for record, err := range records {
		if err != nil {
			return false, fmt.Errorf("read epoch %d at record %d: %w", epoch, v.tree.size, err)
		}
		if what := v.record(record); what != "" {
			return v.bad(v.tree.size, what), nil
		}
		if what := v.checkpoint(); what != "" {
			return v.bad(-1, what), nil
		}
	}
	return v.end(), nil
}

// Finish checks that no trusted head is of an epoch the log does not hold.
func (v *Verifier) Finish() Report {
	for _, head := range v.trusted {
		held := slices.ContainsFunc(v.report.Heads, func(h Head) bool { return h.Epoch == head.Epoch })
		if v.report.Bad == nil && head.Size > 0 && !held {
			what := fmt.Sprintf("a checkpoint covers %d records of this epoch and the log holds none", head.Size)
			v.report.Bad = &Bad{Epoch: head.Epoch, Index: -1, What: what}
		}
	}
	return v.report
}

func (v *Verifier) begin(epoch uint32) bool {
	if epoch <= v.epoch {
		v.epoch = epoch
		return v.bad(-1, "it comes after a later epoch, or is none: epochs count from 1")
	}
	v.epoch, v.tree, v.matched, v.uptime = epoch, Tree{Epoch: epoch}, 0, 0
	v.waiting = slices.DeleteFunc(slices.Clone(v.trusted), func(h Head) bool { return h.Epoch != epoch })
	slices.SortFunc(v.waiting, func(a, b Head) int { return cmp.Compare(a.Size, b.Size) })
	if what := v.checkpoint(); what != "" {
		return v.bad(-1, what)
	}
	return true
}

// record checks one record and appends it to the tree, or says what is wrong with it.
func (v *Verifier) record(s Stored) string {
	if s.Index != v.tree.size {
		return fmt.Sprintf("it is missing; the next one found is record %d", s.Index)
	}
	if s.Leaf == nil {
		return v.hash(s)
	}
	leaf, err := Decode(s.Leaf)
	if err != nil {
		return err.Error()
	}
	if leaf.Epoch != v.epoch || leaf.Index != s.Index {
		return fmt.Sprintf("the leaf says that it is record %d of epoch %d", leaf.Index, leaf.Epoch)
	}
	next, completed := v.tree.Append(s.Leaf)
	if what := sameHashes(s.Hashes, completed); what != "" {
		return what
	}
	if what := v.order(leaf.Entry); what != "" {
		return what
	}
	_, forgotten, err := leaf.Reveal(s.Openings)
	if err != nil {
		return err.Error()
	}
	if leaf.Entry.Record.Kind == EpochOpened {
		v.report.Breaks = append(v.report.Breaks, leaf)
	}
	v.tree = next
	v.report.Records++
	v.report.Openings += int64(len(s.Openings))
	v.report.Forgotten += int64(len(forgotten))
	return ""
}

// hash checks what is left of a pruned record and appends it to the tree, or says what is wrong with it.
func (v *Verifier) hash(s Stored) string {
	switch {
	case s.Index >= v.pruned[v.epoch]:
		return "its leaf is missing and no receipt says who has it"
	case s.Index == 0:
		return "its leaf is missing: the first of an epoch is never pruned"
	case len(s.Openings) > 0:
		return "there are openings and no leaf"
	case len(s.Hashes) == 0:
		return "it has no stored hashes"
	}
	next, completed := v.tree.appendHash(s.Hashes[0])
	if what := sameHashes(s.Hashes, completed); what != "" {
		return what
	}
	v.tree = next
	v.report.Records++
	v.report.Pruned++
	return ""
}

func sameHashes(stored, want []tlog.Hash) string {
	switch {
	case len(stored) != len(want):
		return fmt.Sprintf("it has %d stored hashes instead of %d", len(stored), len(want))
	case stored[0] != want[0]:
		return "the leaf does not match its stored hash: one of the two was changed"
	}
	for level := range want {
		if stored[level] != want[level] {
			return fmt.Sprintf("the stored hash of the subtree at level %d is wrong", level)
		}
	}
	return ""
}

// order checks what must hold between a record and those before it. Wall time is not among it: a clock may be set back.
func (v *Verifier) order(e Entry) string {
	switch {
	case e.Boot < v.boot:
		return fmt.Sprintf("the boot counter went back from %d to %d", v.boot, e.Boot)
	case e.Boot == v.boot && e.Uptime != 0 && e.Uptime < v.uptime:
		return fmt.Sprintf("time since boot went back from %s to %s", v.uptime, e.Uptime)
	case e.Record.Kind == EpochOpened && (v.tree.size != 0 || v.epoch == FirstEpoch):
		return "an epoch is opened in its midst, or the first is"
	case e.Record.Kind != EpochOpened && v.tree.size == 0 && v.epoch > FirstEpoch:
		return "a later epoch must begin by naming the checkpoint it replaces"
	case e.Record.Kind == EpochOpened && e.Held != v.before():
		return fmt.Sprintf("it says that the log before held %d records of epoch %d, and that is not so", e.Held.Size, e.Held.Epoch)
	}
	if e.Boot != v.boot || e.Uptime != 0 {
		v.boot, v.uptime = e.Boot, e.Uptime
	}
	return ""
}

// before is the head of the epoch before this one in the log; zero where this is the first.
func (v *Verifier) before() Head {
	if len(v.report.Heads) == 0 {
		return Head{}
	}
	return v.report.Heads[len(v.report.Heads)-1]
}

// checkpoint compares the tree with the trusted heads of this size.
func (v *Verifier) checkpoint() string {
	for len(v.waiting) > 0 && v.waiting[0].Size == v.tree.size {
		if v.tree.Head().Root != v.waiting[0].Root {
			return fmt.Sprintf("records %d to %d were rewritten: they do not add up to the checkpoint at size %d",
				v.matched, v.tree.size-1, v.tree.size)
		}
		v.matched = v.tree.size
		v.waiting = v.waiting[1:]
	}
	return ""
}

func (v *Verifier) end() bool {
	if len(v.waiting) > 0 {
		return v.bad(v.tree.size, fmt.Sprintf("it is missing, and all after it: a checkpoint covers %d records",
			v.waiting[len(v.waiting)-1].Size))
	}
	v.report.Heads = append(v.report.Heads, v.tree.Head())
	return true
}

func (v *Verifier) bad(index int64, what string) bool {
	v.report.Bad = &Bad{Epoch: v.epoch, Index: index, What: what}
	return false
}
