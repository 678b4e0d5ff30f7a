package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tapward/gateway"
)

// hub runs one of the hub's own commands.
func (t *tale) hub(ctx context.Context, args ...string) (string, error) {
	return command(ctx, t.bin, "", "tapward-hub", append(args, "--config", hubConfig(t.ward.Dir))...)
}

// hubStatus is what the hub says of itself.
type hubStatus struct {
	Connected  bool   `json:"connected"`
	Durability string `json:"durability"`
	Boxes      int    `json:"boxes"`
	Claims     int    `json:"claims"`
	Alarms     int    `json:"alarms"`
	Gaps       int    `json:"gaps"`
}

// well reads the hub's status, and checks that it has the one box, no gap in the archive, and nothing that a person must
// look at.
func (t *tale) well(ctx context.Context) (s hubStatus, err error) {
	text, err := t.hub(ctx, "status", "--json")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read the hub's status: %w", err)
	}
	if !s.Connected || s.Boxes != 1 || s.Claims != 0 || s.Alarms != 0 || s.Gaps != 0 {
		err = fmt.Errorf("not all is well with the hub: %s", strings.TrimSpace(text))
	}
	return s, err
}

// enrolled checks that the box has its place at the hub by a person's word, and receipts for everything it wrote.
func enrolled(ctx context.Context, t *tale) error {
	if _, err := t.received(ctx); err != nil {
		return err
	}
	s, err := t.well(ctx)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(s.Durability, "verified") {
		return fmt.Errorf("the hub says of its broker: %s", s.Durability)
	}
	log, err := t.hub(ctx, "log", "--box", "hub")
	if err == nil && !strings.Contains(log, "enrol.confirmed") {
		err = fmt.Errorf("the hub's log does not tell who let the box in:\n%s", log)
	}
	return err
}

// catchUpTime is how long a box may need to find its hub again and send what waited: ten seconds between its tries, at
// most, and five more of its outbox.
const catchUpTime = 25 * time.Second

// received waits until the box has receipts for all it wrote and the hub says that as much is archived, and says how much.
func (t *tale) received(ctx context.Context) (records int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	for {
		w, err := t.await(ctx, "the hub has archived everything", func(w *gateway.Ward) bool {
			return connected(w) && w.Waiting == 0 && w.Trouble == ""
		})
		if err != nil {
			return 0, err
		}
		archived, err := t.archived(ctx)
		if err != nil || archived >= w.Log.Size {
			return w.Log.Size, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("the box has written %d records, and the hub says that %d are archived", w.Log.Size, archived)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// archived is how many of the box's records the hub says it has.
func (t *tale) archived(ctx context.Context) (int64, error) {
	boxes, err := t.hub(ctx, "boxes")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(boxes) { // BOX WARD SINCE (date and time) UNTIL (date and time) ARCHIVED …
		if f := strings.Fields(line); len(f) >= 7 && f[0] == boxName {
			return strconv.ParseInt(f[6], 10, 64)
		}
	}
	return 0, fmt.Errorf("the hub does not have the box:\n%s", boxes)
}

// offlineTaps is how often people tap while the hub is away.
const offlineTaps = 20

// pulledHub pulls the plug and has everybody tap in turns. Every tap is answered and leaves its record.
func pulledHub(ctx context.Context, t *tale) error {
	if _, err := t.received(ctx); err != nil {
		return err
	}
	if err := t.ask(ctx, Order{Do: "uplink", Act: "down"}); err != nil {
		return err
	}
	if _, err := t.until(ctx, "the box is cut off", func(w *gateway.Ward) bool { return w.Uplink.State == gateway.UplinkCutOff }); err != nil {
		return err
	}
	if said, err := t.hub(ctx, "status"); err == nil {
		return fmt.Errorf("the hub answers although its plug is pulled:\n%s", said)
	}
	before, err := t.taps(ctx)
	if err != nil {
		return err
	}
	if err := t.tapInTurns(ctx, offlineTaps); err != nil {
		return err
	}
	after, err := t.taps(ctx)
	if err != nil {
		return err
	}
	if after-before != offlineTaps {
		return fmt.Errorf("%d taps left %d records of taps in the log", offlineTaps, after-before)
	}
	return t.saysOffline(ctx, offlineTaps)
}

// tapInTurns taps everybody's badge at the serial reader, one after the other, again and again, and waits for the answer
// to each.
func (t *tale) tapInTurns(ctx context.Context, n int) error {
	names := BadgeNames()
	for i := range n {
		name := names[i%len(names)]
		if err := t.anew(ctx, medRoom, name); err != nil {
			return err
		}
		began := time.Now()
		if err := t.tap(ctx, medRoom, name); err != nil {
			return err
		}
		if _, err := t.until(ctx, fmt.Sprintf("tap %d of %s was answered", i+1, name), func(w *gateway.Ward) bool {
			return len(w.Taps) > 0 && !w.Taps[0].At.Before(began) && w.Taps[0].Signal != gateway.Seen
		}); err != nil {
			return err
		}
	}
	return nil
}

// taps counts the taps that the log tells of: whatever came of one, it is one record.
func (t *tale) taps(ctx context.Context) (n int, err error) {
	records, err := readLog(ctx, t.database())
	for _, r := range records {
		switch r.Kind {
		case gateway.TapRefused, gateway.TapNoted, gateway.CheckOutRequested, gateway.HandOffRequested:
			n++
		}
	}
	return n, err
}

var recordsWait = regexp.MustCompile(`No connection to the hospital since .* (\d+) records wait here`)

// saysOffline looks at the station page until it says that the hospital is away and that so many records wait, or more.
func (t *tale) saysOffline(ctx context.Context, records int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		page, err := t.station(ctx)
		if err == nil {
			if m := recordsWait.FindStringSubmatch(page); m != nil {
				if n, err := strconv.Atoi(m[1]); err == nil && n >= records {
					return nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the station page does not say that the hospital is away and %d records wait (%v)", records, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func catchesUp(ctx context.Context, t *tale) error {
	w, err := t.box.Ward(ctx)
	if err != nil {
		return err
	}
	if err := t.ask(ctx, Order{Do: "uplink", Act: "up"}); err != nil {
		return err
	}
	if t.caughtUp, err = t.received(ctx); err != nil {
		return err
	}
	if t.caughtUp < w.Log.Size {
		return fmt.Errorf("the box's log had %d records and has %d", w.Log.Size, t.caughtUp)
	}
	_, err = t.well(ctx)
	return err
}

// proven has a file of the archive checked, under the keys as box and hub themselves say them.
func proven(ctx context.Context, t *tale) error {
	box, err := t.logKey()
	if err != nil {
		return err
	}
	registered, err := t.hub(ctx, "keys", "--boxes", "--only", "box "+boxName)
	if err != nil {
		return err
	}
	if strings.TrimSpace(registered) != box {
		return errors.New("the hub knows the box by another key than its own")
	}
	stored, err := t.hub(ctx, "keys", "--only", "stored")
	if err != nil {
		return err
	}
	history, err := t.hub(ctx, "history", boxName)
	if err != nil {
		return err
	}
	file := filepath.Join(t.ward.Dir, "history")
	if err := os.WriteFile(file, []byte(history), 0o600); err != nil {
		return err
	}
	text, err := command(ctx, t.bin, "", "tapward", "verify", "--json", "--from-hub", file, "--key", box, "--hub-key", strings.TrimSpace(stored))
	if err != nil {
		return err
	}
	var found struct {
		Box     string `json:"box"`
		OK      bool   `json:"ok"`
		Records int64  `json:"records"`
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return fmt.Errorf("read what verify found: %w", err)
	}
	if !found.OK || found.Box != boxName || found.Records < t.caughtUp {
		return fmt.Errorf("the archive was to prove %d records of %s: %s", t.caughtUp, boxName, text)
	}
	return nil
}
