-- +goose Up

-- Decisions of one kind take turns at its row; version is the newest given out.
CREATE TABLE release_turn (
    kind    TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every policy that was released.
CREATE TABLE release_policy (
    version  INTEGER NOT NULL PRIMARY KEY, -- the document's own
    document BLOB    NOT NULL,
    decided  INTEGER NOT NULL,
    person   TEXT    NOT NULL,
    sent     INTEGER NOT NULL -- when the broker had it; 0: not yet
) STRICT;

-- Every revocation that was ever decided.
CREATE TABLE release_revocation (
    number  INTEGER NOT NULL PRIMARY KEY,
    target  TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    decided INTEGER NOT NULL,
    person  TEXT    NOT NULL,
    sent    INTEGER NOT NULL, -- when the broker had it; 0: not yet
    dropped INTEGER NOT NULL  -- since when the list does without it; 0: it is listed
) STRICT;
CREATE INDEX release_revocation_listed ON release_revocation (number) WHERE dropped = 0;

-- When the hub first heard that a box runs a version.
CREATE TABLE release_reach (
    box     TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    heard   INTEGER NOT NULL,
    PRIMARY KEY (box, kind, version)
) STRICT, WITHOUT ROWID;

-- What was decided, in the transaction that did it, until the hub's own audit has it.
CREATE TABLE release_event (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    person  TEXT    NOT NULL, -- who decided; '' where the hub itself did
    subject TEXT    NOT NULL, -- whom or what it is about; may name a person
    words   TEXT    NOT NULL,
    told    INTEGER NOT NULL  -- when; 0: not yet
) STRICT;
CREATE INDEX release_event_untold ON release_event (id) WHERE told = 0;
