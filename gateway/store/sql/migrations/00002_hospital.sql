-- +goose Up

-- What the hospital says it has stored: the newest receipt of each epoch. Only records that it covers are ever pruned.
CREATE TABLE receipt (
    epoch  INTEGER PRIMARY KEY CHECK (epoch > 0),
    size   INTEGER NOT NULL CHECK (size > 0), -- records of the epoch that it covers
    stored TEXT    NOT NULL,                  -- this box's checkpoint at that size with the hub's cosignature
    heard  INTEGER NOT NULL                   -- Unix nanoseconds
) STRICT;

-- Records that were pruned: their row here replaces the one in leaf, so that the pages of bodies and openings are free
-- for new records while every proof stays.
CREATE TABLE pruned (
    id     INTEGER PRIMARY KEY CHECK (id >= 0), -- as it was in leaf
    hashes BLOB    NOT NULL                     -- as they were in leaf
) STRICT;

-- What the hospital has revoked: the newest list. At most one row, and no policy that is loaded later replaces it.
CREATE TABLE revocations (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    through INTEGER NOT NULL CHECK (through > 0),            -- number of the newest one ever given
    digest  BLOB    NOT NULL CHECK (length(digest) = 32),    -- SHA-256 of what the hub signed
    issued  INTEGER NOT NULL,                                -- when it did, Unix nanoseconds
    loaded  INTEGER NOT NULL,                                -- Unix nanoseconds
    list    TEXT    NOT NULL CHECK (json_valid(list)),       -- JSON array, oldest first
    sum     BLOB    NOT NULL CHECK (length(sum) = 32)        -- SHA-256 of list
) STRICT;
