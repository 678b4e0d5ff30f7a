package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/sync/hub/archive"
	"tapward/sync/uplink"
)

// maxRefused keeps the words of a refusal within a receipt.
const maxRefused = 1 << 10

// plainReceipt says where the archive stands.
func plainReceipt(s archive.Standing) uplink.Receipt {
	r := uplink.Receipt{Epoch: s.Epoch, Size: s.Size, Stored: s.Stored, Refused: s.Refused}
	if len(r.Refused) > maxRefused {
		r.Refused = strings.ToValidUTF8(r.Refused[:maxRefused], "")
	}
	return r
}

// readReceipt reads a receipt that a hub of ours wrote; it is empty where that cannot be.
func readReceipt(in []byte) (r uplink.Receipt) {
	if json.Unmarshal(in, &r) != nil {
		return uplink.Receipt{}
	}
	return r
}

func addressOf(key string) (uplink.Address, error) {
	site, box, _ := strings.Cut(key, ".")
	a := uplink.Address{Site: site, Box: gateway.BoxID(box)}
	return a, a.Valid()
}

// answer decides on a receipt from the newest one that was published, with what is archived now; false: none is needed.
type answer func(ctx context.Context, said uplink.Receipt) (uplink.Receipt, bool, error)

// publish writes a receipt. What is published is read first and the archive after it, and the broker takes the receipt
// only if nobody else wrote one meanwhile: so an older state of the archive never replaces a newer one.
func (i *Ingest) publish(ctx context.Context, b *box, decide answer) error {
	for range 5 {
		if !b.heard {
			if err := b.hear(ctx, i.now().receipts); err != nil {
				return fmt.Errorf("read the receipt of %s: %w", b.address, err)
			}
		}
		r, needed, err := decide(ctx, b.said)
		if err != nil || !needed {
			return err
		}
		if r.Stored, err = i.anew(b, r); err != nil {
			return fmt.Errorf("cosign the receipt of %s: %w", b.address, err)
		}
		value, err := r.Encode()
		if err != nil {
			return err
		}
		b.heard = false
		revision, err := i.now().receipts.Update(ctx, b.address.Key(), value, b.revision)
		if err == nil {
			b.heard, b.said, b.revision = true, r, revision
			i.counts.receipts.Add(1)
			return nil
		}
		if apiErr := (*jetstream.APIError)(nil); !errors.As(err, &apiErr) || apiErr.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequence {
			return fmt.Errorf("publish the receipt of %s: %w", b.address, err)
		}
	}
	return fmt.Errorf("publish the receipt of %s: others write it all the time", b.address)
}

// anew is what a receipt says is stored. One that asks for records again or refuses them is signed now: a box goes by the
// newest cosignature, and it has a newer one than a hub that was put back from a backup.
func (i *Ingest) anew(b *box, r uplink.Receipt) (stored string, err error) {
	if r.Size == 0 || !r.Resend && r.Refused == "" {
		return r.Stored, nil
	}
	err = errors.New("no log key of the box has signed what is archived")
	for _, key := range b.keys {
		if stored, err = uplink.SignStored(r.Stored, key, i.Stored); err == nil {
			return stored, nil
		}
	}
	return "", err
}

// hear reads what is published.
func (b *box) hear(ctx context.Context, bucket jetstream.KeyValue) error {
	entry, err := bucket.Get(ctx, b.address.Key())
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		b.said, b.revision = uplink.Receipt{}, 0
	case err != nil:
		return err
	default:
		b.said, b.revision = readReceipt(entry.Value()), entry.Revision()
	}
	b.heard = true
	return nil
}

// stored answers that all of an origin that is archived is stored, and asks for what is missing behind it.
func (i *Ingest) stored(o archive.Origin, resend bool) answer {
	return func(ctx context.Context, _ uplink.Receipt) (uplink.Receipt, bool, error) {
		s, err := i.Archive.Standing(ctx, o)
		r := plainReceipt(s)
		r.Resend = resend && r.Refused == ""
		return r, true, err
	}
}

// compared answers where what is published is not what is archived. A receipt for more than is archived was true once:
// the hub's database was put back from a backup, and the box must send again.
func (i *Ingest) compared(a uplink.Address, newest uint32) answer {
	return func(ctx context.Context, said uplink.Receipt) (uplink.Receipt, bool, error) {
		if newest == 0 && said.Epoch == 0 {
			return uplink.Receipt{}, false, nil
		}
		epoch := max(newest, said.Epoch)
		if said.Epoch > newest && said.Size > 0 { // of that epoch nothing is left, and perhaps of the one before
			epoch = max(newest, audit.FirstEpoch)
		}
		s, err := i.Archive.Standing(ctx, archive.Origin{Address: a, Epoch: epoch})
		if err != nil {
			return uplink.Receipt{}, false, err
		}
		r := plainReceipt(s)
		if r.Epoch == said.Epoch && r.Size == said.Size && r.Refused == said.Refused {
			return r, false, nil
		}
		lost := said.Epoch > r.Epoch || said.Epoch == r.Epoch && said.Size > r.Size
		lifted := said.Epoch == r.Epoch && said.Refused != "" && r.Refused == ""
		r.Resend = r.Refused == "" && (said.Epoch == 0 || lost || lifted)
		if lost {
			i.Logger.Warn("A box had a receipt for records that are not in the archive: it is asked to send them again",
				"box", a.String(), "epoch", said.Epoch, "receipt", said.Size, "archived", r.Size)
		}
		return r, true, nil
	}
}
