// Package journal writes what people and the hub itself decide as records of a log of the hub's own, in the archive: it is
// kept, proven, witnessed and exported like a box's.
package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/claim"
	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

// Box is the name under which the hub's own log stands among those of the boxes. No box may bear it.
const Box gateway.BoxID = claim.Reserved

// Archive is where the log lies.
type Archive interface {
	Tree(context.Context, archive.Origin) (audit.Tree, error)
	Append(context.Context, archive.Batch) (seq int64, err error)
}

// Config is what a journal writes with. All are required.
type Config struct {
	Site    string
	Archive Archive
	Log     note.Signer   // of the hub's own checkpoints, a log key of box "hub"
	Public  note.Verifier // its other half
	Stored  note.Signer   // cosigns what is stored, as for every box
}

// Journal writes the log. Several hubs may write the same one: each record lands behind the newest.
type Journal struct {
	config  Config
	origin  archive.Origin
	writing sync.Mutex
}

// New starts nothing.
func New(c Config) *Journal {
	return &Journal{config: c, origin: archive.Origin{Address: uplink.Address{Site: c.Site, Box: Box}, Epoch: audit.FirstEpoch}}
}

// turns bounds how often a record is tried while other hubs write too.
const turns = 16

// Record makes a record durable. After an error it may be there all the same: whoever must not lose it writes it again,
// and a reader sees it twice.
func (j *Journal) Record(ctx context.Context, r gateway.Record) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	for range turns {
		err := j.append(ctx, r)
		if !errors.Is(err, archive.ErrMoved) {
			return err
		}
	}
	return fmt.Errorf("record %s in the hub's own log: other hubs were faster %d times", r.Kind, turns)
}

func (j *Journal) append(ctx context.Context, r gateway.Record) error {
	tree, err := j.config.Archive.Tree(ctx, j.origin)
	if err != nil {
		return fmt.Errorf("record %s in the hub's own log: %w", r.Kind, err)
	}
	batch, err := j.batch(tree, r)
	if err != nil {
		return fmt.Errorf("record %s in the hub's own log: %w", r.Kind, err)
	}
	if _, err := j.config.Archive.Append(ctx, batch); err != nil {
		return fmt.Errorf("record %s in the hub's own log: %w", r.Kind, err)
	}
	return nil
}

// batch is the one record as the next of the tree.
func (j *Journal) batch(tree audit.Tree, r gateway.Record) (archive.Batch, error) {
	now := time.Now()
	entry := audit.Entry{Record: r, At: now, Machine: string(Box)}
	body, openings, err := audit.Seal(j.origin.Epoch, tree.Size(), entry, rand.Reader)
	if err != nil {
		return archive.Batch{}, err
	}
	leaf, err := audit.Decode(body)
	if err != nil {
		return archive.Batch{}, err
	}
	if leaf, _, err = leaf.Reveal(openings); err != nil {
		return archive.Batch{}, err
	}
	next, hashes := tree.Append(body)
	checkpoint, err := audit.SignCheckpoint(Box, next.Head(), j.config.Log)
	if err != nil {
		return archive.Batch{}, err
	}
	stored, err := uplink.SignStored(checkpoint, j.config.Public, j.config.Stored)
	if err != nil {
		return archive.Batch{}, err
	}
	return archive.Batch{
		Origin:  j.origin,
		Records: []audit.Stored{{Sealed: audit.Sealed{Index: tree.Size(), Leaf: body, Openings: openings}, Hashes: hashes}},
		Leaves:  []audit.Leaf{leaf}, Checkpoint: checkpoint, Stored: stored, At: now,
	}, nil
}
