-- +goose Up

-- How far each receiver of exports is.
CREATE TABLE export_feed (
    name      TEXT   PRIMARY KEY,
    place     BIGINT NOT NULL,           -- in the archive; everything up to it is answered or dead
    delivered BIGINT NOT NULL DEFAULT 0, -- records that the receiver confirmed
    sent      BIGINT NOT NULL DEFAULT 0, -- records that went out to one that cannot confirm
    refused   BIGINT NOT NULL DEFAULT 0, -- the newest records in a row that it refused
    answered  BIGINT NOT NULL DEFAULT 0, -- when it last took one; 0: never
    trouble   TEXT   NOT NULL DEFAULT '',-- why it stands still; '' where it does not
    troubled  BIGINT NOT NULL DEFAULT 0  -- since when
);

-- Records that a receiver refused for what they are.
CREATE TABLE export_dead (
    feed   TEXT   NOT NULL,
    seq    BIGINT NOT NULL,
    record TEXT   NOT NULL, -- site/box/epoch/index
    kind   TEXT   NOT NULL,
    words  TEXT   NOT NULL, -- the receiver's
    first  BIGINT NOT NULL, -- when it was refused first and last
    last   BIGINT NOT NULL,
    times  BIGINT NOT NULL,
    retry  BIGINT NOT NULL DEFAULT 0 CHECK (retry IN (0, 1)), -- somebody asked for another try
    PRIMARY KEY (feed, seq)
);
