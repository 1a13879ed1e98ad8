package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Faults of the database, other than those of its process.
var mysqlFaults = []fault{
	{lasting("lock waits", 500*time.Millisecond, 8*time.Second, mysqlServer), lockWaits},
	{lasting("deadlocks", time.Second, 5*time.Second, mysqlServer), deadlocks},
	{lasting("read-only", 500*time.Millisecond, 6*time.Second, mysqlServer), readOnly},
	{lasting("rows refused", time.Second, 8*time.Second, mysqlServer), refuseRows},
}

// Faults of a single database, whose disk is small.
var diskFaults = []fault{
	{lasting("connections used up", time.Second, 6*time.Second, mysqlServer), useUpConnections},
	{lasting("disk full", 2*time.Second, 8*time.Second, mysqlServer), fillDisk},
}

// root is the supervisor's one connection for a fault; it is closed by the healing.
func (w *world) connect(ctx context.Context) (*sql.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return w.database.Conn(ctx)
}

// execute runs statements one after the other; a healing repeats them until the database has taken them.
func (w *world) execute(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := w.database.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (w *world) executeAtLast(statements ...string) healing {
	return func(ctx context.Context) error {
		return eventually(ctx, time.Minute, "the database is healed", func(ctx context.Context) error { return w.execute(ctx, statements...) })
	}
}

// lockWaits holds the campaign's row, which every insert and rebuild needs.
func lockWaits(ctx context.Context, w *world, _ step) (healing, error) {
	connection, err := w.connect(ctx)
	if err != nil {
		return nil, err
	}
	heal := func(context.Context) error { return connection.Close() }
	_, err = connection.ExecContext(ctx, "BEGIN")
	if err == nil {
		_, err = connection.ExecContext(ctx, "SELECT id FROM campaign FOR UPDATE")
	}
	return heal, err
}

// deadlocks takes locks again and again in the order opposite to the program's, in transactions so heavy that the
// program's are chosen as victims.
func deadlocks(ctx context.Context, w *world, _ step) (healing, error) {
	if err := w.execute(ctx, "CREATE TABLE IF NOT EXISTS ballast (n INT PRIMARY KEY AUTO_INCREMENT, filler CHAR(100))"); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			_ = w.crossLocks(ctx) // most end as a victim or by a lock wait, as they should
		}
	})
	return func(context.Context) error { cancel(); running.Wait(); return nil }, nil
}

func (w *world) crossLocks(ctx context.Context) error {
	transaction, err := w.database.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		pause(ctx, 100*time.Millisecond)
		return err
	}
	defer func() { _ = transaction.Rollback() }()
	for range 7 {
		if _, err := transaction.ExecContext(ctx, "INSERT INTO ballast (filler) VALUES ('a'), ('b'), ('c'), ('d'), ('e'), ('f'), ('g'), ('h')"); err != nil {
			return err
		}
	}
	// The gap behind the last coupon is where the program's inserts go.
	if _, err := transaction.ExecContext(ctx, "SELECT id FROM coupon ORDER BY id DESC LIMIT 3 FOR UPDATE"); err != nil {
		return err
	}
	pause(ctx, 50*time.Millisecond)
	_, err = transaction.ExecContext(ctx, "UPDATE campaign SET updated_at = updated_at + INTERVAL 1 MICROSECOND")
	return err
}

// useUpConnections breaks the program's connections, and takes all that the server gives before the program can.
func useUpConnections(ctx context.Context, w *world, _ step) (healing, error) {
	const limit = 12
	first, err := w.connect(ctx)
	if err != nil {
		return nil, err
	}
	hogs := []*sql.Conn{first}
	heal := func(ctx context.Context) error {
		_, err := first.ExecContext(ctx, "SET GLOBAL max_connections = 400")
		for _, hog := range hogs {
			err = errors.Join(err, hog.Close())
		}
		return err
	}
	if _, err := first.ExecContext(ctx, fmt.Sprintf("SET GLOBAL max_connections = %d", limit)); err != nil {
		return heal, err
	}
	for range 2 * limit {
		_ = w.breakConnections(ctx, first) // those of the program that come between are tried again
		hog, err := w.connect(ctx)
		if err != nil {
			return heal, w.breakConnections(ctx, first)
		}
		hogs = append(hogs, hog)
		if _, err := hog.ExecContext(ctx, "USE mysql"); err != nil {
			return heal, err
		}
	}
	return heal, errors.New("the connections don't come to an end")
}

// breakConnections ends all other connections that use the run's database.
func (w *world) breakConnections(ctx context.Context, by *sql.Conn) error {
	rows, err := by.QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE db = ? AND id <> CONNECTION_ID()", w.name)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var kills []string
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		kills = append(kills, fmt.Sprintf("KILL %d", id))
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, kill := range kills {
		_, _ = by.ExecContext(ctx, kill) // it may have gone by itself
	}
	return nil
}

func readOnly(ctx context.Context, w *world, _ step) (healing, error) {
	return w.executeAtLast("SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF"), w.execute(ctx, "SET GLOBAL super_read_only = ON")
}

// fillDisk leaves not a byte of the database's disk. A database may end over it, and is then started again.
func fillDisk(_ context.Context, w *world, _ step) (healing, error) {
	path := filepath.Join(w.servers.disk(), "ballast")
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	heal := func(ctx context.Context) error {
		err := os.Remove(path)
		if state, _ := w.servers.call(ctx, "status", mysqlServer); strings.Contains(state, "stopped") {
			w.timeline.add("the database has ended by itself")
			err = errors.Join(err, w.servers.run(ctx, "start", mysqlServer))
		}
		return err
	}
	block := make([]byte, 64<<10)
	for size := len(block); size >= 512; {
		if _, err := file.Write(block[:size]); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			return heal, err
		}
	}
	return heal, nil
}

// refuseRows makes the database refuse the coupons of every seventh user.
func refuseRows(ctx context.Context, w *world, s step) (healing, error) {
	return w.refuseUsers(ctx, 7, s.between(0, 6))
}

// refuseUsers refuses each user whose ID leaves the remainder.
func (w *world) refuseUsers(ctx context.Context, divisor, remainder int) (healing, error) {
	const drop = "DROP TRIGGER IF EXISTS refuse_some"
	return w.executeAtLast(drop), w.execute(ctx, drop, fmt.Sprintf(`CREATE TRIGGER refuse_some BEFORE INSERT ON coupon FOR EACH ROW
		IF NEW.slot IS NOT NULL AND NEW.user_id %% %d = %d THEN
			SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this user is refused';
		END IF`, divisor, remainder))
}
