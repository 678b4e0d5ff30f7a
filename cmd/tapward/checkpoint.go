package main

import (
	"errors"
	"fmt"
	"io/fs"

	"tapward/gateway/store"
)

// checkpointCommand prints the newest signed checkpoint, to be kept where nobody who can write to the box can write.
type checkpointCommand struct {
	Database string `arg:"" type:"existingfile" help:"ward.db of a box, running or not, or a copy with its .anchor."`
}

func (c checkpointCommand) Run(t terminal) error {
	checkpoint, err := readAnchor(c.Database)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s.anchor: copy it with the database", c.Database)
	case err != nil:
		return err
	case checkpoint == "":
		return fmt.Errorf("the anchor of %s holds no checkpoint yet: tapwardd signs one when it runs", c.Database)
	}
	_, err = fmt.Fprint(t.out, checkpoint)
	return err
}

// anchorTries is how often an anchor that cannot be read is read again, since a running box writes it in place.
const anchorTries = 5

func readAnchor(database string) (checkpoint string, err error) {
	for range anchorTries {
		if checkpoint, err = store.ReadAnchor(database); err == nil {
			break
		}
	}
	return checkpoint, err
}
