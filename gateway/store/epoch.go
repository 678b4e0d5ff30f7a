package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// Compare judges a head that somebody outside the box kept (a phone, the hub, the anchor): empty where the log still
// holds what the head covers, otherwise why it does not. A head of an epoch that was replaced is settled already.
func (s *Store) Compare(ctx context.Context, outside audit.Head) (gateway.Reason, error) {
	inside := s.Head()
	switch {
	case outside.Epoch < inside.Epoch:
		return "", nil
	case outside.Epoch > inside.Epoch, outside.Size > inside.Size:
		return audit.RolledBack, nil
	}
	consistent, err := audit.Consistent(outside, inside.Size, s.Hashes(ctx, inside.Epoch))
	switch {
	case err != nil:
		return "", fmt.Errorf("compare with checkpoint: %w", err)
	case !consistent:
		return audit.Forked, nil
	}
	return "", nil
}

// OpenEpoch closes the log's tree for ever and begins the next, whose first leaf says why and names the checkpoint that
// contradicted the old one. e's kind and reasons are set here. It fails as Commit does, and belongs to the same goroutine.
func (s *Store) OpenEpoch(ctx context.Context, why gateway.Reason, prior string, e audit.Entry) (audit.Head, error) {
	if err := s.thaw(ctx); err != nil {
		return s.Head(), fmt.Errorf("open epoch: %w", err)
	}
	number := s.tree.Epoch + 1
	if _, head, err := audit.PeekCheckpoint(prior); err == nil {
		number = max(number, head.Epoch+1)
	}
	if number > maxEpoch {
		return s.Head(), fmt.Errorf("open epoch %d: the last one is %d", number, maxEpoch)
	}
	e.Record.Kind, e.Record.Reasons = audit.EpochOpened, []gateway.Reason{why}
	if e.Prior = prior; s.tree.Size() > 0 {
		e.Held = s.tree.Head()
	}
	row, tree, err := s.seal(audit.Tree{Epoch: number}, e)
	if err != nil {
		return s.Head(), fmt.Errorf("open epoch %d: %w", number, err)
	}
	err = s.transact(ctx, func(ctx context.Context) error { return s.writeLeaves(ctx, []leafRow{row}) })
	if err != nil {
		return s.Head(), fmt.Errorf("open epoch %d: %w", number, err)
	}
	s.tree = tree
	s.config.Log.Error("Opened a new epoch of the audit log: the database does not hold what was signed before",
		"epoch", number, "why", string(why))
	return s.announce(), nil
}

// confront compares the database with the anchor at start, and opens an epoch where they contradict each other.
func (s *Store) confront(ctx context.Context) error {
	e := audit.Entry{At: time.Now(), Clock: audit.ClockUnknown}
	outside, err := s.evidence()
	if err != nil {
		return s.withoutEvidence(ctx, err, e)
	}
	if outside.Size == 0 {
		return nil
	}
	inside, kept := s.tree.Head(), s.anchor.newest
	why, err := s.Compare(ctx, outside)
	if err != nil {
		return err
	}
	if inside.Size == 0 {
		why = audit.DatabaseIsGone
	}
	if why != "" {
		_, err := s.OpenEpoch(ctx, why, kept, e)
		return err
	}
	if outside.Epoch == inside.Epoch {
		s.newest.Store(&kept)
	}
	return nil
}

// evidence is the head that the anchor holds, zero where it was never written. An error says why it is no evidence: it is
// missing, it is not as it was written, or this box did not sign it.
func (s *Store) evidence() (audit.Head, error) {
	if s.anchor.newest == "" {
		return audit.Head{}, s.anchor.damage
	}
	box, head, err := audit.PeekCheckpoint(s.anchor.newest)
	if err != nil {
		return audit.Head{}, err
	}
	if s.config.Signer == nil {
		return head, nil
	}
	// Ed25519 signs the same text in the same way, so that signing once more is a verification.
	again, err := audit.SignCheckpoint(s.config.Box, head, s.config.Signer)
	if err != nil {
		return audit.Head{}, err
	}
	if box != s.config.Box || again != s.anchor.newest {
		return audit.Head{}, errors.New("the anchor was not signed with this box's log key")
	}
	return head, nil
}

// withoutEvidence goes on in a new epoch that says so: the log could have been cut short.
func (s *Store) withoutEvidence(ctx context.Context, lost error, e audit.Entry) error {
	e.Record.Words = lost.Error()
	if _, err := s.OpenEpoch(ctx, audit.EvidenceLost, "", e); err != nil {
		return err
	}
	return s.anchor.erase()
}
