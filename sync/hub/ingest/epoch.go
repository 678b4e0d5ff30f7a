package ingest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
)

// opened looks at the first record of a later epoch, which names the log that it replaces. A new epoch is always taken and
// always an alarm: a box does not begin one in daily work. Where what it names contradicts the archive, the earlier epoch
// is refused from then on.
func (t *turn) opened(ctx context.Context, o archive.Origin, p parcel) error {
	entry := p.leaves[0].Entry
	var said []string
	for _, claim := range []struct {
		name string
		head func() (audit.Head, error)
	}{
		{"the box's evidence", func() (audit.Head, error) {
			if entry.Prior == "" {
				return audit.Head{}, nil
			}
			return audit.OpenCheckpoint(entry.Prior, p.key)
		}},
		{"the box's database", func() (audit.Head, error) { return entry.Held, nil }},
	} {
		head, err := claim.head()
		if err != nil {
			said = append(said, fmt.Sprintf("%s is not signed with the box's log key", claim.name))
			continue
		}
		words, contradicts, err := t.account(ctx, o, head)
		if err != nil {
			return err
		}
		if words != "" {
			said = append(said, claim.name+" "+words)
		}
		if contradicts {
			earlier := archive.Origin{Address: o.Address, Epoch: head.Epoch}
			if err := t.quarantine(ctx, earlier, audit.Forked, "when a later epoch was opened, "+claim.name+" "+words, p.payload); err != nil {
				return err
			}
			t.behind = nil
		}
	}
	reason := audit.EvidenceLost
	if len(entry.Record.Reasons) > 0 {
		reason = entry.Record.Reasons[0]
	}
	return t.raise(ctx, archive.Incident{
		Origin: o, Reason: gateway.Reason(reason), What: "a new epoch was opened: " + strings.Join(said, "; "), Evidence: p.payload, Last: time.Now(),
	})
}

// account says how a head that a later epoch names stands to what is archived.
func (t *turn) account(ctx context.Context, o archive.Origin, head audit.Head) (words string, contradicts bool, err error) {
	if head.Size == 0 {
		return "held nothing", false, nil
	}
	if head.Epoch >= o.Epoch || head.Epoch < audit.FirstEpoch {
		return fmt.Sprintf("names epoch %d, which is not earlier", head.Epoch), false, nil
	}
	earlier := archive.Origin{Address: o.Address, Epoch: head.Epoch}
	s, err := t.Archive.Standing(ctx, earlier)
	if err != nil {
		return "", false, err
	}
	where := fmt.Sprintf("reaches to %d of epoch %d", head.Size, head.Epoch)
	if s.Size < head.Size {
		if s.Refused == "" {
			t.behind = &earlier
		}
		return fmt.Sprintf("%s, and only %d records of it are archived", where, s.Size), false, nil
	}
	same, err := audit.Consistent(head, s.Size, t.Archive.Hashes(ctx, earlier))
	switch {
	case err != nil:
		return "", false, err
	case !same:
		return where + ", and is not the log that is archived", true, nil
	case s.Size > head.Size:
		return fmt.Sprintf("%s, and the archive has the %d records after it as well", where, s.Size-head.Size), false, nil
	}
	return where + ", as the archive does", false, nil
}
