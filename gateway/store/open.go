package store

import (
	"context"
	"errors"
	"fmt"
	"os"

	"tapward/gateway"
	"tapward/gateway/audit"
)

// readers is how many connections read beside the writer.
const readers = 4

// Open opens the database, makes it where Config.Create says so and there is none, brings its schema up to date, and
// compares the log with the anchor. Nothing is changed in a file that is damaged, foreign, another box's or too new. It
// starts no goroutine of its own; Run does the background work.
func Open(ctx context.Context, config Config) (_ *Store, err error) {
	config, err = config.complete()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{config: config, committed: make(chan struct{}, 1)}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("open store: %w", errors.Join(err, s.release()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	path := s.config.Path
	missing, err := absent(path)
	if err != nil {
		return err
	}
	if missing && !s.config.Create {
		return fmt.Errorf("there is no database at %s; a new box makes one when told to create it", path)
	}
	if s.lock, err = lockFor(path); err != nil {
		return err
	}
	if s.reserve, err = openReserve(path, s.config.Reserve, s.config.LowWater); err != nil {
		return err
	}
	cramped, err := s.reserve.cramped()
	if err != nil {
		return err
	}
	if missing {
		if err := s.create(ctx, cramped); err != nil {
			return err
		}
	}
	s.frozen.Store(cramped)
	schema, err := s.check(ctx)
	if err != nil {
		return err
	}
	s.Log.db = connect(path, s.readLog, readers)
	if cramped {
		return s.openFrozen(ctx, schema)
	}
	return s.openWriting(ctx, schema)
}

func absent(path string) (bool, error) {
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		return true, nil
	case err != nil:
		return false, explain("open database", path, err)
	}
	return false, nil
}

// create makes the database and its blank anchor.
func (s *Store) create(ctx context.Context, cramped bool) (err error) {
	if cramped {
		return fmt.Errorf("there is no room to make a database at %s: free the disk", s.config.Path)
	}
	if s.anchor, err = openAnchor(s.config.Path, true); err != nil {
		return err
	}
	return create(ctx, s.config.Path, s.config.Box)
}

// check refuses, before anything can be written, a file that must be left alone.
func (s *Store) check(ctx context.Context) (schema int64, err error) {
	choose := still
	if s.frozen.Load() {
		choose = frozen
	}
	db, box, schema, err := examine(ctx, s.config.Path, choose)
	if err != nil {
		return 0, err
	}
	if box != s.config.Box {
		err = fmt.Errorf("%s belongs to box %s and this is box %s; nothing was written", s.config.Path, box, s.config.Box)
	}
	return schema, errors.Join(err, db.Close())
}

// openWriting opens the anchor and the pools, the writer first, because one that only reads cannot recover the WAL; and
// takes the log and the state up where they stand.
func (s *Store) openWriting(ctx context.Context, schema int64) (err error) {
	if s.anchor == nil {
		if s.anchor, err = openAnchor(s.config.Path, false); err != nil {
			return err
		}
	}
	s.writer = connect(s.config.Path, writing, 1)
	if schema < newestSchema() {
		if err := migrate(ctx, s.writer); err != nil {
			return err
		}
	}
	if s.conn, err = s.writer.Conn(ctx); err != nil {
		return fmt.Errorf("open %s for writing: %w", s.config.Path, err)
	}
	s.maintenance = connect(s.config.Path, writing, 1)
	s.unfreeze()
	if err := s.prepareStatements(ctx); err != nil {
		return err
	}
	return s.resume(ctx)
}

// resume goes on with the log. On a disk that is full it makes room first, because a box that cannot start cannot take
// anything away.
func (s *Store) resume(ctx context.Context) error {
	if err := errors.Join(s.readBoot(ctx), s.readStanding(ctx)); err != nil {
		return err
	}
	start := func() error {
		if err := s.countBoot(ctx); err != nil {
			return err
		}
		return s.confront(ctx)
	}
	err := start()
	if errors.Is(err, gateway.ErrStorageFull) {
		if err = s.reserve.release(); err == nil {
			err = start()
		}
	}
	return err
}

// readStanding reads the last epoch's tree and what Commit compares with.
func (s *Store) readStanding(ctx context.Context) error {
	epochs, err := s.spans(ctx)
	if err != nil {
		return fmt.Errorf("read epochs: %w", err)
	}
	s.tree = audit.Tree{Epoch: audit.FirstEpoch}
	if len(epochs) > 0 {
		last := epochs[len(epochs)-1]
		if s.tree, err = audit.OpenTree(last.Number, last.Size, s.Hashes(ctx, last.Number)); err != nil {
			return err
		}
	}
	s.head = s.tree.Head()
	state, err := readState(ctx, s.Log.db)
	if err != nil {
		return fmt.Errorf("read session state: %w", err)
	}
	s.custody = state.Custody
	s.sessions = make(map[gateway.PhoneID]*committedPhone, len(state.Phones))
	for _, p := range state.Phones {
		s.sessions[p.ID] = &committedPhone{p, rowOf(p)}
	}
	return nil
}

// readBoot finds the number of this boot: the last one's, or the next where the machine has restarted.
func (s *Store) readBoot(ctx context.Context) error {
	var last string
	row := s.Log.db.QueryRowContext(ctx, `SELECT boot, boot_id FROM ward`)
	if err := row.Scan(&s.boot, &last); err != nil {
		return fmt.Errorf("read boot counter: %w", err)
	}
	if s.sameBoot = last == s.config.BootID; !s.sameBoot {
		s.boot++
	}
	return nil
}

// countBoot writes down that the machine has restarted, where it has.
func (s *Store) countBoot(ctx context.Context) error {
	if s.sameBoot {
		return nil
	}
	err := s.transact(ctx, func(ctx context.Context) error {
		_, err := s.conn.ExecContext(ctx, `UPDATE ward SET boot = ?, boot_id = ?`, int64(s.boot), s.config.BootID)
		return err
	})
	if err != nil {
		return fmt.Errorf("count the boot: %w", err)
	}
	return nil
}
