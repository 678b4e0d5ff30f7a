package pcsc

import (
	"log/slog"
	"testing"

	"tapward/gateway"
	"tapward/reader/readertest"
)

// badges are the numbers the exam taps with.
var badges = [3][]byte{{0x04, 0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0x80}, {0x12, 0x34, 0x56, 0x78}, {0xA0, 0xB1, 0xC2, 0xD3, 0xE4, 0xF5, 0x06, 0x17}}

func TestExamInMemory(t *testing.T) {
	for _, product := range []struct {
		name     string
		feedback bool
	}{
		{"ACS ACR122U PICC Interface 00 00", true},
		{"ACS ACR1252 Dual Reader [ACR1252 Dual Reader PICC] (RR554-042) 00 00", true},
		{"HID Global OMNIKEY 5022 Smart Card Reader 00 00", false},
	} {
		t.Run(product.name[:8], func(t *testing.T) {
			readertest.RunInBubble(t, func(t *testing.T, log *slog.Logger) *readertest.Stage {
				d := newFake(product.name)
				t.Cleanup(func() { allGivenBack(t, d) })
				source, err := newSource(Config{[]Reader{{"door", product.name[:11]}}}, d, log)
				if err != nil {
					t.Fatal(err)
				}
				return &readertest.Stage{
					Source: source, Equipment: fakeEquipment{d, product.name}, Reader: "door",
					Origin: gateway.OriginPCSC, Kind: gateway.UID, Badges: badges, Feedback: product.feedback,
				}
			})
		})
	}
}

// fakeEquipment unplugs the reader, not the daemon.
type fakeEquipment struct {
	d    *fakeDaemon
	name string
}

func (e fakeEquipment) Present(number []byte) { e.d.insert(e.name, badge(number...)) }
func (e fakeEquipment) Remove()               { e.d.remove(e.name) }
func (e fakeEquipment) Unplug()               { e.d.unplug(e.name) }
func (e fakeEquipment) Replug()               { e.d.plug(e.name) }

func (e fakeEquipment) Babble() {
	e.d.insert(e.name, &fakeCard{atr: []byte{0x3B, 0x8F, 0x80}, answers: [][]byte{{0x90}}})
	e.d.remove(e.name)
}
