package gateway_test

import (
	"strings"
	"testing"

	"tapward/gateway"
)

// TestNobodyIsRefusedWithoutAWayOut holds that every reason for which a tap is refused is said with what to do about it,
// in its sentence or beside it.
func TestNobodyIsRefusedWithoutAWayOut(t *testing.T) {
	inItsSentence := map[gateway.Reason]string{
		gateway.NoPolicy:      "Ask IT",
		gateway.StaleTap:      "tap again",
		gateway.StorageLow:    "Call IT",
		gateway.PhoneBusy:     "wait",
		gateway.FenceWentBack: "Have it checked",
		gateway.FenceSpent:    "Have it checked",
		gateway.LimitReached:  "Tap to start",
	}
	for _, why := range []gateway.Reason{
		gateway.UnknownBadge, gateway.ExpiredBadge, gateway.RevokedBadge, gateway.WrongWard, gateway.NotEnoughProof,
		gateway.NotPermitted, gateway.NoPolicy, gateway.UnknownReader, gateway.StaleTap, gateway.StorageLow,
		gateway.NoPhoneFree, gateway.PhoneBusy, gateway.PhoneGone, gateway.PhoneSilent, gateway.PhoneDeclined,
		gateway.DeviceFailed, gateway.PhoneNotCleared, gateway.ForeignSession, gateway.FenceWentBack, gateway.FenceSpent,
		gateway.PhoneUnfit, gateway.LimitReached, gateway.Barred, gateway.StorageExhausted,
	} {
		said, remedy := inItsSentence[why], why.Remedy()
		switch {
		case said != "" && !strings.Contains(why.Sentence(), said):
			t.Errorf("the sentence of %q does not say %q: %q", why, said, why.Sentence())
		case said != "" && remedy != "":
			t.Errorf("%q says twice what to do: %q %q", why, why.Sentence(), remedy)
		case said == "" && (!strings.HasSuffix(remedy, ".") || len(remedy) > 90):
			t.Errorf("%q has no remedy of one line: %q", why, remedy)
		}
	}
}
