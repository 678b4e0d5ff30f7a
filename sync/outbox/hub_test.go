package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"tapward/gateway/audit"
	"tapward/sync/outbox"
	"tapward/sync/uplink"
)

// broker is one subject of a stream.
type broker struct {
	mu       sync.Mutex
	messages []outbox.Newest
	sequence uint64
	faults   []fault // for the next publishes
	down     bool
	landed   func() // called after each message, without the lock
}

type fault int

const (
	ackLost  fault = iota // stored, and the box does not hear of it
	dropped               // not stored, and the box hears nothing
	delayed               // stored, after long
	repeated              // stored, after which the network delivers it once more
)

var errBroker = errors.New("no answer")

func (b *broker) Publish(ctx context.Context, _ string, header map[string]string, payload []byte, after uint64) (uint64, error) {
	b.mu.Lock()
	var f fault = -1
	if len(b.faults) > 0 {
		f, b.faults = b.faults[0], b.faults[1:]
	}
	b.mu.Unlock()
	if f == delayed {
		select {
		case <-time.After(30 * time.Second):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if f == dropped {
		return 0, errBroker
	}
	seq, err := b.store(header, payload, after)
	if f == repeated {
		if _, again := b.store(header, payload, after); again == nil && err == nil {
			panic("the same message was stored twice")
		}
	}
	if f == ackLost {
		return 0, errBroker
	}
	return seq, err
}

func (b *broker) store(header map[string]string, payload []byte, after uint64) (uint64, error) {
	b.mu.Lock()
	if b.down {
		b.mu.Unlock()
		return 0, errBroker
	}
	last := uint64(0)
	if n := len(b.messages); n > 0 {
		last = b.messages[n-1].Sequence
	}
	if after != last {
		b.mu.Unlock()
		return 0, fmt.Errorf("the newest has sequence %d, not %d", last, after)
	}
	b.sequence += 3 // other boxes' messages lie between
	seq := b.sequence
	b.messages = append(b.messages, outbox.Newest{Header: header, Payload: payload, Sequence: seq})
	b.mu.Unlock()
	if b.landed != nil {
		b.landed()
	}
	return seq, nil
}

func (b *broker) Newest(context.Context) (outbox.Newest, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.down:
		return outbox.Newest{}, errBroker
	case len(b.messages) == 0:
		return outbox.Newest{}, nil
	}
	return b.messages[len(b.messages)-1], nil
}

func (b *broker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.messages)
}

// lose takes the newest messages away, as a broker does that was restored from a snapshot.
func (b *broker) lose(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = b.messages[:max(0, len(b.messages)-n)]
}

func (b *broker) setDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// hub stores what comes as ingest does, and answers with receipts.
type hub struct {
	w *world

	mu       sync.Mutex
	archive  archive
	backups  []backup
	next     uint64 // sequence from which on messages were not looked at
	paused   bool
	refusing string
	newest   []byte           // receipt in the bucket
	claimed  map[uint32]int64 // the highest size it ever gave a receipt for
	twice    int              // records stored twice
}

type archive map[uint32]part

type part struct {
	tree       audit.Tree
	leaves     [][]byte
	checkpoint string
}

func (a archive) of(epoch uint32) part {
	if p, ok := a[epoch]; ok {
		return p
	}
	return part{tree: audit.Tree{Epoch: epoch}}
}

type backup struct {
	archive archive
	at      time.Time
}

func newHub(w *world) *hub {
	h := &hub{w: w, archive: archive{}, claimed: map[uint32]int64{}}
	w.broker.landed = func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.paused {
			h.ingest()
		}
	}
	return h
}

// ingest looks at what the broker has that was not looked at. The lock is held.
func (h *hub) ingest() {
	h.w.broker.mu.Lock()
	messages := slices.Clone(h.w.broker.messages)
	h.w.broker.mu.Unlock()
	for _, m := range messages {
		if m.Sequence < h.next {
			continue
		}
		h.next = m.Sequence + 1
		b, err := audit.DecodeBundle(m.Payload)
		must(h.w.t, err)
		if h.refusing != "" {
			h.answer(b.Epoch, false)
			continue
		}
		head, _, err := b.Open(h.w.keys.box)
		must(h.w.t, err)
		if _, safe, err := audit.PeekCheckpoint(h.w.db.Checkpoint()); err != nil || safe.Epoch == head.Epoch && safe.Size < head.Size || safe.Epoch < head.Epoch {
			h.w.t.Errorf("sent a checkpoint at %d of epoch %d, and only %+v is safe (%v)", head.Size, head.Epoch, safe, err)
		}
		p := h.archive.of(b.Epoch)
		next, added, err := b.Extend(p.tree, head)
		if f := (*audit.Fault)(nil); errors.As(err, &f) && f.Reason == audit.Gapped {
			h.answer(b.Epoch, true)
			continue
		}
		must(h.w.t, err)
		for _, r := range added {
			if r.Index != int64(len(p.leaves)) {
				h.twice++
			}
			p.leaves = append(p.leaves, r.Leaf)
		}
		if p.tree = next; len(added) > 0 {
			p.checkpoint = b.Checkpoint
		}
		h.archive[b.Epoch] = p
		h.answer(b.Epoch, false)
	}
}

// answer puts a receipt into the bucket and lets the box hear it. The lock is held.
func (h *hub) answer(epoch uint32, resend bool) {
	p := h.archive.of(epoch)
	r := uplink.Receipt{Epoch: epoch, Size: p.tree.Size(), Resend: resend, Refused: h.refusing}
	var err error
	if r.Size > 0 {
		r.Stored, err = uplink.SignStored(p.checkpoint, h.w.keys.box, h.w.keys.cosigner)
		must(h.w.t, err)
		h.claimed[epoch] = max(h.claimed[epoch], r.Size)
	}
	h.newest, err = r.Encode()
	must(h.w.t, err)
	h.hear()
}

func (h *hub) hear() {
	if h.newest != nil && h.w.box != nil {
		h.w.box.Receipt(context.Background(), h.newest)
	}
}

// tell lets the box hear the newest receipt.
func (h *hub) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hear()
}

func (h *hub) setPaused(paused bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.paused = paused; !paused {
		h.ingest()
	}
}

func (h *hub) back() {
	h.mu.Lock()
	defer h.mu.Unlock()
	copied := archive{}
	for epoch, p := range h.archive {
		p.leaves = slices.Clone(p.leaves)
		copied[epoch] = p
	}
	h.backups = append(h.backups, backup{copied, time.Now()})
}

// restore puts an older backup back, one younger than the boxes' retention, and asks for what is missing.
func (h *hub) restore(which int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.backups = slices.DeleteFunc(h.backups, func(b backup) bool { return time.Since(b.at) > retention/2 })
	if len(h.backups) == 0 {
		return
	}
	b := h.backups[which%len(h.backups)]
	h.archive = archive{}
	for epoch, p := range b.archive {
		p.leaves = slices.Clone(p.leaves)
		h.archive[epoch] = p
	}
	h.backups = []backup{b}
	h.answer(h.oldest(), true)
}

// refuse takes nothing more, or, where why is empty, everything again from where it stands.
func (h *hub) refuse(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.refusing
	h.refusing = why
	if before != "" && why == "" {
		h.answer(h.oldest(), true)
	}
}

// oldest is the first epoch of which something is missing that was once there, else the newest known.
func (h *hub) oldest() (oldest uint32) {
	oldest = audit.FirstEpoch
	for epoch := range h.archive {
		oldest = max(oldest, epoch)
	}
	for epoch, size := range h.claimed {
		if h.archive.of(epoch).tree.Size() < size {
			oldest = min(oldest, epoch)
		}
	}
	return oldest
}
