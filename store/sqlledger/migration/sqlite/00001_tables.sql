-- Purpose: all tables of the ledger, for the embedded SQLite; the same columns as for MySQL, where they are explained.
-- The column type must read exactly DATETIME for the driver to give times. Atomic: one transaction.

-- +goose Up
CREATE TABLE campaign (
    id           INTEGER  PRIMARY KEY AUTOINCREMENT,
    code         TEXT     NOT NULL UNIQUE,
    name         TEXT     NOT NULL,
    quota        INTEGER  NOT NULL,
    wanted_quota INTEGER  NOT NULL,
    starts_at    DATETIME NOT NULL,
    ends_at      DATETIME NOT NULL,
    state        TEXT     NOT NULL,
    epoch        INTEGER  NOT NULL,
    fencing      INTEGER  NOT NULL,
    created_at   DATETIME NOT NULL,
    updated_at   DATETIME NOT NULL
);

CREATE TABLE coupon (
    id           INTEGER  PRIMARY KEY AUTOINCREMENT,
    campaign_id  INTEGER  NOT NULL,
    user_id      INTEGER  NOT NULL,
    slot         INTEGER  NULL,
    admitted_at  DATETIME NOT NULL,
    issued_at    DATETIME NULL,
    revoked_at   DATETIME NULL,
    revoked_slot INTEGER  NULL,
    released_at  DATETIME NULL
);
CREATE UNIQUE INDEX coupon_user ON coupon (campaign_id, user_id);
CREATE UNIQUE INDEX coupon_slot ON coupon (campaign_id, slot);
CREATE INDEX coupon_stored ON coupon (campaign_id, id);
CREATE INDEX coupon_unreleased ON coupon (id) WHERE revoked_at IS NOT NULL AND released_at IS NULL;

CREATE TABLE fail_event (
    id              INTEGER  PRIMARY KEY AUTOINCREMENT,
    campaign_code   TEXT     NOT NULL,
    user_id         INTEGER  NOT NULL,
    slot            INTEGER  NOT NULL,
    admitted_at     DATETIME NULL,
    epoch           INTEGER  NOT NULL,
    status          TEXT     NOT NULL,
    reason          TEXT     NOT NULL,
    error_message   TEXT     NOT NULL,
    raw_record      BLOB     NOT NULL,
    kafka_topic     TEXT     NOT NULL,
    kafka_partition INTEGER  NOT NULL,
    kafka_offset    INTEGER  NOT NULL,
    attempts        INTEGER  NOT NULL,
    next_attempt_at DATETIME NOT NULL,
    lease_token     TEXT     NOT NULL,
    lease_until     DATETIME NULL,
    discarded_at    DATETIME NULL,
    resolved_at     DATETIME NULL,
    created_at      DATETIME NOT NULL,
    updated_at      DATETIME NOT NULL,
    UNIQUE (kafka_topic, kafka_partition, kafka_offset)
);
CREATE INDEX fail_event_due ON fail_event (status, next_attempt_at);
CREATE INDEX fail_event_lease ON fail_event (status, lease_until);
CREATE INDEX fail_event_status ON fail_event (status, id);
CREATE INDEX fail_event_reason ON fail_event (reason, id);
CREATE INDEX fail_event_campaign ON fail_event (campaign_code, id);
CREATE INDEX fail_event_unresolved ON fail_event (campaign_code, resolved_at, id);
CREATE INDEX fail_event_user ON fail_event (user_id, campaign_code);

CREATE TABLE fail_event_attempt (
    id            INTEGER  PRIMARY KEY AUTOINCREMENT,
    fail_event_id INTEGER  NOT NULL,
    number        INTEGER  NOT NULL,
    started_at    DATETIME NOT NULL,
    finished_at   DATETIME NOT NULL,
    outcome       TEXT     NOT NULL,
    error_message TEXT     NOT NULL,
    actor         TEXT     NOT NULL,
    resolved_at   DATETIME NULL
);
CREATE INDEX fail_event_attempt_event ON fail_event_attempt (fail_event_id, id);
CREATE INDEX fail_event_attempt_resolved ON fail_event_attempt (resolved_at);

CREATE TABLE setting (
    name       TEXT     PRIMARY KEY,
    value      TEXT     NOT NULL,
    updated_at DATETIME NOT NULL
);

CREATE TABLE operator_action (
    id           INTEGER  PRIMARY KEY AUTOINCREMENT,
    actor        TEXT     NOT NULL,
    action       TEXT     NOT NULL,
    target       TEXT     NOT NULL,
    before_value TEXT     NULL,
    after_value  TEXT     NULL,
    acted_at     DATETIME NOT NULL
);
CREATE INDEX operator_action_target ON operator_action (target, id);

-- +goose Down
DROP TABLE operator_action;
DROP TABLE setting;
DROP TABLE fail_event_attempt;
DROP TABLE fail_event;
DROP TABLE coupon;
DROP TABLE campaign;
