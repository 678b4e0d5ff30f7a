package mdns

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"

	"tapward/gateway"
	"tapward/gateway/isolate"
)

// played holds the adverts that this binary puts up as another process, in another namespace, until its input ends.
const played = "TAPWARD_MDNS_PLAYED"

func TestMain(m *testing.M) {
	if adverts := os.Getenv(played); adverts != "" {
		os.Exit(play(adverts))
	}
	isolate.Main(m)
}

// part is one advert of another process.
type part struct {
	Name string
	Key  gateway.Fingerprint
	Port uint16
}

func play(adverts string) int {
	var parts []part
	if err := json.Unmarshal([]byte(adverts), &parts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	var playing sync.WaitGroup
	for _, p := range parts {
		playing.Go(func() {
			err := Advertise(ctx, Advert{
				Service: PhoneService, Instance: p.Name, Port: p.Port, TXT: TXT{ID: p.Name, Key: p.Key},
				Log: slog.New(slog.DiscardHandler),
			})
			if ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "advertise:", err)
			}
		})
	}
	io.Copy(io.Discard, os.Stdin)
	cancel()
	playing.Wait()
	return 0
}
