-- Purpose: the last result of the audit of each campaign, for the embedded SQLite; the same columns as for MySQL.
-- Atomic: one transaction.

-- +goose Up
CREATE TABLE audit_result (
    campaign_code TEXT     PRIMARY KEY,
    result        TEXT     NOT NULL,
    finished_at   DATETIME NOT NULL
);

-- +goose Down
DROP TABLE audit_result;
