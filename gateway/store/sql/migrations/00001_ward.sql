-- +goose Up

PRAGMA application_id = 1414551364; -- "TPWD" in ASCII: this file is Tapward's

-- The box itself. One row.
CREATE TABLE ward (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    box     TEXT    NOT NULL,            -- the box this file belongs to
    custody INTEGER NOT NULL DEFAULT 0,  -- the newest custody number given out
    boot    INTEGER NOT NULL DEFAULT 0,  -- boot counter: rises when boot_id changes
    boot_id TEXT    NOT NULL DEFAULT ''  -- the kernel's, at the last start
) STRICT;

-- Phones that were paired: pinned key and where they belong.
CREATE TABLE phone (
    id    TEXT PRIMARY KEY,
    key   BLOB NOT NULL CHECK (length(key) = 32), -- SHA-256 of the SubjectPublicKeyInfo
    class TEXT NOT NULL,
    pool  TEXT NOT NULL,
    addrs TEXT NOT NULL CHECK (json_valid(addrs)) -- JSON array of host:port
) STRICT, WITHOUT ROWID;

-- Where each phone stands: what must be remembered to decide the next event. Times are Unix nanoseconds and lengths
-- nanoseconds; NULL is "not set". Counters are unsigned 64-bit numbers stored in SQLite's signed ones. The words are
-- checked with OR, because for IN SQLite fills a temporary table at every write, on a tap's path.
CREATE TABLE session (
    phone     TEXT    PRIMARY KEY,
    phase     TEXT    NOT NULL CHECK (phase = 'free' OR phase = 'binding' OR phase = 'bound'
                                   OR phase = 'releasing' OR phase = 'quarantined' OR phase = 'foreign'),
    fence     INTEGER NOT NULL, -- as the phone last proved it
    owner     TEXT    NOT NULL, -- a clinician's pseudonymous number; '' where nobody
    custody   INTEGER NOT NULL,
    permit    TEXT    CHECK (permit IS NULL OR json_valid(permit)), -- the grant, exactly the bytes that were signed
    locked    INTEGER NOT NULL CHECK (locked IN (0, 1)),
    picked_up INTEGER NOT NULL CHECK (picked_up IN (0, 1)),
    over      INTEGER NOT NULL CHECK (over IN (0, 1)), -- its limit was reached: nothing renews it
    since     INTEGER,          -- when the session opened, or was asked for
    reason    TEXT    NOT NULL, -- why it is locked, releasing or quarantined
    await     TEXT    NOT NULL CHECK (await = 'none' OR await = 'bind' OR await = 'renew'
                                   OR await = 'lock' OR await = 'release'),
    next      INTEGER NOT NULL, -- fence of the awaited command

    lease_len   INTEGER NOT NULL,
    idle_len    INTEGER NOT NULL,
    limit_len   INTEGER NOT NULL,
    drift_len   INTEGER NOT NULL,
    bind_len    INTEGER NOT NULL,
    release_len INTEGER NOT NULL,
    pickup_len  INTEGER NOT NULL,
    return_len  INTEGER NOT NULL,

    answer_due INTEGER,
    pickup_due INTEGER,
    renew_due  INTEGER,
    lease_due  INTEGER,
    limit_due  INTEGER,
    return_due INTEGER
) STRICT, WITHOUT ROWID;

-- The policy and roster in force. At most one row.
CREATE TABLE policy (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL, -- how many documents this box has been given
    digest   BLOB    NOT NULL CHECK (length(digest) = 32), -- SHA-256 of document
    loaded   INTEGER NOT NULL, -- Unix nanoseconds
    document BLOB    NOT NULL
) STRICT;

-- The audit log. id packs epoch and index, so that the log is one ordered tree of rows without any second index. A later
-- epoch begins where evidence outside this file contradicted it.
CREATE TABLE leaf (
    id     INTEGER PRIMARY KEY CHECK (id >= 0),
    epoch  INTEGER GENERATED ALWAYS AS (id >> 40) VIRTUAL, -- from 1
    idx    INTEGER GENERATED ALWAYS AS (id & 1099511627775) VIRTUAL, -- dense, from 0
    body   BLOB    NOT NULL, -- canonical CBOR, docs/audit.md
    hashes BLOB    NOT NULL  -- 32 bytes each: of this leaf, then of the subtrees that it completes, by level
) STRICT;

-- What names a person, beside the leaf that holds only its salted digest. A row may be erased without breaking a proof.
CREATE TABLE opening (
    leaf  INTEGER NOT NULL REFERENCES leaf (id),
    field TEXT    NOT NULL,
    salt  BLOB    NOT NULL CHECK (length(salt) = 16),
    value BLOB    NOT NULL,
    PRIMARY KEY (leaf, field)
) STRICT, WITHOUT ROWID;
