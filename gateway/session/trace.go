package session

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Trace is one step as the engine writes it down, one JSON object a line: the event, and what Step made of it. Replaying
// a trace through Step must give the same.
type Trace struct {
	Event   string          `json:"event"` // name of the event's type
	With    json.RawMessage `json:"with"`
	Effects []string        `json:"effects"`
	State   json.RawMessage `json:"state"` // after the step
}

// events are the types a trace may name.
var events = func() map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for _, e := range []Event{
		Tapped{}, Denied{}, Answered{}, Seen{}, Gone{}, PickedUp{}, Docked{}, Deadline{}, Barred{}, Ordered{}, Exhausted{},
		Added{}, Removed{}, Withdrawn{}, Restarted{},
	} {
		all[name(e)] = reflect.TypeOf(e)
	}
	return all
}()

func name(e any) string { return reflect.Indirect(reflect.ValueOf(e)).Type().Name() }

// NewTrace describes a step that Step has made. Names of people are in it as far as they are in the event.
func NewTrace(e Event, after State, effects []Effect) (Trace, error) {
	with, err := json.Marshal(e)
	if err != nil {
		return Trace{}, fmt.Errorf("trace %s: %w", name(e), err)
	}
	state, err := json.Marshal(after)
	if err != nil {
		return Trace{}, fmt.Errorf("trace state: %w", err)
	}
	t := Trace{Event: name(e), With: with, State: state, Effects: []string{}}
	for _, eff := range effects {
		t.Effects = append(t.Effects, Describe(eff))
	}
	return t, nil
}

// Describe says an effect in a few words, without the names of people.
func Describe(eff Effect) string {
	switch eff := eff.(type) {
	case *Record:
		return fmt.Sprintf("record %s %s", eff.Kind, eff.Phone)
	case Send:
		return fmt.Sprintf("send %s %d to %s", eff.Kind, eff.Next, eff.Phone)
	case Tell:
		return fmt.Sprintf("tell %s %s %s", eff.Reader, eff.Signal, eff.Reason)
	}
	return name(eff)
}

// Replay makes the step again from s and says where it differs from what was written down.
func (t Trace) Replay(s State) (State, error) {
	typ, ok := events[t.Event]
	if !ok {
		return s, fmt.Errorf("replay: unknown event %q", t.Event)
	}
	e := reflect.New(typ)
	if err := json.Unmarshal(t.With, e.Interface()); err != nil {
		return s, fmt.Errorf("replay %s: %w", t.Event, err)
	}
	event := e.Elem().Interface().(Event)
	next, effects := Step(s, event)
	again, err := NewTrace(event, next, effects)
	if err != nil {
		return s, err
	}
	if fmt.Sprint(again.Effects) != fmt.Sprint(t.Effects) {
		return next, fmt.Errorf("replay %s: effects were %q, now are %q", t.Event, t.Effects, again.Effects)
	}
	if string(again.State) != string(t.State) {
		return next, fmt.Errorf("replay %s: state was\n%s\nnow is\n%s", t.Event, t.State, again.State)
	}
	return next, nil
}
