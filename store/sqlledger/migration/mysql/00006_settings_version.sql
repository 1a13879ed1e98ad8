-- Purpose: settings of a campaign have a version, and holders keep their slots when the quota is lowered, for MySQL 8 and
-- MariaDB 10.11. settings_version is raised by each change in the same transaction; slot_limit is the highest slot that
-- somebody may hold when that is more than the quota, else 0. One statement, made only where it is missing, so an
-- interrupted migration can be run again.

-- +goose Up
SET @step = (
    SELECT IF(COUNT(*) = 0, 'ALTER TABLE campaign
        ADD COLUMN settings_version BIGINT NOT NULL DEFAULT 1 AFTER fencing,
        ADD COLUMN slot_limit BIGINT NOT NULL DEFAULT 0 AFTER wanted_quota', 'DO 0')
    FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'campaign' AND column_name = 'slot_limit');
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;

-- +goose Down
ALTER TABLE campaign
    DROP COLUMN settings_version,
    DROP COLUMN slot_limit;
