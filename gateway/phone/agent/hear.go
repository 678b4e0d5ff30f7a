package agent

import (
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// join takes up an authenticated link: the phone says where it stands.
func (k *keeper) join(w *wire, greet link.Greet) error {
	if k.offline {
		return fmt.Errorf("the phone is off the network")
	}
	if !k.trust.knows(w.box.Key) {
		return fmt.Errorf("box %s is no longer trusted", w.box.ID)
	}
	now := k.now()
	k.witness(w.box.ID, greet.Checkpoint)
	signed, err := k.hello(greet.Nonce, now)
	if err != nil {
		return err
	}
	w.heard = now
	k.wires = append(k.wires, w)
	w.send(link.Hello{Protocol: link.Protocol, Signed: signed, Challenge: w.challenge(now), Agent: k.cfg.Version})
	k.report(w)
	k.log(w).Info("box linked")
	if len(k.wires) > maxWires {
		k.wires[0].close()
	}
	return nil
}

// hello signs where the phone stands. The oldest checkpoints are left out where not all of them fit a message.
func (k *keeper) hello(nonce string, now time.Duration) (string, error) {
	claims := link.HelloClaims{
		Phone:     k.cfg.Phone,
		Nonce:     nonce,
		BootID:    k.cfg.BootID,
		Truth:     k.state.Truth(),
		Held:      k.state.Held(),
		LeaseLeft: int64(k.state.LeaseLeft(now) / time.Second),
	}
	for seen := k.state.Seen; ; seen = seen[1:] {
		claims.Checkpoints = map[gateway.BoxID]string{}
		for _, c := range seen {
			claims.Checkpoints[c.Box] = c.Text
		}
		signed, err := link.SignHello(k.cfg.Identity, claims)
		if err != nil {
			return "", err
		}
		if len(signed) <= maxSignedHello || len(seen) == 0 {
			return signed, nil
		}
	}
}

// maxSignedHello leaves room for the members around it.
const maxSignedHello = link.MaxMessage - 512

// hear judges a command and answers it, unless the answer must wait for the device.
func (k *keeper) hear(h hearing) {
	now := k.now()
	h.from.heard = now
	k.expire(now)
	k.witness(h.from.box.ID, h.order.Checkpoint)
	heard := Heard{Order: h.order, Box: h.from.box.ID, Fresh: h.from.fresh(h.order.Challenge, now), Given: h.given}
	if signed, ok := h.from.declined(h.order.ID); ok {
		h.from.receipt(h.order.ID, signed, now)
		return
	}
	state, verdict := k.state.Decide(heard, now)
	switch verdict.Outcome {
	case Obey:
		k.state, k.asked = state, h.from
		if h.order.Kind == gateway.Bind && k.hardware.Slot == "" {
			k.state = k.state.Leave()
		}
		prepared := k.prepare()
		k.save() // before anything is done
		prepared()
		k.log(h.from).Info("command accepted", "command", h.order.Kind.String(), "fence", state.Fence)
	case Repeat:
		h.from.receipt(h.order.ID, verdict.Signed, now)
	case Wait:
		k.wait(h)
	default:
		k.decline(h, heard, verdict.Reason)
	}
}

// wait keeps a command for after the pending one. The pending one itself, heard again, only says where its receipt
// is wanted now.
func (k *keeper) wait(h hearing) {
	if p := k.state.Pending; p.ID == h.order.ID && p.Box == h.from.box.ID {
		k.asked = h.from
		return
	}
	for _, other := range k.waiting {
		if other.from == h.from && other.order.ID == h.order.ID {
			return
		}
	}
	if len(k.waiting) < maxWaiting {
		k.waiting = append(k.waiting, h)
	}
}

// hearWaiting hears what waited, in order, as if it came now: a challenge may have grown old meanwhile.
func (k *keeper) hearWaiting() {
	waiting := k.waiting
	k.waiting = nil
	for _, h := range waiting {
		k.hear(h)
	}
}

func (k *keeper) decline(h hearing, heard Heard, reason gateway.Reason) {
	k.log(h.from).Info("command declined", "command", h.order.Kind.String(), "reason", reason, "next", h.order.Next, "fence", k.state.Fence)
	if signed, ok := k.sign(k.state.Decline(heard, reason)); ok {
		h.from.decline(h.order.ID, signed, k.now())
	}
}

// witness keeps a checkpoint that came with a message; it is stored with the next state, at the latest with the next
// status.
func (k *keeper) witness(box gateway.BoxID, text string) {
	if text == "" {
		return
	}
	seen := k.state.Seen
	k.state = k.state.Witness(box, text)
	k.unstored = k.unstored || len(seen) != len(k.state.Seen) || len(seen) > 0 && &seen[0] != &k.state.Seen[0]
}
