-- Purpose: claims of fail events find the next campaign that has some, and of those that are due longest, without reading
-- the other campaigns' events, for SQLite. Atomic: one transaction.

-- +goose Up
CREATE INDEX fail_event_turn ON fail_event (status, campaign_code, next_attempt_at);

-- +goose Down
DROP INDEX fail_event_turn;
