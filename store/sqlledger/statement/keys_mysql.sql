-- keys_mysql: the keys of all tables of this database, to find out which are missing.
--
-- Reply: for each key, the primary ones too, the table_name, the key_columns in their order, joined by commas, and
-- whether it is a plain one, which lets two rows be alike.
-- Information that the server keeps for itself: no row of a table is read or locked.
SELECT
    table_name AS table_name,
    GROUP_CONCAT(column_name ORDER BY seq_in_index) AS key_columns,
    MAX(non_unique) AS plain
FROM information_schema.statistics
WHERE table_schema = DATABASE()
GROUP BY table_name, index_name
