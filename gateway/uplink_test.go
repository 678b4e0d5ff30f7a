package gateway

import (
	"encoding/json"
	"testing"
	"time"
)

// Whoever reads a ward's "uplink" as a word, as it was from the first, still can; the rest lies beside it.
func TestUplinkLiesFlatInTheWard(t *testing.T) {
	w := Ward{Box: "box-a", Uplink: Uplink{State: UplinkCutOff, Since: time.Unix(1_790_000_000, 0).UTC(), Why: "made up", Waiting: 7}}
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Uplink  string `json:"uplink"`
		Why     string `json:"uplink_why"`
		Waiting int64  `json:"uplink_waiting"`
	}
	if err := json.Unmarshal(text, &read); err != nil || read.Uplink != "cut off" || read.Why != "made up" || read.Waiting != 7 {
		t.Errorf("%s reads as %+v, %v", text, read, err)
	}
	var again Ward
	if err := json.Unmarshal(text, &again); err != nil || again.Uplink != w.Uplink || again.Box != w.Box {
		t.Errorf("%s comes back as %+v, %v", text, again.Uplink, err)
	}
}
