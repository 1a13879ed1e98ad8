-- Purpose: which installation this ledger is, for MySQL 8 and MariaDB 10.11.
-- One row, with id 1, which Migrate makes after the tables: the ID is drawn by the program, so that a replica of
-- statements has the same. verified_run names the run of the database server (its identity and start) on which the
-- ledger was last compared with the topic; '' is none. IF NOT EXISTS lets an interrupted migration be run again.

-- +goose Up
CREATE TABLE IF NOT EXISTS installation (
    id                     TINYINT      NOT NULL,
    installation_id        VARCHAR(64)  NOT NULL,
    created_at             DATETIME(6)  NOT NULL,
    verified_run           VARCHAR(255) NOT NULL DEFAULT '',
    verified_run_started_s BIGINT       NOT NULL DEFAULT 0,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE installation;
