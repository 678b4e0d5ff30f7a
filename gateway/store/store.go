package store

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tapward/gateway"
	"tapward/gateway/audit"
	"tapward/gateway/kernel"
	"tapward/gateway/session"
)

// DatabaseFile is what a ward's database is called in its box's data folder.
const DatabaseFile = "ward.db"

// LowWater is how many bytes must be free, where Config does not say otherwise, for phones to be handed out.
const LowWater = 64 << 20

// Config is what a store needs to know. Path and Box are required.
type Config struct {
	Path   string        // of the database; .anchor, .reserve and .lock lie beside it
	Create bool          // make the database where there is none; without it a missing one is an error
	Box    gateway.BoxID // whose database it is; another box's is refused
	Log    *slog.Logger

	Signer note.Signer // the log key; nil: Run signs no checkpoints
	Random io.Reader   // salts; nil: crypto/rand
	BootID string      // of the running kernel; empty: read from /proc

	Reserve  int64 // bytes kept for locks and returns on a full disk; 0: 16 MiB
	LowWater int64 // bytes free below which check-outs stop; 0: LowWater
}

// Store is an open database with this process as its one writer. One goroutine calls Commit and OpenEpoch, one calls
// KeepReceipt and Prune; everything else may be called from any.
type Store struct {
	Log

	// Fixed by Open or, where that found no room, by the thaw.
	config      Config
	boot        uint64
	sameBoot    bool
	lock        *os.File
	writer      *sql.DB
	conn        *sql.Conn // of writer: the only one that changes rows
	maintenance *sql.DB   // one connection: moves the WAL into the database, beside the writer
	statements  statements
	prepared    []*sql.Stmt // all of them
	anchor      *anchorFile
	reserve     *reserve

	turn   sync.Mutex  // of whoever writes rows, so that nobody waits in SQLite, which would sleep
	frozen atomic.Bool // nothing can be written; writer, maintenance and anchor are not open

	// Owned by the goroutine that commits.
	tree     audit.Tree
	sessions map[gateway.PhoneID]*committedPhone
	custody  gateway.Custody // as last committed
	broken   error           // after an unknown outcome; nothing is written any more

	// Between Commit and Run.
	mu        sync.Mutex
	head      audit.Head    // newest committed
	committed chan struct{} // holds one token while head is newer than what Run has seen

	newest atomic.Pointer[string]
}

// Stored is all that a restart needs.
type Stored struct {
	State session.State

	Paired []gateway.Phone // ordered by id

	Policy         []byte // the document as loaded; nil: none
	PolicyRevision uint64 // how many documents this box has been given
	PolicyDigest   gateway.Digest
	PolicyLoaded   time.Time
	PolicyDamage   error // why a document that is there cannot be used; the box then has no policy

	Revocations gateway.Revocations // the list in force

	Head     audit.Head
	Boot     uint64 // boot counter: rises with every start of the machine
	SameBoot bool   // the machine has not restarted since the database was last open
}

func (c Config) complete() (Config, error) {
	if c.Path == "" || c.Box == "" {
		return c, errors.New("the path of the database and the name of the box must be given")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Reserve == 0 {
		c.Reserve = 16 << 20
	}
	if c.LowWater == 0 {
		c.LowWater = LowWater
	}
	if c.BootID == "" {
		var err error
		if c.BootID, err = kernel.BootID(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Checkpoint is the newest signed checkpoint that is safe outside the database, for everything that leaves the box; empty
// before the first.
func (s *Store) Checkpoint() string {
	if p := s.newest.Load(); p != nil {
		return *p
	}
	return ""
}

// Head is the newest committed head of the log.
func (s *Store) Head() audit.Head {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head
}

// Close signs a last checkpoint, moves the WAL into the database and lets go of every file. Run and Commit must have
// returned.
func (s *Store) Close() error {
	var errs []error
	if s.broken == nil && s.config.Signer != nil && !s.frozen.Load() {
		errs = append(errs, s.publish())
	}
	errs = append(errs, s.release())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// release closes what Open opened, as far as it got. The writer is last: closing the last connection empties the WAL.
func (s *Store) release() error {
	var errs []error
	for _, stmt := range s.prepared { // or the connection would stay, and with it the WAL
		errs = append(errs, stmt.Close())
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	for _, db := range []*sql.DB{s.Log.db, s.maintenance, s.writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.anchor != nil {
		errs = append(errs, s.anchor.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
