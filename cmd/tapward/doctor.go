package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tapward/gateway"
	"tapward/gateway/station"
)

// doctorCommand looks at the box from outside its daemon, so that it works where the daemon does not.
type doctorCommand struct {
	Config string `help:"The box's configuration." type:"path" default:"/etc/tapward/tapwardd.toml"`
	Socket string `help:"The box's local socket, where systemd opened it." env:"TAPWARD_SOCKET" type:"path" placeholder:"PATH"`
	Report string `help:"Write a report without names, hashes or keys here, to send on." type:"path" placeholder:"FILE"`
}

// level is how well a thing is.
type level string

const (
	well  level = "ok"
	doubt level = "warn"
	ill   level = "fail"
)

// finding is one line of a diagnosis. It goes into the report as it is, so it holds no name of a person, no number or
// hash of a badge and no key.
type finding struct {
	Level level  `json:"level"`
	Area  string `json:"area"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"` // empty only where all is well
}

// patient is what the checks look at.
type patient struct {
	config config
	ward   *gateway.Ward // nil: the daemon does not answer
	away   error         // why not
}

// daemonTime bounds the wait for the daemon's answer.
const daemonTime = 3 * time.Second

func (c doctorCommand) Run(ctx context.Context, t terminal) error {
	findings, p := c.examine(ctx)
	failed := 0
	for _, f := range findings {
		f.print(t.out)
		if f.Level == ill {
			failed++
		}
	}
	if c.Report != "" {
		if err := writeReport(c.Report, findings, p); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "The report is in %s.\n", c.Report)
	}
	if failed > 0 {
		return fmt.Errorf("%s failed", count(failed, "check"))
	}
	return nil
}

func (f finding) print(out io.Writer) {
	fmt.Fprintf(out, "%-4s  %-7s  %s\n", f.Level, f.Area, plain(f.What))
	if f.Do != "" {
		fmt.Fprintf(out, "               → %s\n", plain(f.Do))
	}
}

// examine goes through everything. Without a configuration it looks at what needs none.
func (c doctorCommand) examine(ctx context.Context) ([]finding, patient) {
	var p patient
	findings := []finding{checkClock(time.Now())}
	config, err := readConfig(c.Config)
	if err != nil {
		return append(findings, finding{ill, "config", err.Error(),
			"give the file with --config; docs/operating.md has an example"}), p
	}
	p.config = config
	if c.Socket != "" {
		p.config.Station.Socket = c.Socket
	}
	asked, cancel := context.WithTimeout(ctx, daemonTime)
	defer cancel()
	p.ward, p.away = station.NewClient(p.config.Station.Socket).Ward(asked)
	findings = append(findings, checkConfig(ctx, c.Config))
	for _, check := range []func(context.Context, patient) []finding{
		checkKeys, checkDisk, checkDaemon, checkPolicy, checkReaders, checkNetwork, checkPhones,
	} {
		findings = append(findings, check(ctx, p)...)
	}
	return findings, p
}

// checkConfig has the daemon's own program judge the file.
func checkConfig(ctx context.Context, path string) finding {
	program, err := daemonProgram()
	if err != nil {
		return finding{doubt, "config", path + " can be read; whether it is right, only tapwardd can say, and it is not installed here",
			"install tapwardd, or run doctor on the box"}
	}
	said, err := exec.CommandContext(ctx, program, "--config", path, "--check").CombinedOutput()
	if err != nil {
		what := strings.TrimSpace(string(said))
		if what == "" {
			what = err.Error()
		}
		return finding{ill, "config", what, "correct " + path + " and start tapwardd again"}
	}
	return finding{well, "config", path + " is right", ""}
}

// daemonProgram is tapwardd beside this program, or on the path.
func daemonProgram() (string, error) {
	if own, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(own), "tapwardd")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	return exec.LookPath("tapwardd")
}
