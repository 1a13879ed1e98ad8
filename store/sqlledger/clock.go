package sqlledger

import (
	"time"

	"gorm.io/gorm"
)

// leaseFactor bounds how far ahead a lease may end: this many times the longest lease. One that ends later was noted
// before the database's clock was set back. Two, so that a clock which is put right by a little ends no lease.
const leaseFactor = 2

// now is the moment by the database's clock, which every process shares. A transaction asks for it once it has its locks,
// since it may have waited for them.
func (l *Ledger) now(tx *gorm.DB) (time.Time, error) {
	at, err := l.backend.clock(tx)
	return storedTime(at), err
}

// processNow is the moment by the clock of this process.
func (c Config) processNow() time.Time { return storedTime(c.Now()) }

// storedTime is a moment as the database keeps it: UTC, to the microsecond.
func storedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func mysqlClock(tx *gorm.DB) (time.Time, error) {
	var at time.Time
	err := tx.Raw("SELECT UTC_TIMESTAMP(6)").Row().Scan(&at)
	return at, err
}

// isOver says whether nobody holds a lease any more.
func isOver(until, now time.Time, longest time.Duration) bool {
	return !now.Before(until) || until.After(now.Add(leaseFactor*longest))
}
