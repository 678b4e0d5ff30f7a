-- +goose Up

-- How far the hub has read the messages of each box. It may lag: what is read twice is archived once.
CREATE TABLE ingest_place (
    site     TEXT   NOT NULL,
    box      TEXT   NOT NULL,
    stream   BIGINT NOT NULL, -- when the broker's stream was made: another one counts anew
    sequence BIGINT NOT NULL, -- of the newest message that needs no reading
    PRIMARY KEY (site, box)
);
