-- +goose Up

-- Decisions of one kind take turns at its row; version is the newest given out.
CREATE TABLE release_turn (
    kind    TEXT    NOT NULL PRIMARY KEY,
    version BIGINT  NOT NULL
);

-- Every policy that was released.
CREATE TABLE release_policy (
    version  BIGINT  NOT NULL PRIMARY KEY, -- the document's own
    document BYTEA   NOT NULL,
    decided  BIGINT  NOT NULL,
    person   TEXT    NOT NULL,
    sent     BIGINT  NOT NULL -- when the broker had it; 0: not yet
);

-- Every revocation that was ever decided.
CREATE TABLE release_revocation (
    number  BIGINT  NOT NULL PRIMARY KEY,
    target  TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    decided BIGINT  NOT NULL,
    person  TEXT    NOT NULL,
    sent    BIGINT  NOT NULL, -- when the broker had it; 0: not yet
    dropped BIGINT  NOT NULL  -- since when the list does without it; 0: it is listed
);
CREATE INDEX release_revocation_listed ON release_revocation (number) WHERE dropped = 0;

-- When the hub first heard that a box runs a version.
CREATE TABLE release_reach (
    box     TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    version BIGINT  NOT NULL,
    heard   BIGINT  NOT NULL,
    PRIMARY KEY (box, kind, version)
);

-- What was decided, in the transaction that did it, until the hub's own audit has it.
CREATE TABLE release_event (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT  NOT NULL,
    kind    TEXT    NOT NULL,
    person  TEXT    NOT NULL, -- who decided; '' where the hub itself did
    subject TEXT    NOT NULL, -- whom or what it is about; may name a person
    words   TEXT    NOT NULL,
    told    BIGINT  NOT NULL  -- when; 0: not yet
);
CREATE INDEX release_event_untold ON release_event (id) WHERE told = 0;
