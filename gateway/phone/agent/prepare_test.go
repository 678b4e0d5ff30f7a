package agent_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"tapward/gateway"
)

// preparing is a device that gets ready beforehand, or says that it did not.
type preparing struct {
	*device
}

func (p *preparing) Prepare() error {
	p.set(func() { p.acts = append(p.acts, "prepare") })
	return p.fails["prepare"]
}

func TestDevicePreparesForBindsOnly(t *testing.T) {
	for name, fails := range map[string]error{"prepared": nil, "said that it failed": errors.New("no room")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "west")
				r.stop()
				r.device.fails["prepare"] = fails
				p := &preparing{r.device}
				r.cfg.Device = p
				r.start()
				w := r.boxes["west"].link("")
				w.want(w.bind(), gateway.Bound, "")
				w.want(w.order(gateway.Renew), gateway.Renewed, "")
				w.want(w.order(gateway.Release), gateway.Cleared, "")
				w.want(w.bind(), gateway.Bound, "")
				r.stop()
				if want := []string{"prepare", "open", "clear", "prepare", "open"}; !slices.Equal(p.acts, want) {
					t.Errorf("the device did %v, want %v", p.acts, want)
				}
			})
		})
	}
}

// A phone that cannot store the fence opens nothing, whatever it has prepared.
func TestPreparedIsNotOpenedUnstored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "west")
		r.stop()
		p := &preparing{r.device}
		r.cfg.Device = p
		r.start()
		w := r.boxes["west"].link("")
		w.hear()
		r.store.fail(errors.New("worn out"))
		w.write(w.bind())
		synctest.Wait()
		if open, _, _ := r.device.stands(); open {
			t.Error("the device is open though the fence was not stored")
		}
		r.stop()
	})
}
