package handoff_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tapward/gateway"
)

// How the box stands with the hospital is shown and writes nothing; what happened on the way is written.
func TestUplinkIsShownAndItsRecordsWritten(t *testing.T) {
	inWard(t, func(w *ward) {
		before := len(w.records())
		if is, _ := w.engine.Ward(); is.Uplink.State != gateway.NoUplink {
			t.Errorf("a box that stands alone shows %+v", is.Uplink)
		}
		_, changed := w.engine.Ward()
		cut := gateway.Uplink{State: gateway.UplinkCutOff, Since: time.Now(), Why: "made up", Waiting: 3}
		w.engine.Uplink(context.Background(), cut)
		<-changed
		if is, _ := w.engine.Ward(); is.Uplink != cut {
			t.Errorf("the station shows %+v", is.Uplink)
		}
		if n := len(w.records()) - before; n != 0 {
			t.Errorf("being cut off wrote %d records", n)
		}
		w.engine.Record(context.Background(), gateway.Record{Kind: "outbox.changed", State: "refused", Words: "made-up words"})
		synctest.Wait()
		all := w.records()
		if last := all[len(all)-1]; len(all) != before+1 || last.Kind != "outbox.changed" || last.State != "refused" || last.Words != "made-up words" {
			t.Errorf("the log has %d new records, the last %+v", len(all)-before, last)
		}
		if is, _ := w.engine.Ward(); is.Uplink != cut {
			t.Errorf("after a commit the station shows %+v", is.Uplink)
		}
	})
}
