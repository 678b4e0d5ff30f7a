-- +goose Up

-- How far each receiver of exports is.
CREATE TABLE export_feed (
    name      TEXT    PRIMARY KEY,
    place     INTEGER NOT NULL,           -- in the archive; everything up to it is answered or dead
    delivered INTEGER NOT NULL DEFAULT 0, -- records that the receiver confirmed
    sent      INTEGER NOT NULL DEFAULT 0, -- records that went out to one that cannot confirm
    refused   INTEGER NOT NULL DEFAULT 0, -- the newest records in a row that it refused
    answered  INTEGER NOT NULL DEFAULT 0, -- when it last took one; 0: never
    trouble   TEXT    NOT NULL DEFAULT '',-- why it stands still; '' where it does not
    troubled  INTEGER NOT NULL DEFAULT 0  -- since when
) STRICT;

-- Records that a receiver refused for what they are.
CREATE TABLE export_dead (
    feed   TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    record TEXT    NOT NULL, -- site/box/epoch/index
    kind   TEXT    NOT NULL,
    words  TEXT    NOT NULL, -- the receiver's
    first  INTEGER NOT NULL, -- when it was refused first and last
    last   INTEGER NOT NULL,
    times  INTEGER NOT NULL,
    retry  INTEGER NOT NULL DEFAULT 0 CHECK (retry IN (0, 1)), -- somebody asked for another try
    PRIMARY KEY (feed, seq)
) STRICT, WITHOUT ROWID;
