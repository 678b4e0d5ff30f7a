-- +goose Up

PRAGMA application_id = 1414547522; -- "TPHB" in ASCII: this file is a Tapward hub's

-- One epoch of one box's log, as far as it is archived. Where foreign keys could stand below, the archive's one way of
-- writing holds them: checking each row again would cost a third of the pace of a backlog.
CREATE TABLE origin (
    id         INTEGER PRIMARY KEY,
    site       TEXT    NOT NULL,
    box        TEXT    NOT NULL,
    epoch      INTEGER NOT NULL CHECK (epoch > 0),
    size       INTEGER NOT NULL, -- records archived, without a gap
    month      INTEGER NOT NULL, -- in which the newest was archived
    archived   INTEGER NOT NULL, -- when
    checkpoint TEXT    NOT NULL, -- the newest accepted, with the box's signature
    stored     TEXT    NOT NULL, -- the same with the hub's cosignature; '' where it has none
    UNIQUE (site, box, epoch)
) STRICT;

-- That a record is archived, and the tree over all of them. Its rows stay for ever.
CREATE TABLE leaf (
    origin INTEGER NOT NULL,
    idx    INTEGER NOT NULL CHECK (idx >= 0),
    month  INTEGER NOT NULL, -- where its body lies, as year * 100 + month
    hashes BLOB    NOT NULL CHECK (length(hashes) >= 32), -- 32 bytes each: of the leaf, then of the subtrees that it completes
    PRIMARY KEY (origin, idx)
) STRICT, WITHOUT ROWID;

-- The canonical bytes of records (docs/audit.md), and what searches look at. Rows go with their month.
CREATE TABLE body (
    month  INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    at     INTEGER NOT NULL, -- the box's wall time of the commit
    kind   TEXT    NOT NULL,
    phone  TEXT    NOT NULL, -- '' where none
    body   BLOB    NOT NULL,
    PRIMARY KEY (origin, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX body_phone ON body (phone, at) WHERE phone <> '';

-- What names a person, beside the leaf that holds only its salted digest. Rows may be erased without breaking a proof.
CREATE TABLE opening (
    month  INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    field  INTEGER NOT NULL, -- its number in docs/audit.md
    salt   BLOB    NOT NULL CHECK (length(salt) = 16),
    value  BLOB    NOT NULL,
    PRIMARY KEY (origin, idx, field)
) STRICT, WITHOUT ROWID;
CREATE INDEX opening_person ON opening (substr(value, 1, 64)) WHERE field <= 3; -- clinician, previous, operator

-- The order of the archive over all boxes: what was appended together, with the checkpoint that covers it. seq is the
-- place of the first record in it.
CREATE TABLE batch (
    seq        INTEGER PRIMARY KEY CHECK (seq > 0),
    origin     INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    records    INTEGER NOT NULL CHECK (records > 0),
    month      INTEGER NOT NULL,
    archived   INTEGER NOT NULL,
    checkpoint TEXT    NOT NULL
) STRICT;
CREATE INDEX batch_origin ON batch (origin, first);

-- What a person must look at. One that quarantines refuses the rest of its epoch until it is lifted.
CREATE TABLE incident (
    id          INTEGER PRIMARY KEY,
    site        TEXT    NOT NULL,
    box         TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    what        TEXT    NOT NULL,
    quarantines INTEGER NOT NULL CHECK (quarantines IN (0, 1)),
    accepted    TEXT    NOT NULL, -- the newest accepted checkpoint at that time; '' where none
    evidence    BLOB,             -- the message as it came; NULL where there is none, or no longer
    digest      BLOB    NOT NULL, -- of reason and evidence: the same thing again is counted
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    times       INTEGER NOT NULL,
    lifted      INTEGER,          -- when somebody had looked
    lifted_by   TEXT    NOT NULL DEFAULT '',
    lifted_why  TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX incident_open ON incident (site, box, epoch, digest) WHERE lifted IS NULL;
