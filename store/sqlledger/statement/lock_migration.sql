-- Purpose: one migration at a time on a MySQL or MariaDB server, however many processes start at once.
-- Parameters: the name of the lock (the database's), the patience in seconds. Reply: 1 when taken, 0 or NULL otherwise.
-- Atomic: the server gives a named lock to one session at a time, and takes it back when that session ends.
SELECT GET_LOCK(?, ?)
