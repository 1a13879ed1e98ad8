-- Purpose: gives the migration's named lock back before the session ends. Parameter: the name of the lock.
-- Atomic: only the session that holds the lock can release it.
SELECT RELEASE_LOCK(?)
