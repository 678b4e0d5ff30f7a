package agent

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Commands are programs that do to the real device what the agent decided; empty means that there is nothing to do.
// Each is an argument vector, run without a shell, with TAPWARD_PHONE, TAPWARD_BOX, TAPWARD_GRANT, TAPWARD_NAME,
// TAPWARD_REASON, TAPWARD_SESSION_DIR and TAPWARD_TOKEN_FILE in its environment as far as they are known. Exit status 0
// is success. It may be run again after any outcome.
type Commands struct {
	Unlock      []string
	Lock        []string
	Clear       []string
	VerifyClear []string
	Timeout     time.Duration // of each; zero: DefaultTimeout
}

// DefaultTimeout is how long a command may take.
const DefaultTimeout = 3 * time.Second

// run starts a command in a process group of its own, which is killed as a whole when the command takes too long; what
// a command leaves running after it exited goes on. What it prints goes nowhere: it may hold a person's name.
func (c Commands) run(ctx context.Context, what string, argv, env []string) error {
	if len(argv) == 0 {
		return nil
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(env, "TAPWARD_EVENT="+what)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s command %s: still running after %v", what, argv[0], timeout)
	}
	return fmt.Errorf("%s command %s: %w", what, argv[0], err)
}
