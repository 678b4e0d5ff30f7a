// Package isolate runs a program in network and mount namespaces of its own, so that its daemons, its multicast and its
// fixed ports meet nobody else's. Only tests and the demo ward import it.
package isolate

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/vishvananda/netlink"
)

const marker = "TAPWARD_ISOLATED"

// Main is a TestMain: it runs m inside fresh namespaces, with loopback up and mounts private, and exits with its result.
// It needs root, or a kernel that lets users make namespaces (Debian's does), and fails where it has neither.
func Main(m interface{ Run() int }) {
	if os.Getenv(marker) == "" {
		os.Exit(again())
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "isolate:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again runs this binary once more, inside.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.SysProcAttr = Namespaces()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "isolate: cannot make namespaces (root, or kernel.unprivileged_userns_clone=1, is needed):", err)
		return 1
	}
	return 0
}

// Namespaces asks for new network and mount namespaces, and for a user namespace where we are not root.
func Namespaces() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: gid, Size: 1}}
	}
	return attr
}

func prepare() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	return nil
}
