package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// answerTime is how long servers have to answer a question that goes to all of them.
const answerTime = 2 * time.Second

// systemAnswer is one server's reply on the system account.
type systemAnswer struct {
	Server server.ServerInfo `json:"server"`
	Data   json.RawMessage   `json:"data"`
	Error  *server.ApiError  `json:"error"`
}

// ask puts one question to every server and gives each answer to take as it comes. It ends when as many answered as the
// cluster believes to have, or after answerTime, with an error if some are missing.
func ask(ctx context.Context, system *nats.Conn, what string, question any, take func(systemAnswer) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	expected, err := servers(ctx, system)
	if err != nil {
		return fmt.Errorf("ask the servers: %w", err)
	}
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	inbox, err := system.SubscribeSync(system.NewRespInbox())
	if err != nil {
		return fmt.Errorf("ask the servers: %w", err)
	}
	defer inbox.Unsubscribe()
	if err := system.PublishRequest("$SYS.REQ.SERVER.PING."+what, inbox.Subject, body); err != nil {
		return fmt.Errorf("ask the servers: %w", err)
	}
	for n := 0; n < expected; n++ {
		m, err := inbox.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("%d of %d servers answered", n, expected)
		}
		var a systemAnswer
		if err := json.Unmarshal(m.Data, &a); err != nil {
			return fmt.Errorf("a server's answer: %w", err)
		}
		if a.Error != nil {
			return fmt.Errorf("server %s: %s", a.Server.Name, a.Error.Description)
		}
		if err := take(a); err != nil {
			return err
		}
	}
	return nil
}

// servers is how many servers the one that answers first knows, itself included.
func servers(ctx context.Context, system *nats.Conn) (int, error) {
	m, err := system.RequestWithContext(ctx, "$SYS.REQ.SERVER.PING.STATSZ", nil)
	if err != nil {
		return 0, err
	}
	var a struct {
		Stats server.ServerStats `json:"statsz"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return 0, err
	}
	if a.Stats.ActiveServers < 1 {
		return 0, errors.New("a server does not say how many there are")
	}
	return a.Stats.ActiveServers, nil
}
