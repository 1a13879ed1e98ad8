-- keys_sqlite: the keys of all tables of this database, to find out which are missing.
--
-- Reply: for each key, the primary ones too, the table_name, the key_columns in their order, joined by commas, and
-- whether it is a plain one, which lets two rows be alike. A unique key of some rows only counts as none.
-- A primary key of one integer is no index in SQLite: the second part names it.
SELECT
    tables.name AS table_name,
    (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(list.name) ORDER BY seqno)) AS key_columns,
    list."unique" = 0 AS plain
FROM sqlite_master AS tables, pragma_index_list(tables.name) AS list
WHERE tables.type = 'table' AND list.partial = 0
UNION ALL
SELECT tables.name, columns.name, 0
FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' AND columns.pk = 1 AND columns.type = 'INTEGER'
