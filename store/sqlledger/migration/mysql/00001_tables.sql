-- Purpose: all tables of the ledger, for MySQL 8 and MariaDB 10.11.
-- Times are DATETIME(6) in UTC. Text compares byte by byte (utf8mb4_bin). Slot 0 in fail_event means that the event
-- holds none; in coupon the slot is NULL once revoked, so that the unique key lets many revoked rows stand.
-- MySQL commits after each CREATE TABLE; IF NOT EXISTS lets an interrupted migration be run again.

-- +goose Up
CREATE TABLE IF NOT EXISTS campaign (
    id           BIGINT       NOT NULL AUTO_INCREMENT,
    code         VARCHAR(63)  NOT NULL,
    name         VARCHAR(200) NOT NULL,
    quota        BIGINT       NOT NULL,
    wanted_quota BIGINT       NOT NULL,
    starts_at    DATETIME(6)  NOT NULL,
    ends_at      DATETIME(6)  NOT NULL,
    state        VARCHAR(16)  NOT NULL,
    epoch        BIGINT       NOT NULL,
    fencing      BIGINT       NOT NULL,
    created_at   DATETIME(6)  NOT NULL,
    updated_at   DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY campaign_code (code)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- coupon_stored serves the rebuild's walk and the lists in the order of storing; coupon_unreleased
-- starts with the rows that were not released, of which those revoked come last, so the sweep reads only what it gives.
CREATE TABLE IF NOT EXISTS coupon (
    id           BIGINT      NOT NULL AUTO_INCREMENT,
    campaign_id  BIGINT      NOT NULL,
    user_id      BIGINT      NOT NULL,
    slot         BIGINT      NULL,
    admitted_at  DATETIME(6) NOT NULL,
    issued_at    DATETIME(6) NULL,
    revoked_at   DATETIME(6) NULL,
    revoked_slot BIGINT      NULL,
    released_at  DATETIME(6) NULL,
    PRIMARY KEY (id),
    UNIQUE KEY coupon_user (campaign_id, user_id),
    UNIQUE KEY coupon_slot (campaign_id, slot),
    KEY coupon_stored (campaign_id, id),
    KEY coupon_unreleased (released_at, revoked_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- resolved_at is set by SUCCESS and by a discard; while it is NULL the event holds its slot for its user.
-- The campaign stands by its code, because a record may name one that does not exist.
CREATE TABLE IF NOT EXISTS fail_event (
    id              BIGINT          NOT NULL AUTO_INCREMENT,
    campaign_code   VARCHAR(63)     NOT NULL,
    user_id         BIGINT          NOT NULL,
    slot            BIGINT          NOT NULL,
    admitted_at     DATETIME(6)     NULL,
    epoch           BIGINT          NOT NULL,
    status          VARCHAR(16)     NOT NULL,
    reason          VARCHAR(32)     NOT NULL,
    error_message   VARCHAR(1024)   NOT NULL,
    raw_record      VARBINARY(4096) NOT NULL,
    kafka_topic     VARCHAR(249)    NOT NULL,
    kafka_partition INT             NOT NULL,
    kafka_offset    BIGINT          NOT NULL,
    attempts        INT             NOT NULL,
    next_attempt_at DATETIME(6)     NOT NULL,
    lease_token     VARCHAR(64)     NOT NULL,
    lease_until     DATETIME(6)     NULL,
    discarded_at    DATETIME(6)     NULL,
    resolved_at     DATETIME(6)     NULL,
    created_at      DATETIME(6)     NOT NULL,
    updated_at      DATETIME(6)     NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY fail_event_position (kafka_topic, kafka_partition, kafka_offset),
    KEY fail_event_due (status, next_attempt_at),
    KEY fail_event_lease (status, lease_until),
    KEY fail_event_status (status, id),
    KEY fail_event_reason (reason, id),
    KEY fail_event_campaign (campaign_code, id),
    KEY fail_event_unresolved (campaign_code, resolved_at, id),
    KEY fail_event_user (user_id, campaign_code)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- resolved_at repeats the event's, so that old attempts are found without looking at every event.
CREATE TABLE IF NOT EXISTS fail_event_attempt (
    id            BIGINT        NOT NULL AUTO_INCREMENT,
    fail_event_id BIGINT        NOT NULL,
    number        INT           NOT NULL,
    started_at    DATETIME(6)   NOT NULL,
    finished_at   DATETIME(6)   NOT NULL,
    outcome       VARCHAR(16)   NOT NULL,
    error_message VARCHAR(1024) NOT NULL,
    actor         VARCHAR(200)  NOT NULL,
    resolved_at   DATETIME(6)   NULL,
    PRIMARY KEY (id),
    KEY fail_event_attempt_event (fail_event_id, id),
    KEY fail_event_attempt_resolved (resolved_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS setting (
    name       VARCHAR(63)   NOT NULL,
    value      VARCHAR(1024) NOT NULL,
    updated_at DATETIME(6)   NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- before_value and after_value are JSON texts, NULL where there is nothing before or after.
CREATE TABLE IF NOT EXISTS operator_action (
    id           BIGINT       NOT NULL AUTO_INCREMENT,
    actor        VARCHAR(200) NOT NULL,
    action       VARCHAR(32)  NOT NULL,
    target       VARCHAR(128) NOT NULL,
    before_value TEXT         NULL,
    after_value  TEXT         NULL,
    acted_at     DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    KEY operator_action_target (target, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE operator_action;
DROP TABLE setting;
DROP TABLE fail_event_attempt;
DROP TABLE fail_event;
DROP TABLE coupon;
DROP TABLE campaign;
