-- Purpose: claims of fail events find the next campaign that has some, and of those that are due longest, without reading
-- the other campaigns' events, for MySQL 8 and MariaDB 10.11. One statement, made only where the key is missing, so an
-- interrupted migration can be run again.

-- +goose Up
SET @step = (
    SELECT IF(COUNT(*) = 0, 'ALTER TABLE fail_event
        ADD KEY fail_event_turn (status, campaign_code, next_attempt_at)', 'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'fail_event' AND index_name = 'fail_event_turn');
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;

-- +goose Down
ALTER TABLE fail_event
    DROP KEY fail_event_turn;
