package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tapward/sync/uplink"
)

// Cut ends every live connection of a box, on every server: a connection outlives its certificate. It does not keep the
// box from coming back: the Authorizer must refuse it first. A box that was let in at that very moment is cut
// once more after a while, by itself. An error names what may still be connected; call it again.
func (b *Broker) Cut(ctx context.Context, a uplink.Address) error {
	select {
	case b.again <- a:
	default:
		b.log.Warn("too many boxes are being cut at once to look at each again", "box", a.String())
	}
	return b.cut(ctx, a)
}

func (b *Broker) cut(ctx context.Context, a uplink.Address) error {
	b.mu.Lock()
	system := b.system
	b.mu.Unlock()
	if system == nil {
		return fmt.Errorf("cut %s: the broker is not connected", a)
	}
	question := server.ConnzOptions{Username: true, User: a.String(), Account: boxAccount, Limit: 1024}
	err := ask(ctx, system, "CONNZ", question, func(answer systemAnswer) error {
		var found server.Connz
		if err := json.Unmarshal(answer.Data, &found); err != nil {
			return fmt.Errorf("server %s: %w", answer.Server.Name, err)
		}
		for _, c := range found.Conns {
			body, err := json.Marshal(server.KickClientReq{CID: c.Cid})
			if err != nil {
				return err
			}
			if _, err := system.RequestWithContext(ctx, "$SYS.REQ.SERVER."+answer.Server.ID+".KICK", body); err != nil {
				return fmt.Errorf("server %s: %w", answer.Server.Name, err)
			}
			b.log.Info("a box's connection was cut", "box", a.String(), "server", answer.Server.Name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cut %s: %w", a, err)
	}
	return nil
}

// cutAgain looks once more at each box that was cut, when no server can any longer be letting it in on an old answer.
func (b *Broker) cutAgain(ctx context.Context) error {
	type due struct {
		box uplink.Address
		at  time.Time
	}
	var queue []due
	for {
		var next <-chan time.Time
		if len(queue) > 0 {
			next = time.After(time.Until(queue[0].at))
		}
		select {
		case <-ctx.Done():
			return nil
		case a := <-b.again:
			queue = append(queue, due{a, time.Now().Add(2 * authTime)})
		case <-next:
			if err := b.cut(ctx, queue[0].box); err != nil {
				b.log.Error("a box may still be connected", "err", err)
			}
			queue = queue[1:]
		}
	}
}
