package enrol

import (
	"fmt"
	"testing"
	"time"
)

func TestLimitsAreOfOneAddress(t *testing.T) {
	l, now := newLimits(), time.Unix(1_800_000_000, 0)
	for i := range burstAddress {
		if !l.allow("10.0.0.1:1000", now) {
			t.Fatalf("request %d was refused", i)
		}
	}
	if l.allow("10.0.0.1:1001", now) || l.allow("[::ffff:10.0.0.1]:1000", now) {
		t.Error("another port, or another spelling, is another address")
	}
	if !l.allow("10.0.0.2:1000", now) {
		t.Error("a neighbour was refused")
	}
	for range burstAddress {
		l.allow("[2001:db8::1]:1", now)
	}
	if l.allow("[2001:db8::2]:1", now) {
		t.Error("whoever has a /64 has as many addresses")
	}
	if !l.allow("10.0.0.1:1000", now.Add(time.Second)) {
		t.Error("it is refused for ever")
	}
	if l.allow("nonsense", now) {
		t.Error("whoever has no address may ask")
	}
}

func TestLimitsOfEverybody(t *testing.T) {
	l, now := newLimits(), time.Unix(1_800_000_000, 0)
	allowed := 0
	for i := range 3 * maxAddresses {
		if l.allow(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), now) {
			allowed++
		}
	}
	if allowed != burstHub || len(l.known) > maxAddresses {
		t.Errorf("%d requests were let through at once; %d addresses are remembered", allowed, len(l.known))
	}
}
