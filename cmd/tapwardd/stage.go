package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// stage is a set of tasks that end together. The first that fails ends its stage.
type stage struct {
	ctx    context.Context
	cancel context.CancelFunc
	tasks  *errgroup.Group
}

func newStage() *stage {
	ctx, cancel := context.WithCancel(context.Background())
	tasks, ctx := errgroup.WithContext(ctx)
	return &stage{ctx, cancel, tasks}
}

// run starts a task, which returns when its ctx ends; that it was ended so is no error.
func (s *stage) run(task func(ctx context.Context) error) {
	s.tasks.Go(func() error {
		err := task(s.ctx)
		if s.ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
}

// end returns when every task has.
func (s *stage) end() error {
	s.cancel()
	return s.tasks.Wait()
}
