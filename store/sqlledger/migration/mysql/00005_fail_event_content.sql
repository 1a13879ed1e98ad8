-- Purpose: a fail event is known by what its record is, and not only by where it stood, for MySQL 8 and MariaDB 10.11.
-- After a topic was made anew a position comes again with another record. content_key is a SHA-256 in hexadecimal digits,
-- and empty in rows of before. One statement, made only where it is missing, so an interrupted migration can be run again.

-- +goose Up
SET @step = (
    SELECT IF(COUNT(*) = 0, 'ALTER TABLE fail_event
        ADD COLUMN content_key CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '''' AFTER kafka_offset,
        DROP KEY fail_event_position,
        ADD UNIQUE KEY fail_event_record (kafka_topic, kafka_partition, kafka_offset, content_key)', 'DO 0')
    FROM information_schema.statistics
    WHERE table_schema = DATABASE() AND table_name = 'fail_event' AND index_name = 'fail_event_record');
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;

-- +goose Down
ALTER TABLE fail_event
    DROP KEY fail_event_record,
    DROP COLUMN content_key,
    ADD UNIQUE KEY fail_event_position (kafka_topic, kafka_partition, kafka_offset);
