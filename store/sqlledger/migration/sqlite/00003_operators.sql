-- Purpose: what the operators' console shows and does, for the embedded SQLite; the same columns and indexes as for
-- MySQL, where they are explained. Atomic: one transaction.

-- +goose Up
CREATE TABLE funnel_bucket (
    campaign_code TEXT    NOT NULL,
    bucket_unix_s INTEGER NOT NULL,
    outcome       TEXT    NOT NULL,
    total         INTEGER NOT NULL,
    PRIMARY KEY (campaign_code, bucket_unix_s, outcome)
);
CREATE INDEX funnel_bucket_age ON funnel_bucket (bucket_unix_s);

CREATE TABLE funnel_total (
    campaign_code TEXT    NOT NULL,
    outcome       TEXT    NOT NULL,
    total         INTEGER NOT NULL,
    PRIMARY KEY (campaign_code, outcome)
);

CREATE TABLE bulk_job (
    id          INTEGER  PRIMARY KEY AUTOINCREMENT,
    action      TEXT     NOT NULL,
    reason      TEXT     NOT NULL,
    filter      TEXT     NOT NULL,
    actor       TEXT     NOT NULL,
    matched     INTEGER  NOT NULL,
    done        INTEGER  NOT NULL,
    floor_id    INTEGER  NOT NULL,
    next_id     INTEGER  NOT NULL,
    lease_token TEXT     NOT NULL,
    lease_until DATETIME NULL,
    created_at  DATETIME NOT NULL,
    updated_at  DATETIME NOT NULL,
    finished_at DATETIME NULL
);

CREATE TABLE heartbeat (
    process TEXT     PRIMARY KEY,
    beat    TEXT     NOT NULL,
    seen_at DATETIME NOT NULL
);
CREATE INDEX heartbeat_seen ON heartbeat (seen_at);

CREATE INDEX fail_event_cell ON fail_event (status, reason, id);
CREATE INDEX fail_event_campaign_cell ON fail_event (campaign_code, status, reason, id);
CREATE INDEX fail_event_created ON fail_event (created_at, id);
DROP INDEX fail_event_status;
DROP INDEX fail_event_reason;

CREATE INDEX operator_action_actor ON operator_action (actor, id);
CREATE INDEX operator_action_action ON operator_action (action, id);
CREATE INDEX operator_action_acted ON operator_action (acted_at, id);

-- +goose Down
DROP INDEX operator_action_acted;
DROP INDEX operator_action_action;
DROP INDEX operator_action_actor;
CREATE INDEX fail_event_status ON fail_event (status, id);
CREATE INDEX fail_event_reason ON fail_event (reason, id);
DROP INDEX fail_event_created;
DROP INDEX fail_event_campaign_cell;
DROP INDEX fail_event_cell;
DROP TABLE heartbeat;
DROP TABLE bulk_job;
DROP TABLE funnel_total;
DROP TABLE funnel_bucket;
