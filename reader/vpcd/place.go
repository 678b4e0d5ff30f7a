package vpcd

import (
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// enterNetwork makes the daemon's network namespace, with loopback up, and points the slots to it.
func (d *Daemon) enterNetwork() error {
	if !d.rig.Apart {
		return nil
	}
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and is used for nothing else
		var err error
		d.network, err = makeNetwork()
		made <- err
	}()
	if err := <-made; err != nil {
		return err
	}
	for _, slot := range d.slots {
		slot.Namespace = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(d.network))
	}
	return nil
}

func makeNetwork() (netns.NsHandle, error) {
	network, err := netns.New()
	if err != nil {
		return netns.None(), fmt.Errorf("make a network namespace (needs root): %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		network.Close()
		return netns.None(), fmt.Errorf("bring loopback up: %w", err)
	}
	return network, nil
}

// enter puts the calling thread where the daemon is to run.
func (d *Daemon) enter() error {
	if d.network.IsOpen() {
		if err := netns.Set(d.network); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace (needs root): %w", err)
	}
	return d.mount()
}

// mount puts our drivers over the system's, and SocketDir where the daemon's socket goes.
func (d *Daemon) mount() error {
	const socketDir = "/run/pcscd"
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(d.driverDir(), systemDrivers, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put %s at %s: %w", d.driverDir(), systemDrivers, err)
	}
	// The socket's folder may be missing, and making it on the machine's own /run would leave something behind.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("hide /run: %w", err)
	}
	if err := os.Mkdir(socketDir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(d.rig.SocketDir, socketDir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put %s at %s: %w", d.rig.SocketDir, socketDir, err)
	}
	return nil
}
