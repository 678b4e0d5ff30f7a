package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/policy"
	"tapward/sync/uplink"
)

// receive opens what came and takes it, or remembers why not.
func (b *Bundle) receive(ctx context.Context, m message) {
	r, err := b.open(m)
	if err != nil {
		b.refuse(m.kind, err)
		return
	}
	b.take(ctx, r)
}

// open checks who signed it and for whom.
func (b *Bundle) open(m message) (uplink.Release, error) {
	r, err := uplink.OpenRelease(m.signed, b.config.Key)
	switch {
	case err != nil:
		return r, err
	case r.Kind != m.kind:
		return r, fmt.Errorf("it is a release of %s where %s are kept", r.Kind, m.kind)
	case r.Site != b.config.Address.Site:
		return r, fmt.Errorf("it is of site %q and this box of %q", r.Site, b.config.Address.Site)
	case r.Ward != "" && r.Ward != b.config.Ward:
		return r, fmt.Errorf("it is of ward %q and this box of %q", r.Ward, b.config.Ward)
	}
	return r, nil
}

// take puts a release into force if it is newer than the one that is.
func (b *Bundle) take(ctx context.Context, r uplink.Release) {
	have, digest := b.standing(r.Kind), gateway.Digest(sha256.Sum256(r.Body))
	switch {
	case r.Version == have.Version && digest == have.Digest:
		b.inForce(r)
		return
	case r.Version <= have.Version:
		delete(b.waiting, r.Kind)
		b.refuse(r.Kind, fmt.Errorf("version %d is not above %d, which is in force", r.Version, have.Version))
		return
	case b.known(r.Kind, digest):
		return
	}
	act, err := b.act(r, digest)
	if err == nil {
		err = b.engine.Do(ctx, fmt.Sprintf("hub release %d", r.Version), act)
	}
	switch {
	case err == nil:
		b.log.Info("The hospital's release is in force", "kind", string(r.Kind), "version", r.Version)
		b.mu.Lock()
		b.applied[r.Kind] = uplink.Applied{Version: r.Version, Digest: digest, At: time.Now()}
		b.mu.Unlock()
		b.inForce(r)
		b.wake()
		return
	case ctx.Err() != nil:
		return // the newest comes again after the next start
	case passing(err):
		b.waiting[r.Kind] = r
	default:
		delete(b.waiting, r.Kind)
		b.mu.Lock()
		b.refused[r.Kind] = digest
		b.mu.Unlock()
	}
	b.refuse(r.Kind, fmt.Errorf("version %d: %w", r.Version, err))
}

// act is what the engine is asked to do.
func (b *Bundle) act(r uplink.Release, digest gateway.Digest) (gateway.Act, error) {
	if r.Kind == uplink.Revocations {
		list, err := uplink.ParseRevoked(r.Body)
		if err != nil {
			return nil, err
		}
		if list.Through != r.Version {
			return nil, fmt.Errorf("it is signed as version %d and goes through number %d", r.Version, list.Through)
		}
		return gateway.InstallRevocations{Revocations: gateway.Revocations{
			Through: list.Through, Issued: r.Issued, Digest: digest, List: list.List,
		}}, nil
	}
	// The engine says what is wrong with a document, and writes it down.
	if doc, err := policy.Parse(r.Body); err == nil && (doc.Site != r.Site || doc.Version != r.Version) {
		return nil, fmt.Errorf("the document is version %d of site %q", doc.Version, doc.Site)
	}
	return gateway.LoadPolicy{Document: r.Body}, nil
}

// passing says that an act may yet be done as it is: the disk was full, or nobody answered.
func passing(err error) bool {
	known := (*gateway.Refusal)(nil)
	if errors.As(err, &known) {
		return known.Reason == gateway.StorageExhausted
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// standing is what is in force: a policy may also have been loaded by hand.
func (b *Bundle) standing(kind uplink.Kind) uplink.Applied {
	w, _ := b.engine.Ward()
	shown := uplink.Applied{Version: w.Policy.Version, Digest: w.Policy.Digest, At: w.Policy.Since}
	if kind == uplink.Revocations {
		shown = uplink.Applied{Version: w.Revoked.Through, Digest: w.Revoked.Digest}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if mine := b.applied[kind]; mine.Version >= shown.Version {
		return mine
	}
	return shown
}

// inForce notes that the newest release is what the box runs, and when the hub last said so.
func (b *Bundle) inForce(r uplink.Release) {
	b.mu.Lock()
	news := b.state.Refused[r.Kind] != ""
	delete(b.state.Refused, r.Kind)
	if r.Kind == uplink.Revocations && (r.Issued.After(b.state.Issued) || b.state.Heard.IsZero() && r.Issued.Equal(b.state.Issued)) {
		b.state.Issued, b.state.Heard = r.Issued, time.Now()
	}
	b.mu.Unlock()
	delete(b.waiting, r.Kind)
	if news {
		b.wake()
	}
}

// maxWhy bounds what a report says of one refusal: a document may have a mistake on every line.
const maxWhy = 1024

func (b *Bundle) refuse(kind uplink.Kind, err error) {
	why := err.Error()
	why = strings.ToValidUTF8(why[:min(len(why), maxWhy)], "")
	b.mu.Lock()
	news := b.state.Refused[kind] != why
	b.state.Refused[kind] = why
	b.mu.Unlock()
	if news {
		b.log.Warn("A release was not taken", "kind", string(kind), "err", err)
		b.wake()
	}
}

func (b *Bundle) known(kind uplink.Kind, digest gateway.Digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused[kind] == digest
}

func (b *Bundle) wake() {
	select {
	case b.tell <- struct{}{}:
	default:
	}
}
