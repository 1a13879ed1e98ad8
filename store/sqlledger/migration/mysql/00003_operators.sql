-- Purpose: what the operators' console shows and does, for MySQL 8 and MariaDB 10.11.
-- MySQL commits after each statement. IF NOT EXISTS lets an interrupted migration be run again; indexes know no such
-- words in MySQL, so those of one table are changed by one statement, which is made only where its first is missing.

-- +goose Up
-- Counts of what became of applications: buckets of ten seconds, which are purged, and totals, which stay.
-- bucket_unix_s is the moment at which the bucket begins.
CREATE TABLE IF NOT EXISTS funnel_bucket (
    campaign_code VARCHAR(63) NOT NULL,
    bucket_unix_s BIGINT      NOT NULL,
    outcome       VARCHAR(32) NOT NULL,
    total         BIGINT      NOT NULL,
    PRIMARY KEY (campaign_code, bucket_unix_s, outcome),
    KEY funnel_bucket_age (bucket_unix_s)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS funnel_total (
    campaign_code VARCHAR(63) NOT NULL,
    outcome       VARCHAR(32) NOT NULL,
    total         BIGINT      NOT NULL,
    PRIMARY KEY (campaign_code, outcome)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- filter is JSON text. The job goes from upto_id down to floor_id; next_id is the highest that it has not looked at.
CREATE TABLE IF NOT EXISTS bulk_job (
    id          BIGINT        NOT NULL AUTO_INCREMENT,
    action      VARCHAR(16)   NOT NULL,
    reason      VARCHAR(1024) NOT NULL,
    filter      TEXT          NOT NULL,
    actor       VARCHAR(200)  NOT NULL,
    matched     BIGINT        NOT NULL,
    done        BIGINT        NOT NULL,
    floor_id    BIGINT        NOT NULL,
    next_id     BIGINT        NOT NULL,
    lease_token VARCHAR(64)   NOT NULL,
    lease_until DATETIME(6)   NULL,
    created_at  DATETIME(6)   NOT NULL,
    updated_at  DATETIME(6)   NOT NULL,
    finished_at DATETIME(6)   NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- beat is JSON text.
CREATE TABLE IF NOT EXISTS heartbeat (
    process VARCHAR(128) NOT NULL,
    beat    TEXT         NOT NULL,
    seen_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (process),
    KEY heartbeat_seen (seen_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Each selection by status, reason and campaign is one or more ranges of these, in the order of the IDs; _cell takes the
-- place of the two indexes that go. _created finds the ID from which on events are of a moment.
SET @step = (
    SELECT IF(COUNT(*) = 0, 'ALTER TABLE fail_event
        ADD KEY fail_event_cell (status, reason, id),
        ADD KEY fail_event_campaign_cell (campaign_code, status, reason, id),
        ADD KEY fail_event_created (created_at, id),
        DROP KEY fail_event_status,
        DROP KEY fail_event_reason', 'DO 0') FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'fail_event' AND index_name = 'fail_event_cell');
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;

-- What is listed newest first is read in the order of the IDs.
SET @step = (
    SELECT IF(COUNT(*) = 0, 'ALTER TABLE operator_action
        ADD KEY operator_action_actor (actor, id),
        ADD KEY operator_action_action (action, id),
        ADD KEY operator_action_acted (acted_at, id)', 'DO 0') FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'operator_action' AND index_name = 'operator_action_actor');
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;

-- +goose Down
ALTER TABLE operator_action
    DROP KEY operator_action_actor,
    DROP KEY operator_action_action,
    DROP KEY operator_action_acted;
ALTER TABLE fail_event
    ADD KEY fail_event_status (status, id),
    ADD KEY fail_event_reason (reason, id),
    DROP KEY fail_event_cell,
    DROP KEY fail_event_campaign_cell,
    DROP KEY fail_event_created;
DROP TABLE heartbeat;
DROP TABLE bulk_job;
DROP TABLE funnel_total;
DROP TABLE funnel_bucket;
