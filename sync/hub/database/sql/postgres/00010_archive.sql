-- +goose Up

-- One epoch of one box's log, as far as it is archived. Where foreign keys could stand below, the archive's one way of
-- writing holds them: checking each row again would cost a third of the pace of a backlog.
CREATE TABLE origin (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site       TEXT   NOT NULL,
    box        TEXT   NOT NULL,
    epoch      BIGINT NOT NULL CHECK (epoch > 0),
    size       BIGINT NOT NULL, -- records archived, without a gap
    month      BIGINT NOT NULL, -- in which the newest was archived
    archived   BIGINT NOT NULL, -- when
    checkpoint TEXT   NOT NULL, -- the newest accepted, with the box's signature
    stored     TEXT   NOT NULL, -- the same with the hub's cosignature; '' where it has none
    UNIQUE (site, box, epoch)
);

-- That a record is archived, and the tree over all of them. It is not partitioned: its key holds for ever.
CREATE TABLE leaf (
    origin BIGINT NOT NULL,
    idx    BIGINT NOT NULL CHECK (idx >= 0),
    month  BIGINT NOT NULL, -- where its body lies, as year * 100 + month
    hashes BYTEA  NOT NULL CHECK (length(hashes) >= 32), -- 32 bytes each: of the leaf, then of the subtrees that it completes
    PRIMARY KEY (origin, idx)
);

-- The canonical bytes of records (docs/audit.md), and what searches look at. Each month is a partition of its own, made
-- by the hub, and goes as a whole.
CREATE TABLE body (
    month  BIGINT NOT NULL,
    origin BIGINT NOT NULL,
    idx    BIGINT NOT NULL,
    at     BIGINT NOT NULL, -- the box's wall time of the commit
    kind   TEXT   NOT NULL,
    phone  TEXT   NOT NULL, -- '' where none
    body   BYTEA  NOT NULL,
    PRIMARY KEY (origin, idx, month)
) PARTITION BY LIST (month);
CREATE INDEX body_at ON body USING brin (at);
CREATE INDEX body_phone ON body (phone, at) WHERE phone <> '';

-- What names a person, beside the leaf that holds only its salted digest. Rows may be erased without breaking a proof.
CREATE TABLE opening (
    month  BIGINT   NOT NULL,
    origin BIGINT   NOT NULL,
    idx    BIGINT   NOT NULL,
    field  BIGINT   NOT NULL, -- its number in docs/audit.md
    salt   BYTEA    NOT NULL CHECK (length(salt) = 16),
    value  BYTEA    NOT NULL,
    PRIMARY KEY (origin, idx, field, month)
) PARTITION BY LIST (month);
CREATE INDEX opening_person ON opening (substr(value, 1, 64)) WHERE field <= 3; -- clinician, previous, operator

-- The order of the archive over all boxes: what was appended together, with the checkpoint that covers it. seq is the
-- place of the first record in it.
CREATE TABLE batch (
    seq        BIGINT PRIMARY KEY CHECK (seq > 0),
    origin     BIGINT NOT NULL,
    first      BIGINT NOT NULL,
    records    BIGINT NOT NULL CHECK (records > 0),
    month      BIGINT NOT NULL,
    archived   BIGINT NOT NULL,
    checkpoint TEXT   NOT NULL
);
CREATE INDEX batch_origin ON batch (origin, first);
CREATE SEQUENCE archive_order;

-- take_places gives the first of some places in the archive's order to the transaction that calls it. A shared lock is
-- held from here until it ends, so that whoever takes the same lock alone knows that no place below the newest one is
-- still to be filled; appends do not wait for one another's disk.
-- +goose StatementBegin
CREATE FUNCTION take_places(records BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    seq BIGINT;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7380001);
    PERFORM pg_advisory_lock(7380002);
    seq := nextval('archive_order');
    PERFORM setval('archive_order', seq + records - 1);
    PERFORM pg_advisory_unlock(7380002);
    RETURN seq;
END $$;
-- +goose StatementEnd

-- What a person must look at. One that quarantines refuses the rest of its epoch until it is lifted.
CREATE TABLE incident (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site        TEXT    NOT NULL,
    box         TEXT    NOT NULL,
    epoch       BIGINT  NOT NULL,
    reason      TEXT    NOT NULL,
    what        TEXT    NOT NULL,
    quarantines BIGINT  NOT NULL CHECK (quarantines IN (0, 1)),
    accepted    TEXT    NOT NULL, -- the newest accepted checkpoint at that time; '' where none
    evidence    BYTEA,            -- the message as it came; NULL where there is none, or no longer
    digest      BYTEA   NOT NULL, -- of reason and evidence: the same thing again is counted
    first_seen  BIGINT  NOT NULL,
    last_seen   BIGINT  NOT NULL,
    times       BIGINT  NOT NULL,
    lifted      BIGINT,           -- when somebody had looked
    lifted_by   TEXT    NOT NULL DEFAULT '',
    lifted_why  TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX incident_open ON incident (site, box, epoch, digest) WHERE lifted IS NULL;
