-- +goose Up

-- A subject is a box or phone by its name in certificates, spiffe://<site>/<kind>/<id>. A digest is a SHA-256.

-- Decisions about one subject take turns at its row.
CREATE TABLE enrol_turn (
    subject TEXT    NOT NULL PRIMARY KEY,
    at      BIGINT  NOT NULL -- the newest decision
);

-- A subject that asks to be enrolled. Rows go some days after their end.
CREATE TABLE enrol_claim (
    id        TEXT    NOT NULL PRIMARY KEY,
    subject   TEXT    NOT NULL,
    ward      TEXT    NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('offered', 'revealed', 'confirmed', 'issued', 'ended')),
    committed BYTEA   NOT NULL, -- both messages as they travelled: the code is made of them
    offered   BYTEA   NOT NULL,
    revealed  BYTEA,
    code      TEXT    NOT NULL, -- '' until it is revealed
    began     BIGINT  NOT NULL,
    ends      BIGINT  NOT NULL,
    listed    BIGINT  NOT NULL, -- 1: announced by a signed list
    token     BYTEA,            -- digest of the newest token given out
    chain     BYTEA,            -- the certificate made for it
    reason    TEXT    NOT NULL, -- why it ended, for the newcomer
    words     TEXT    NOT NULL
);
CREATE INDEX enrol_claim_subject ON enrol_claim (subject);

-- The allow list.
CREATE TABLE enrol_member (
    subject  TEXT    NOT NULL PRIMARY KEY,
    ward     TEXT    NOT NULL,
    tls      BYTEA   NOT NULL, -- digest of its SubjectPublicKeyInfo
    previous BYTEA,            -- the one before, until the new one renews
    link     BYTEA   NOT NULL, -- digest likewise
    log      TEXT    NOT NULL, -- verifier key; '' of a phone
    chain    BYTEA   NOT NULL, -- its newest certificate and the intermediates, DER one after another
    since    BIGINT  NOT NULL,
    ends     BIGINT  NOT NULL, -- of the newest certificate
    revoked  BIGINT  NOT NULL  -- when; 0: not
);

-- Every key that was ever enrolled, and whose it is: no key serves two, and none that was revoked comes back.
CREATE TABLE enrol_key (
    id      BYTEA   NOT NULL PRIMARY KEY, -- digest
    role    TEXT    NOT NULL CHECK (role IN ('tls', 'link', 'log')),
    subject TEXT    NOT NULL,
    since   BIGINT  NOT NULL,
    revoked BIGINT  NOT NULL, -- when; 0: not
    log     TEXT    NOT NULL  -- the verifier key, of a log key
);
CREATE INDEX enrol_key_subject ON enrol_key (subject, role, since);

-- Subjects that a signed list announced.
CREATE TABLE enrol_expected (
    subject TEXT    NOT NULL PRIMARY KEY,
    ward    TEXT    NOT NULL,
    link    BYTEA,            -- digest of its link key, where it was known
    issued  BIGINT  NOT NULL, -- the list: a later one replaces what an earlier one says
    expires BIGINT  NOT NULL
);

-- What was decided, in the transaction that did it, until the hub's own audit has it.
CREATE TABLE enrol_event (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT  NOT NULL,
    kind    TEXT    NOT NULL,
    person  TEXT    NOT NULL, -- who decided; '' where the newcomer or the hub itself did
    subject TEXT    NOT NULL, -- '' of a whole list
    words   TEXT    NOT NULL,
    told    BIGINT  NOT NULL  -- when; 0: not yet
);
CREATE INDEX enrol_event_untold ON enrol_event (id) WHERE told = 0;
