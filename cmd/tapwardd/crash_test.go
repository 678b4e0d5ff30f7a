package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
)

var (
	crashRounds = flag.Int("crash.rounds", 0, "kill the box this often; 0: fifty times, or eight with -short")
	crashSeed   = flag.Uint64("crash.seed", 0, "what chance begins with; 0: anything")
)

// TestCrashAtAnyMoment kills the box, as hard as can be, at random moments while badges are tapped, phones are picked
// up and docked, and an operator acts. Then and after every start: the log verifies, nothing is missing of what anybody
// outside was shown or told, and soon every phone shows the owner that the box believes in, or nobody.
func TestCrashAtAnyMoment(t *testing.T) {
	rounds, seed := *crashRounds, *crashSeed
	if rounds == 0 {
		rounds = 50
		if testing.Short() {
			rounds = 8
		}
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to play this again: -crash.seed=%d -crash.rounds=%d", seed, rounds)
	s := newShift(t, rand.New(rand.NewPCG(seed, 0)))
	var records int
	for round := range rounds {
		if err := s.round(); err != nil {
			t.Fatalf("round %d of seed %d: %v\n%s", round+1, seed, err, s.box.log())
		}
		log, err := s.ledger.audit()
		if err != nil {
			t.Fatalf("after the kill in round %d of seed %d: %v\n%s", round+1, seed, err, s.box.log())
		}
		records = len(log.leaves)
	}
	if err := s.settled(); err != nil {
		t.Fatalf("after the last round of seed %d: %v\n%s", seed, err, s.box.log())
	}
	s.box.stop()
	if _, err := s.ledger.audit(); err != nil {
		t.Fatalf("after the end, seed %d: %v", seed, err)
	}
	t.Logf("%d rounds, %d records, %d sessions shown on phones, %d heads of the log kept outside",
		rounds, records, len(s.ledger.grants), len(s.ledger.heads))
	if len(s.ledger.grants) < rounds/2 || len(s.ledger.released) == 0 {
		t.Errorf("only %d sessions in %d rounds, with %d releases: that proves nothing", len(s.ledger.grants), rounds, len(s.ledger.released))
	}
}

// shift is a ward at work: three phones, a reader at the door and one at each phone, five people, an operator.
type shift struct {
	t      *testing.T
	chance *rand.Rand
	box    *testBox
	ports  []*badgePort
	phones []*handset
	people []person
	policy wardPolicy
	ledger *ledger
	told   chan struct{} // somebody outside has just learned something
}

func newShift(t *testing.T, chance *rand.Rand) *shift {
	s := &shift{t: t, chance: chance, told: make(chan struct{}, 1)}
	for _, id := range []gateway.ReaderID{"door", "desk-1", "desk-2", "desk-3"} {
		s.ports = append(s.ports, newPort(t, id))
	}
	s.box = newBox(t, func(c *Config) {
		for _, p := range s.ports {
			c.Serial = append(c.Serial, p.config)
		}
	})
	s.ledger = newLedger(s.box)
	s.people = s.box.staff(5)
	s.policy = wardPolicy{
		Class: "bind = \"30s\"\nrelease = \"1m\"\npickup = \"10m\"", Staff: s.people,
		Places: []gateway.Place{
			{Reader: "door", Pool: testPool}, {Reader: "desk-1", Pool: testPool, Phone: "phone-1"},
			{Reader: "desk-2", Pool: testPool, Phone: "phone-2"}, {Reader: "desk-3", Pool: testPool, Phone: "phone-3"},
		},
	}
	s.box.start()
	s.load(t.Context())
	for _, id := range []gateway.PhoneID{"phone-1", "phone-2", "phone-3"} {
		h := newHandset(t, s.box, id, handsetWith{told: s.tell})
		s.phones = append(s.phones, h)
		s.box.must(s.box.client.AddPhone(t.Context(), h.paired()))
	}
	return s
}

// round waits for order, lets people work, and kills the box in the midst of it; now and then it is killed once more
// while it starts. It leaves the box dead.
func (s *shift) round() error {
	if err := s.settled(); err != nil {
		return err
	}
	s.work()
	for s.chance.IntN(4) == 0 {
		if err := s.note(); err != nil {
			return err
		}
		if _, err := s.ledger.audit(); err != nil {
			return err
		}
		s.plug()
		s.box.launch().Close()
		pause(s.t.Context(), time.Duration(s.chance.IntN(200))*time.Millisecond)
		s.box.kill()
	}
	return s.note()
}

// work has badges tapped, phones handled and the operator at it until the box is killed.
func (s *shift) work() {
	ctx, stop := context.WithCancel(s.t.Context())
	var all sync.WaitGroup
	seen := s.chance.Uint64()
	for n, task := range []func(context.Context, *rand.Rand){s.tap, s.handle, s.operate} {
		all.Go(func() { task(ctx, rand.New(rand.NewPCG(seen, uint64(n)))) })
	}
	all.Go(func() {
		s.box.client.Watch(ctx, func(w *gateway.Ward) error { s.ledger.station(w); return nil })
	})
	s.awaitKill(ctx)
	s.box.kill()
	stop()
	all.Wait()
}

// awaitKill lets a while pass; in every second round up to the very moment in which somebody outside learns something,
// which is when a box that spoke before it stored would be caught.
func (s *shift) awaitKill(ctx context.Context) {
	pause(ctx, time.Duration(20+s.chance.IntN(300))*time.Millisecond)
	if s.chance.IntN(2) == 0 {
		return
	}
	select {
	case <-s.told:
	default:
	}
	select {
	case <-s.told:
	case <-time.After(500 * time.Millisecond):
	}
}

// tell says that somebody outside has learned something.
func (s *shift) tell() {
	select {
	case s.told <- struct{}{}:
	default:
	}
}

// pause lets time pass, at most until ctx ends, and says whether it did.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *shift) tap(ctx context.Context, chance *rand.Rand) {
	for pause(ctx, time.Duration(chance.IntN(40))*time.Millisecond) {
		s.ports[chance.IntN(len(s.ports))].tap(s.people[chance.IntN(len(s.people))])
	}
}

// handle takes phones from their docks and puts them back, which ends sessions.
func (s *shift) handle(ctx context.Context, chance *rand.Rand) {
	gestures := []agent.Gesture{{Do: "undock"}, {Do: "use"}, {Do: "dock", With: "shelf"}}
	for pause(ctx, time.Duration(chance.IntN(60))*time.Millisecond) {
		phone := s.phones[chance.IntN(len(s.phones))]
		if err := phone.Gesture(ctx, gestures[chance.IntN(len(gestures))]); err != nil && ctx.Err() == nil {
			s.t.Error(err)
		}
	}
}

// operate notes only what the box has confirmed.
func (s *shift) operate(ctx context.Context, chance *rand.Rand) {
	for pause(ctx, time.Duration(chance.IntN(150))*time.Millisecond) {
		if chance.IntN(2) == 0 {
			s.load(ctx)
			continue
		}
		phone := s.phones[chance.IntN(len(s.phones))].id
		if s.box.client.ReleasePhone(ctx, phone) == nil {
			s.tell()
			s.ledger.ended(phone)
		}
	}
}

// load gives the box the next version of the policy.
func (s *shift) load(ctx context.Context) {
	s.policy.Version++
	if s.box.client.LoadPolicy(ctx, s.policy.document()) == nil {
		s.tell()
		s.ledger.loaded(s.policy.Version)
	}
}

func (s *shift) plug() {
	for _, p := range s.ports {
		p.plug()
	}
}

// settled starts the box where it does not run, and waits until phones and box agree about everybody.
func (s *shift) settled() error {
	if s.box.running == nil {
		s.plug()
		s.box.start()
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	pictures := make(chan *gateway.Ward)
	go s.box.client.Watch(ctx, func(w *gateway.Ward) error {
		select {
		case pictures <- w:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	var w *gateway.Ward
	var moved <-chan struct{} // the phone that disagreed looks otherwise now
	for {
		select {
		case w = <-pictures:
			s.ledger.station(w)
		case <-moved:
		case <-ctx.Done():
			what, _ := s.disagreement(w)
			return fmt.Errorf("phones and box do not come to agree: %s", what)
		}
		var what string
		if what, moved = s.disagreement(w); what == "" && readersUp(w, "door", "desk-1", "desk-2", "desk-3") {
			return s.note()
		}
	}
}

// disagreement is where the screen of a phone and the box's belief differ, and what is closed when that screen changes.
func (s *shift) disagreement(w *gateway.Ward) (what string, moved <-chan struct{}) {
	for _, h := range s.phones {
		v, changed := h.View()
		p := phoneOf(w, h.id)
		free := p.Phase == "free" && v.Screen == agent.ScreenFree
		bound := p.Phase == "bound" && v.Name == p.Holder && v.Fence == p.Fence && (v.Screen == agent.ScreenLocked) == p.Locked
		if !p.Linked || !free && !bound {
			return fmt.Sprintf("%s shows %s %q at fence %d; the box has it %s %q at fence %d, linked %v",
				h.id, v.Screen, v.Name, v.Fence, p.Phase, p.Holder, p.Fence, p.Linked), changed
		}
	}
	return "", nil
}

// note takes down what the phones have stored meanwhile.
func (s *shift) note() error {
	for _, h := range s.phones {
		if err := s.ledger.phone(h.took()); err != nil {
			return err
		}
	}
	return nil
}
