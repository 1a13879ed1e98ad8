//go:build !realservers && !release

package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"firstcome/store/embedded"
)

// dialectOfTests is the database's in these tests.
const dialectOfTests = dialectSQLite

// newEnvironment starts embedded servers for one test. The database can't be stopped, as it is a file; locking it
// against writers is the outage that a file has.
func newEnvironment(t *testing.T) *environment {
	t.Helper()
	folder := t.TempDir()
	redis, err := embedded.StartRedis("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(redis.Close)
	kafkaFolder := filepath.Join(folder, "kafka")
	kafka, err := embedded.StartKafka(kafkaFolder, "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { kafka.Close() })

	address, file := kafka.Addr(), sqliteFile(folder)
	env := &environment{
		at:     addresses{redis: []string{redis.Addr()}, kafka: []string{address}, dialect: dialectSQLite, dsn: file},
		config: testConfig(t, "FIRSTCOME_MYSQL_TIMEOUT=1s"), // shorter than the outage, so that calls fail in it
		outage: 4 * time.Second,
	}
	env.config.RedisAddrs, env.config.KafkaBrokers = env.at.redis, env.at.kafka
	env.stopKafka = func() { kafka.Close() }
	env.startKafka = func() {
		kafka, err = embedded.StartKafka(kafkaFolder, address)
		require.NoError(t, err)
	}
	env.emptyRedis = redis.FlushAll
	env.addSQLite(t, file)
	return env
}

func (env *environment) addSQLite(t *testing.T, file string) {
	database, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(30000)")
	require.NoError(t, err)
	t.Cleanup(func() { _ = database.Close() })
	var lock *sql.Conn
	execute := func(connection interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
	}, statement string) {
		_, err := connection.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	env.stopDatabase = func() {
		lock, err = database.Conn(t.Context())
		require.NoError(t, err)
		execute(lock, "BEGIN EXCLUSIVE")
	}
	env.startDatabase = func() {
		execute(lock, "ROLLBACK")
		require.NoError(t, lock.Close())
	}
	env.refuseUser = func(user int64) {
		execute(database, fmt.Sprintf(`CREATE TRIGGER refuse_%d BEFORE INSERT ON coupon WHEN NEW.user_id = %d AND NEW.slot IS NOT NULL
			BEGIN SELECT RAISE(ABORT, 'this user is refused'); END`, user, user))
	}
	env.acceptUser = func(user int64) { execute(database, fmt.Sprintf("DROP TRIGGER refuse_%d", user)) }
}
