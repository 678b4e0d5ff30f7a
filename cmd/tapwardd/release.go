package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"tapward/sync/bundle"
	"tapward/sync/enrol"
	"tapward/sync/uplink"
	"tapward/sync/upstream"
)

// releases is what takes the hub's decisions and reports what is in force.
func (h hospital) releases(ctx context.Context, client *upstream.Client, t enrol.Trust) (*bundle.Bundle, error) {
	return bundle.New(bundle.Config{
		Address: h.address(), Ward: h.config.Ward, Version: version(), Key: t.Hub.Release,
		Stored: func() (uint32, int64) { return h.stored(ctx) },
	}, hub{client, h.address(), h.config.Ward}, h.engine, h.log)
}

// stored is the newest receipt.
func (h hospital) stored(ctx context.Context) (epoch uint32, size int64) {
	receipts, err := h.db.Receipts(ctx)
	if err != nil {
		h.log.Warn("Cannot report what the hospital has stored", "err", err)
	}
	if len(receipts) == 0 {
		return 0, 0
	}
	newest := receipts[len(receipts)-1]
	return newest.Epoch, newest.Size
}

// hub is the client as the bundle wants it.
type hub struct {
	client  *upstream.Client
	address uplink.Address
	ward    string
}

func (h hub) Watch(ctx context.Context, deliver func(uplink.Kind, []byte), kinds ...uplink.Kind) error {
	entries, of := []upstream.Entry{}, map[string]uplink.Kind{}
	for _, kind := range kinds {
		e := upstream.Entry{Bucket: uplink.ReleaseBucket, Key: uplink.ReleaseKey(kind, h.address.Site, h.ward)}
		entries, of[uplink.BucketSubject(e.Bucket, e.Key)] = append(entries, e), kind
	}
	return h.client.Watch(ctx, func(m upstream.Message) { deliver(of[m.Subject], m.Payload) }, entries...)
}

func (h hub) Report(ctx context.Context, report []byte) error {
	return h.client.Put(ctx, uplink.ReportBucket, h.address.Key(), report)
}

// refused says in words what was released to this box and is not in force.
func refused(s bundle.State) string {
	var words []string
	for kind, why := range s.Refused {
		words = append(words, fmt.Sprintf("the release of %s was not taken: %s", kind, why))
	}
	slices.Sort(words)
	return strings.Join(words, "; ")
}

func version() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		return build.Main.Version
	}
	return "unknown"
}
