package sqlledger

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"firstcome/domain"
)

// Limits of the repetitions of a transaction that a conflict undid.
const (
	maxTries      = 6
	firstMaxPause = 4 * time.Millisecond
)

// errConflict undoes a transaction because another one has changed what it relies on; the transaction is tried again.
var errConflict = domain.Errorf(domain.CodeUnavailable, "other writers were faster each time")

// observe bounds a call by CallTimeout, gives its error a code and counts it.
func (l *Ledger) observe(ctx context.Context, operation string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.config.CallTimeout)
	defer cancel()
	return l.count(operation, func() error { return call(ctx) })
}

func (l *Ledger) count(operation string, call func() error) error {
	started := time.Now()
	var err error
	if cause := call(); cause != nil {
		err = classify(cause)
	}
	l.metrics.observe(operation, started, err)
	return err
}

// read runs queries that need not agree with each other on one moment.
func (l *Ledger) read(ctx context.Context, operation string, query func(*gorm.DB) error) error {
	return l.observe(ctx, operation, func(ctx context.Context) error { return query(l.db.WithContext(ctx)) })
}

// readToDecide is read for what decides what is done next: a proxy that sends reads to replicas sends it where writes go.
// Other reads are shown to people, or decide about what a conditional write looks at again.
func (l *Ledger) readToDecide(ctx context.Context, operation string, query func(*gorm.DB) error) error {
	return l.observe(ctx, operation, func(ctx context.Context) error { return l.snapshot(ctx, query) })
}

// snapshot gives queries of one moment. What they say decides, so the transaction does not call itself read-only where
// that would have a proxy send it to a replica: it goes where writes go. The transaction lasts as long as the caller's context; the caller bounds
// each query.
func (l *Ledger) snapshot(ctx context.Context, query func(tx *gorm.DB) error) error {
	tx := l.db.WithContext(ctx).Begin(&sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: l.backend.oneWriter})
	if tx.Error != nil {
		return tx.Error
	}
	defer tx.Rollback()
	return query(tx)
}

// write runs change in one transaction, and again in a new one when a conflict undid it. Change must set its results
// anew each time. No call changes anything outside of write, so whatever fails before the commit had no effect.
func (l *Ledger) write(ctx context.Context, operation string, change func(tx *gorm.DB) error) error {
	return l.observe(ctx, operation, func(ctx context.Context) error {
		for try := 1; ; try++ {
			err := l.transact(ctx, change)
			if !isConflict(err) || try == maxTries {
				return err
			}
			l.metrics.retries.WithLabelValues(operation).Inc()
			l.logger.Debug("database transaction is tried again", "operation", operation, "try", try, "error", err)
			if pause(ctx, firstMaxPause<<try) != nil {
				return err
			}
		}
	})
}

// pause waits a random part of longest, so that those who got in each other's way come back at different times.
func pause(ctx context.Context, longest time.Duration) error {
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// transact runs change in one transaction. A commit whose answer is missing gives CodeOutcomeUnknown. After a server
// has said that it takes no writes, the next transaction asks the address again where the database is.
func (l *Ledger) transact(ctx context.Context, change func(tx *gorm.DB) error) error {
	err := l.transactOnce(ctx, change)
	if isReadOnlyServer(err) {
		l.dropConnections()
	}
	return err
}

// dropConnections ends the connections that nobody is using. One in use ends when its own call meets the same answer.
func (l *Ledger) dropConnections() {
	l.pool.SetMaxIdleConns(0)
	l.pool.SetMaxIdleConns(l.config.MaxOpenConns)
}

func (l *Ledger) transactOnce(ctx context.Context, change func(tx *gorm.DB) error) error {
	if err := l.becomeWriter(ctx); err != nil {
		return err
	}
	defer l.yieldWriter()
	tx := l.db.WithContext(ctx).Begin(&sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if tx.Error != nil {
		return tx.Error
	}
	committed := false
	defer func() {
		if !committed {
			tx.Rollback()
		}
	}()
	if err := change(tx); err != nil {
		return err
	}
	committed = true
	if err := tx.Commit().Error; err != nil {
		return classifyCommit(err)
	}
	return nil
}

func (l *Ledger) becomeWriter(ctx context.Context) error {
	if l.writer == nil {
		return nil
	}
	select {
	case l.writer <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Ledger) yieldWriter() {
	if l.writer != nil {
		<-l.writer
	}
}

// isConflict says whether an error means that the transaction is undone and the same one may succeed now: others got in
// its way, or it went to a server that is no longer the one to write to.
func isConflict(err error) bool {
	return errors.Is(err, errConflict) || isDeadlockOrLockWait(err) || isReadOnlyServer(err)
}
