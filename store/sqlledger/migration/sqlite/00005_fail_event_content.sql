-- Purpose: a fail event is known by what its record is, and not only by where it stood, for SQLite.
-- After a topic was made anew a position comes again with another record. content_key is a SHA-256 in hexadecimal digits,
-- and empty in rows of before. SQLite can't drop a UNIQUE of a table, so the table is copied, in one transaction.

-- +goose Up
CREATE TABLE fail_event_new (
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
    content_key     TEXT     NOT NULL DEFAULT '',
    attempts        INTEGER  NOT NULL,
    next_attempt_at DATETIME NOT NULL,
    lease_token     TEXT     NOT NULL,
    lease_until     DATETIME NULL,
    discarded_at    DATETIME NULL,
    resolved_at     DATETIME NULL,
    created_at      DATETIME NOT NULL,
    updated_at      DATETIME NOT NULL,
    UNIQUE (kafka_topic, kafka_partition, kafka_offset, content_key)
);
INSERT INTO fail_event_new (
    id, campaign_code, user_id, slot, admitted_at, epoch, status,
    reason, error_message, raw_record, kafka_topic, kafka_partition, kafka_offset, attempts,
    next_attempt_at, lease_token, lease_until, discarded_at, resolved_at, created_at, updated_at)
SELECT
    id, campaign_code, user_id, slot, admitted_at, epoch, status,
    reason, error_message, raw_record, kafka_topic, kafka_partition, kafka_offset, attempts,
    next_attempt_at, lease_token, lease_until, discarded_at, resolved_at, created_at, updated_at
FROM fail_event;
DROP TABLE fail_event;
ALTER TABLE fail_event_new RENAME TO fail_event;
CREATE INDEX fail_event_due ON fail_event (status, next_attempt_at);
CREATE INDEX fail_event_lease ON fail_event (status, lease_until);
CREATE INDEX fail_event_campaign ON fail_event (campaign_code, id);
CREATE INDEX fail_event_unresolved ON fail_event (campaign_code, resolved_at, id);
CREATE INDEX fail_event_user ON fail_event (user_id, campaign_code);
CREATE INDEX fail_event_cell ON fail_event (status, reason, id);
CREATE INDEX fail_event_campaign_cell ON fail_event (campaign_code, status, reason, id);
CREATE INDEX fail_event_created ON fail_event (created_at, id);

-- +goose Down
CREATE TABLE fail_event_old (
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
INSERT INTO fail_event_old (
    id, campaign_code, user_id, slot, admitted_at, epoch, status,
    reason, error_message, raw_record, kafka_topic, kafka_partition, kafka_offset, attempts,
    next_attempt_at, lease_token, lease_until, discarded_at, resolved_at, created_at, updated_at)
SELECT
    id, campaign_code, user_id, slot, admitted_at, epoch, status,
    reason, error_message, raw_record, kafka_topic, kafka_partition, kafka_offset, attempts,
    next_attempt_at, lease_token, lease_until, discarded_at, resolved_at, created_at, updated_at
FROM fail_event;
DROP TABLE fail_event;
ALTER TABLE fail_event_old RENAME TO fail_event;
CREATE INDEX fail_event_due ON fail_event (status, next_attempt_at);
CREATE INDEX fail_event_lease ON fail_event (status, lease_until);
CREATE INDEX fail_event_campaign ON fail_event (campaign_code, id);
CREATE INDEX fail_event_unresolved ON fail_event (campaign_code, resolved_at, id);
CREATE INDEX fail_event_user ON fail_event (user_id, campaign_code);
CREATE INDEX fail_event_cell ON fail_event (status, reason, id);
CREATE INDEX fail_event_campaign_cell ON fail_event (campaign_code, status, reason, id);
CREATE INDEX fail_event_created ON fail_event (created_at, id);
