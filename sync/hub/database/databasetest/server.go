// Package databasetest gives tests of the hub real databases: PostgreSQL, which it starts and ends, and SQLite. Only
// tests import it.
package databasetest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Server is a PostgreSQL server of its own, on a Unix socket.
type Server struct {
	dir     string
	process *exec.Cmd
	ended   chan error
}

// Memory is where a server is quick and yet loses nothing when it is killed; a power cut no test can make.
const Memory = "/dev/shm"

// NewServer makes a cluster in a new folder within another, Memory for one, and starts it. It needs Debian's package
// postgresql, and fails without.
func NewServer(within string) (*Server, error) {
	dir, err := os.MkdirTemp(within, "tapward-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir}
	uid, gid, err := owner()
	if err == nil {
		err = os.Chown(dir, uid, gid)
	}
	if err == nil {
		_, err = s.Run("initdb", "-D", s.cluster(), "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C.UTF-8")
	}
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.RemoveAll(dir))
	}
	return s, nil
}

func (s *Server) cluster() string { return filepath.Join(s.dir, "cluster") }

// Start starts the server again after Kill, and returns when it takes connections.
func (s *Server) Start() error {
	for range 100 {
		said, err := s.try()
		if err == nil {
			return nil
		}
		// Those whom Kill ended may still be on their way out.
		if !strings.Contains(said, "still in use") && !strings.Contains(said, "lock file") {
			return fmt.Errorf("%w: %s", err, said)
		}
	}
	return errors.New("the processes of the server that was killed do not end")
}

func (s *Server) try() (said string, err error) {
	s.process, err = command("postgres", "-D", s.cluster(), "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=100")
	if err != nil {
		return "", err
	}
	s.process.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	out, err := s.process.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := s.process.Start(); err != nil {
		return "", err
	}
	process, ended := s.process, make(chan error, 1)
	s.ended = ended
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said += lines.Text() + "\n"
		if strings.Contains(lines.Text(), "database system is ready to accept connections") {
			go func() {
				for lines.Scan() {
				}
				ended <- process.Wait()
			}()
			return said, nil
		}
	}
	return said, errors.Join(errors.New("PostgreSQL ended"), process.Wait())
}

// Kill ends every process of the server with SIGKILL, as losing the machine's memory would.
func (s *Server) Kill() error {
	pid := s.process.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // no new ones
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	for _, field := range strings.Fields(string(children)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return err
		}
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	<-s.ended
	return nil
}

// Close ends the server and removes its folder.
func (s *Server) Close() error {
	if err := s.process.Process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	<-s.ended
	return os.RemoveAll(s.dir)
}

// URL is that of a database of the server.
func (s *Server) URL(name string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=postgres", name, s.dir)
}

// Run runs one of PostgreSQL's programs as the owner of the server, with its socket as the default, and gives its output.
func (s *Server) Run(program string, args ...string) (string, error) {
	c, err := command(program, args...)
	if err != nil {
		return "", err
	}
	c.Env = append(os.Environ(), "PGHOST="+s.dir, "PGUSER=postgres")
	out, err := c.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w: %s", program, err, exit.Stderr)
	}
	return string(out), err
}

// command is one of PostgreSQL's programs, as its user where we are root: it refuses to be root.
func command(program string, args ...string) (*exec.Cmd, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	if err != nil || len(found) == 0 {
		return nil, fmt.Errorf("there is no /usr/lib/postgresql/*/bin/%s: install Debian's package postgresql", program)
	}
	uid, gid, err := owner()
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	c := exec.Command(found[len(found)-1], args...)
	c.Dir, c.SysProcAttr = "/", &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return c, nil
}

func owner() (uid, gid int, err error) {
	if os.Getuid() != 0 {
		return os.Getuid(), os.Getgid(), nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return 0, 0, fmt.Errorf("%w: install Debian's package postgresql", err)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}
