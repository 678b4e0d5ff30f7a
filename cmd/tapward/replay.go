package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"tapward/gateway/session"
)

// replayCommand makes every recorded step again. A trace that replays shows that the machine of this program decides as
// the one that ran; a difference shows where it no longer does.
type replayCommand struct {
	Trace string `arg:"" type:"existingfile" help:"What tapwardd --trace wrote; starts of the daemon may follow one another in it."`
}

func (c replayCommand) Run(t terminal) error {
	f, err := os.Open(c.Trace)
	if err != nil {
		return fmt.Errorf("open trace: %w", err)
	}
	defer f.Close()
	r := replay{}
	if err := r.run(f); err != nil {
		return fmt.Errorf("%s, line %d: %w", c.Trace, r.line, err)
	}
	if r.line == 0 {
		return fmt.Errorf("%s is empty: was tapwardd started with --trace?", c.Trace)
	}
	fmt.Fprintf(t.out, "%s made again, the same in state and effects; %s taken as given, because a trace does not hold what the daemon read from its database.\n",
		count(r.steps, "step"), count(r.given, "line"))
	if r.torn {
		fmt.Fprintf(t.out, "The last line is cut short and was left out.\n")
	}
	return nil
}

type replay struct {
	state session.State
	line  int
	steps int // made again
	given int // taken as given
	torn  bool
}

// run reads lines to the end. The first line of all, and every start of the daemon, follows a state that only the
// database held: its after-state is where the next step begins.
func (r *replay) run(in io.Reader) error {
	for lines := bufio.NewReader(in); ; {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			r.torn = len(text) > 0
			return nil
		}
		if err != nil {
			return err
		}
		r.line++
		if err := r.step(text); err != nil {
			return err
		}
	}
}

func (r *replay) step(text []byte) error {
	var t session.Trace
	if err := json.Unmarshal(text, &t); err != nil {
		return fmt.Errorf("it is not a step of a trace: %w", err)
	}
	if r.line == 1 || t.Event == restarted {
		r.given++
		r.state = session.State{}
		if err := json.Unmarshal(t.State, &r.state); err != nil {
			return fmt.Errorf("it holds no state: %w", err)
		}
		return nil
	}
	next, err := again(t, r.state)
	if err != nil {
		return explainDifference(t, next, err)
	}
	r.state = next
	r.steps++
	return nil
}

// again makes a step again. A line that no daemon wrote may hold what Step was never given, and is refused.
func again(t session.Trace, state session.State) (next session.State, err error) {
	defer func() {
		if what := recover(); what != nil {
			err = fmt.Errorf("replay %s: it is no step that a daemon makes: %v", t.Event, what)
		}
	}()
	return t.Replay(state)
}

// restarted is the event with which every start of the daemon begins.
const restarted = "Restarted"

// explainDifference replaces two whole states by the first place where they differ.
func explainDifference(t session.Trace, next session.State, err error) error {
	if !strings.Contains(err.Error(), "state was\n") {
		return err
	}
	now, failed := json.Marshal(next)
	if failed != nil {
		return errors.Join(err, failed)
	}
	where, failed := difference(t.State, now)
	if failed != nil {
		return errors.Join(err, failed)
	}
	return fmt.Errorf("replay %s: the state after it differs: %s", t.Event, where)
}
