-- Purpose: settings of a campaign have a version, and holders keep their slots when the quota is lowered, for the embedded
-- SQLite; the same columns as for MySQL, where they are explained. Atomic: one transaction.

-- +goose Up
ALTER TABLE campaign ADD COLUMN settings_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE campaign ADD COLUMN slot_limit INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE campaign DROP COLUMN settings_version;
ALTER TABLE campaign DROP COLUMN slot_limit;
