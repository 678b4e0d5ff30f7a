-- +goose Up

-- Whose database it is: the public keys of the hub that used it first, as one digest.
CREATE TABLE hub (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    keys TEXT    NOT NULL
);
