package readertest

import (
	"testing"
	"testing/synctest"
)

// RunInBubble sits the same exam with each part in a synctest bubble, for equipment that lives in memory: spans of
// seconds pass at once, and a goroutine left behind fails the part. SetUp is called inside the bubble.
func RunInBubble(t *testing.T, setUp SetUp) {
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { sit(t, setUp, part.run) })
		})
	}
}
