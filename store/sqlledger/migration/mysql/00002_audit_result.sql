-- Purpose: the last result of the audit of each campaign, for MySQL 8 and MariaDB 10.11.
-- result is JSON text. One statement, and so one step; IF NOT EXISTS lets an interrupted migration be run again.

-- +goose Up
CREATE TABLE IF NOT EXISTS audit_result (
    campaign_code VARCHAR(63) NOT NULL,
    result        MEDIUMTEXT  NOT NULL,
    finished_at   DATETIME(6) NOT NULL,
    PRIMARY KEY (campaign_code)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE audit_result;
