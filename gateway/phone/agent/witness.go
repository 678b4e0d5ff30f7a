package agent

import (
	"slices"
	"strconv"
	"strings"

	"tapward/gateway"
	"tapward/gateway/phone/link"
)

// Checkpoint is the newest head of a box's audit log that this phone was told. The phone returns it in every hello to
// whichever box asks, so that a box whose log was set back hears of it.
type Checkpoint struct {
	Box  gateway.BoxID `json:"box"`
	Text string        `json:"text"`
}

// Witness keeps a checkpoint where it is newer than the one the phone has: of a larger log, or of another epoch. One
// that is not a checkpoint changes nothing. The box that signed it checks it when it comes back; the phone only keeps it.
func (s State) Witness(box gateway.BoxID, text string) State {
	origin, size, ok := head(text)
	if !ok || len(text) > link.MaxCheckpoint {
		return s
	}
	i := slices.IndexFunc(s.Seen, func(c Checkpoint) bool { return c.Box == box })
	if i >= 0 {
		if before, had, _ := head(s.Seen[i].Text); before == origin && had >= size {
			return s
		}
	}
	kept := slices.DeleteFunc(slices.Clone(s.Seen), func(c Checkpoint) bool { return c.Box == box })
	if extra := len(kept) + 1 - link.MaxCheckpoints; extra > 0 {
		kept = slices.Delete(kept, 0, extra)
	}
	s.Seen = append(kept, Checkpoint{box, text})
	return s
}

// head reads the first two lines of a checkpoint (C2SP tlog-checkpoint): the log's origin and its size.
func head(text string) (origin string, size uint64, ok bool) {
	origin, rest, _ := strings.Cut(text, "\n")
	number, _, found := strings.Cut(rest, "\n")
	size, err := strconv.ParseUint(number, 10, 63)
	return origin, size, found && origin != "" && err == nil
}
