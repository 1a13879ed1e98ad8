//go:build release

package sqlledger

import "errors"

func sqliteBackend(Config) (backend, error) {
	return backend{}, errors.New("database: release builds have no embedded SQLite; use MySQL or MariaDB")
}
