package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/kernel"
	"tapward/gateway/phone/agent"
	"tapward/gateway/phone/link"
)

// handset is the reference agent with a folder of its own. What it stores is noted, since that is what the phone itself
// knows, whatever the box says.
type handset struct {
	*agent.Agent
	t        testing.TB
	id       gateway.PhoneID
	identity link.Identity
	listen   net.Listener
	file     *agent.StateFile
	suspend  atomic.Int64 // how much longer than its timers the phone's boot clock has run
	told     func()       // called after each note; nil: nobody wants to know

	mu     sync.Mutex
	stored []agent.State
}

// handsetWith is what differs between handsets.
type handsetWith struct {
	dials     bool // opens the link itself, and is not reached
	advertise func(*handset) func(context.Context) error
	quiet     bool   // its states are not noted
	folder    string // holds what it stores; empty: a temporary one
	told      func() // called after each note, by the agent's own goroutine
}

// newHandset is a phone that trusts the box, running until the test ends.
func newHandset(t testing.TB, b *testBox, id gateway.PhoneID, with handsetWith) *handset {
	t.Helper()
	h := &handset{t: t, id: id, told: with.told}
	var err error
	if h.identity, err = link.NewIdentity(string(id)); err != nil {
		t.Fatal(err)
	}
	dir := with.folder
	if dir == "" {
		dir = t.TempDir()
	}
	path := filepath.Join(dir, "state")
	if err := agent.CreateStateFile(path, id); err != nil {
		t.Fatal(err)
	}
	file, state, err := agent.OpenStateFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h.file = file
	boot, err := kernel.BootID()
	if err != nil {
		t.Fatal(err)
	}
	trusted := agent.Box{ID: b.config.Box, Key: b.identity.Fingerprint()}
	config := agent.Config{
		Phone: id, Identity: h.identity, State: state, Store: file,
		Device: agent.Workspace{Root: dir, Phone: id}, Version: "test",
		Dial: agent.TCP, BootID: boot, Boot: h.boot, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if !with.quiet {
		config.Store = h
	}
	if with.dials {
		trusted.Addrs = []string{b.config.Phones.Listen}
	} else {
		if h.listen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		config.Listen = h.listen
	}
	if with.advertise != nil {
		config.Advertise = with.advertise(h)
	}
	config.Boxes = []agent.Box{trusted}
	h.Agent = agent.New(config)
	h.run()
	return h
}

func (h *handset) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			h.t.Errorf("%s ended with %v", h.id, err)
		}
		h.file.Close()
	})
}

// boot is the boot clock, with the suspends that a test lets pass.
func (h *handset) boot() time.Duration { return kernel.Uptime() + time.Duration(h.suspend.Load()) }

// Save stores a state and notes it.
func (h *handset) Save(s agent.State) error {
	err := h.file.Save(s)
	if err == nil {
		h.mu.Lock()
		h.stored = append(h.stored, s)
		h.mu.Unlock()
		if h.told != nil {
			h.told()
		}
	}
	return err
}

// took is what was stored since the last call.
func (h *handset) took() []agent.State {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.stored
	h.stored = nil
	return all
}

// paired is the phone as an operator pairs it.
func (h *handset) paired() gateway.Phone {
	p := gateway.Phone{ID: h.id, Key: h.identity.Fingerprint(), Class: gateway.Workflow, Pool: testPool}
	if h.listen != nil {
		p.Addrs = []string{h.listen.Addr().String()}
	}
	return p
}

// await returns the first view that is as it should be.
func (h *handset) await(what string, ok func(agent.View) bool) agent.View {
	h.t.Helper()
	giveUp := time.After(patience)
	for {
		v, changed := h.View()
		if ok(v) {
			return v
		}
		select {
		case <-changed:
		case <-giveUp:
			h.t.Fatalf("%s: %s shows %s %q at fence %d", what, h.id, v.Screen, v.Name, v.Fence)
		}
	}
}

func (h *handset) awaitName(who person) {
	h.t.Helper()
	h.await("unlock for "+who.Name, func(v agent.View) bool { return v.Screen == agent.ScreenUnlocked && v.Name == who.Name })
}

func (h *handset) gesture(do, with string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Gesture(ctx, agent.Gesture{Do: do, With: with}); err != nil {
		h.t.Fatal(err)
	}
}
