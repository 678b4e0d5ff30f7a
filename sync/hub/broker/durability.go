package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tapward/sync/uplink"
)

// Assurance says how well the broker's promise to keep what it acknowledged is known.
type Assurance string

const (
	Verified     Assurance = "verified"       // every server with a copy was read and is as it must be
	Wrong        Assurance = "wrong"          // at least one is not: acknowledged messages can be lost
	Unverifiable Assurance = "not verifiable" // not every server could be read
)

// Durability is whether the streams are what durability needs, as read from the servers themselves.
type Durability struct {
	State Assurance
	What  []string // in words: what is wrong, or could not be read
	Peers []string // the servers that were read
	At    time.Time
}

func (d Durability) String() string {
	if len(d.What) == 0 {
		return fmt.Sprintf("%s on %s", d.State, strings.Join(d.Peers, ", "))
	}
	return fmt.Sprintf("%s: %s", d.State, strings.Join(d.What, "; "))
}

// Durability is what the last look, at start and then each minute, found.
func (b *Broker) Durability() Durability {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.durability
}

func (b *Broker) lookEachMinute(ctx context.Context) error {
	for pause(ctx, time.Minute) {
		b.Look(ctx)
	}
	return nil
}

// Look reads every server now, and says so in the log where the outcome is news.
func (b *Broker) Look(ctx context.Context) Durability {
	b.mu.Lock()
	system, before := b.system, b.durability
	b.mu.Unlock()
	d := durability(ctx, system, b.config.streams())
	d.At = time.Now()
	if ctx.Err() != nil {
		return d
	}
	b.mu.Lock()
	b.durability = d
	b.mu.Unlock()
	if before.String() == d.String() {
		return d
	}
	if d.State == Verified {
		b.log.Info("the broker's durability is verified", "servers", d.Peers)
	} else {
		b.log.Error("the broker's durability is "+string(d.State)+": acknowledged records may be lost with a server", "what", d.What)
	}
	return d
}

// serverState is what one server says of its disk and its copies of the streams.
type serverState struct {
	syncs   bool
	streams map[string]server.StreamDetail
}

func durability(ctx context.Context, system *nats.Conn, want []jetstream.StreamConfig) Durability {
	read := map[string]serverState{}
	missing := ask(ctx, system, "JSZ", server.JSzOptions{Account: hubAccount, Streams: true, Config: true}, func(a systemAnswer) error {
		var info server.JSInfo
		if err := json.Unmarshal(a.Data, &info); err != nil {
			return fmt.Errorf("server %s: %w", a.Server.Name, err)
		}
		state := serverState{syncs: info.Config.SyncAlways, streams: map[string]server.StreamDetail{}}
		for _, account := range info.AccountDetails {
			for _, s := range account.Streams {
				state.streams[s.Name] = s
			}
		}
		read[a.Server.Name] = state
		return nil
	})
	d := judge(read, want, missing == nil)
	if missing != nil && d.State != Verified {
		d.What = append(d.What, missing.Error())
	}
	return d
}

// judge compares what the servers said with what is wanted. all says that no server is missing; a server that started
// anew counts twice for a while, so that a missing one does not matter where every copy was read.
func judge(read map[string]serverState, want []jetstream.StreamConfig, all bool) Durability {
	d := Durability{State: Verified}
	wrong := func(format string, args ...any) {
		d.State, d.What = Wrong, append(d.What, fmt.Sprintf(format, args...))
	}
	var silent []string
	lazy, unread := map[string]bool{}, false
	for _, w := range want {
		copies := 0
		for name, s := range read {
			detail, holds := s.streams[w.Name]
			if !holds {
				continue
			}
			copies++
			if !slices.Contains(d.Peers, name) {
				d.Peers = append(d.Peers, name)
			}
			if !s.syncs && !lazy[name] {
				lazy[name] = true
				wrong("server %s acknowledges before its disk has it: set sync_interval: always in its jetstream block", name)
			}
			for _, what := range differences(detail.Config, w) {
				wrong("stream %s on server %s: %s", w.Name, name, what)
			}
			for _, peer := range members(detail) {
				if _, ok := read[peer]; !ok && !slices.Contains(silent, peer) {
					silent = append(silent, peer)
				}
			}
		}
		switch {
		case copies < max(w.Replicas, 1) && !all:
			unread = true
		case copies == 0:
			wrong("stream %s is on no server that answered", w.Name)
		case copies < w.Replicas && len(silent) == 0:
			wrong("stream %s has %d copies of %d", w.Name, copies, w.Replicas)
		}
	}
	for _, peer := range silent {
		d.What = append(d.What, fmt.Sprintf("server %s holds a copy and did not answer", peer))
	}
	if d.State == Verified && (len(silent) > 0 || unread) {
		d.State = Unverifiable
	}
	slices.Sort(d.Peers)
	slices.Sort(d.What)
	return d
}

// members are the servers that a stream's leader counts as its copies.
func members(s server.StreamDetail) []string {
	var out []string
	if s.Cluster == nil {
		return nil
	}
	if s.Cluster.Leader != "" {
		out = append(out, s.Cluster.Leader)
	}
	for _, r := range s.Cluster.Replicas {
		out = append(out, r.Name)
	}
	return out
}

// differences are those that can lose what was acknowledged.
func differences(is *server.StreamConfig, want jetstream.StreamConfig) []string {
	if is == nil {
		return []string{"its configuration was not shown"}
	}
	var out []string
	say := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	say(is.Storage != server.FileStorage, "it is in memory")
	say(is.PersistMode != server.DefaultPersistMode, "it acknowledges before writing (persist_mode)")
	say(is.NoAck, "it acknowledges nothing")
	say(is.Replicas < want.Replicas, "%d replicas of %d", is.Replicas, want.Replicas)
	say(!is.DenyDelete, "messages can be deleted (deny_delete)")
	say(!is.DenyPurge, "it can be purged (deny_purge)")
	say(is.AllowRollup, "a publisher can purge it (allow_rollup_hdrs)")
	say(is.Discard != server.DiscardNew && want.Name == uplink.AuditStream, "it discards old messages when it is full")
	say(is.MaxAge != 0 && (want.MaxAge == 0 || is.MaxAge < want.MaxAge), "messages go after %s", is.MaxAge)
	return out
}
