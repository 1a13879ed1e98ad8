-- Purpose: which installation this ledger is, for the embedded SQLite; the same columns as for MySQL, where they are
-- explained. Atomic: one transaction.

-- +goose Up
CREATE TABLE installation (
    id                     INTEGER  PRIMARY KEY,
    installation_id        TEXT     NOT NULL,
    created_at             DATETIME NOT NULL,
    verified_run           TEXT     NOT NULL DEFAULT '',
    verified_run_started_s INTEGER  NOT NULL DEFAULT 0
);

-- +goose Down
DROP TABLE installation;
