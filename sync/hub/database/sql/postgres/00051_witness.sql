-- +goose Up

-- The hub's own log of the boxes' checkpoints that it has accepted, by the name of the log: one that was put back from a
-- backup behind what a witness has seen ends, and another name begins anew.
CREATE TABLE hublog (
    name       TEXT   NOT NULL PRIMARY KEY,
    size       BIGINT NOT NULL,
    seq        BIGINT NOT NULL, -- place in the archive up to which checkpoints are in it
    checkpoint TEXT   NOT NULL, -- the newest that a witness cosigned, with cosignatures; '' where none
    cosigned   BIGINT NOT NULL  -- its size
);

CREATE TABLE hublog_entry (
    name   TEXT   NOT NULL,
    idx    BIGINT NOT NULL CHECK (idx >= 0),
    site   TEXT   NOT NULL,
    box    TEXT   NOT NULL,
    epoch  BIGINT NOT NULL,
    size   BIGINT NOT NULL, -- of the box's log
    entry  BYTEA  NOT NULL,
    hashes BYTEA  NOT NULL CHECK (length(hashes) >= 32), -- 32 bytes each: of the entry, then of the subtrees that it completes
    PRIMARY KEY (name, idx)
);
CREATE INDEX hublog_entry_box ON hublog_entry (name, site, box, epoch, size);
