package lockscreen

import (
	"fmt"
	"time"

	"tapward/gateway"
	"tapward/gateway/phone/agent"
)

// drawn is what the template shows.
type drawn struct {
	agent.View
	Play    bool
	Look    string // the class that gives the screen its colour and sign
	Title   string // the largest words: a name, or what to do
	State   string
	Hint    string
	Left    string
	Dialler bool
	Link    string
	Power   string
	Level   int // battery, 0 to 100
}

func (p Page) draw(v agent.View) drawn {
	d := drawn{View: v, Play: p.Play, Look: string(v.Screen), Power: power(v), Level: max(0, v.Battery)}
	d.Link = "Connected to " + v.Boxes
	if v.Boxes == "" {
		d.Link = "Not connected"
	}
	switch v.Screen {
	case agent.ScreenUnlocked:
		d.Title, d.State, d.Hint, d.Dialler = shown(v.Name), "Unlocked", "Yours until you return it.", true
		d.Left = left(p.Phone.Left(v))
	case agent.ScreenLocked:
		d.Title, d.State, d.Hint, d.Dialler = shown(v.Name), "Locked, held by", "Tap your badge to go on.", true
	case agent.ScreenPreparing:
		d.Title, d.State, d.Hint = shown(v.Name), "One moment", "The phone is being prepared."
	case agent.ScreenClearing:
		d.Title, d.State, d.Hint = "Clearing", "One moment", "The last session is being removed."
	case agent.ScreenOutOfService:
		d.Title, d.State, d.Hint = "Out of service", "Do not use", "Bring this phone to the station. It could not be cleared."
		if v.Name != "" {
			d.Hint = "Bring this phone to the station. It could not be locked."
		}
	default:
		d.Title, d.State, d.Hint = "Tap your badge", "Free", "The phone opens with your name on it."
		if v.Boxes == "" {
			d.Look, d.Title, d.State, d.Hint = "away", "Not connected", "Free", "Looking for the ward’s box. Please take another phone."
		}
	}
	if v.Screen != agent.ScreenLocked {
		d.Why = ""
	} else if v.Why == gateway.LimitReached.Sentence() {
		d.Hint = "" // it cannot go on, and the reason says what to do
	}
	return d
}

// shown is the name, or what stands for one.
func shown(name string) string {
	if name == "" {
		return "In use"
	}
	return name
}

// left is a duration as a clock shows it.
func left(d time.Duration) string {
	s := int64((d + time.Second - 1) / time.Second)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

func power(v agent.View) string {
	text := "Battery unknown"
	if v.Battery >= 0 {
		text = fmt.Sprintf("%d %%", v.Battery)
	}
	if v.Charging {
		text += ", charging"
	}
	return text
}
