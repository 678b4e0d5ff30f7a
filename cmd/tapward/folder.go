package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// mine says that a box's data folder is there and belongs to the user who runs this: files that another user leaves in
// it, root too, would be closed to the daemon.
func mine(folder string) error {
	stat, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("look at the data folder: %w; make it first, owned by the user who runs tapwardd", err)
	}
	if !stat.IsDir() {
		return fmt.Errorf("%s is not a folder", folder)
	}
	owner := int(stat.Sys().(*syscall.Stat_t).Uid)
	if owner != os.Geteuid() {
		name := userName(owner)
		return fmt.Errorf("%s belongs to %s; do this as that user: sudo -u %s tapward …", folder, name, name)
	}
	return nil
}

// userName is the name of a user, or their number in the form that sudo takes.
func userName(id int) string {
	if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
		return u.Username
	}
	return "#" + strconv.Itoa(id)
}
