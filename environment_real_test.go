//go:build realservers

package main

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// requireSetting gives a variable that "make test-real" sets. A missing one is a failure: a test against a real
// server that is passed over in silence would look like a success.
func requireSetting(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	require.NotEmpty(t, value, "%s is not set; run make test-real", name)
	return value
}

// dialectOfTests is the database's in these tests; MariaDB speaks it too.
const dialectOfTests = dialectMySQL

// The values of FIRSTCOME_TEST_DATABASE.
const databaseMySQL, databaseMariaDB = "mysql", "mariadb"

// databaseOfTests names the server that these tests store in and stop.
func databaseOfTests(t *testing.T) string {
	t.Helper()
	name := requireSetting(t, "FIRSTCOME_TEST_DATABASE")
	require.Contains(t, []string{databaseMySQL, databaseMariaDB}, name)
	return name
}

// skipOnMariaDB leaves out a test that already runs on MySQL and cannot differ on MariaDB.
func skipOnMariaDB(t *testing.T, why string) {
	t.Helper()
	if databaseOfTests(t) == databaseMariaDB {
		t.Skip("runs on MySQL only: " + why)
	}
}

// newEnvironment gives one test a topic, a consumer group and a database of its own on the real servers.
func newEnvironment(t *testing.T) *environment {
	t.Helper()
	name := fmt.Sprintf("e2e_%d", time.Now().UnixNano())
	config := testConfig(t,
		"FIRSTCOME_REDIS_ADDRS="+requireSetting(t, "FIRSTCOME_TEST_REDIS_ADDRS"),
		"FIRSTCOME_KAFKA_BROKERS="+requireSetting(t, "FIRSTCOME_TEST_KAFKA_BROKERS"),
		"FIRSTCOME_KAFKA_TOPIC="+name, "FIRSTCOME_KAFKA_GROUP="+name,
		"FIRSTCOME_MYSQL_DSN="+ownDatabase(t, name),
	)
	env := &environment{at: config.configuredAddresses(), config: config, outage: 20 * time.Second}
	env.stopKafka = func() { servers(t, "stop", "kafka") }
	env.startKafka = func() { servers(t, "start", "kafka") }
	database := databaseOfTests(t)
	env.stopDatabase = func() { servers(t, "stop", database) }
	env.startDatabase = func() { servers(t, "start", database) }
	t.Cleanup(func() { servers(t, "start", "kafka", database) })
	env.emptyRedis = func() {
		client := redis.NewClient(&redis.Options{Addr: env.at.redis[0]})
		defer func() { _ = client.Close() }()
		require.NoError(t, client.FlushAll(t.Context()).Err())
	}
	execute := func(statement string) {
		database, err := sql.Open("mysql", env.at.dsn)
		require.NoError(t, err)
		defer func() { _ = database.Close() }()
		_, err = database.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	env.refuseUser = func(user int64) {
		execute(fmt.Sprintf(`CREATE TRIGGER refuse_%d BEFORE INSERT ON coupon FOR EACH ROW
			IF NEW.user_id = %d AND NEW.slot IS NOT NULL THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'this user is refused'; END IF`, user, user))
	}
	env.acceptUser = func(user int64) { execute(fmt.Sprintf("DROP TRIGGER refuse_%d", user)) }
	return env
}

// ownDatabase makes a database and gives its DSN; it is dropped when the test ends.
func ownDatabase(t *testing.T, name string) string {
	t.Helper()
	parsed, err := mysql.ParseDSN(requireSetting(t, "FIRSTCOME_TEST_DATABASE_DSN"))
	require.NoError(t, err)
	parsed.DBName = ""
	server, err := sql.Open("mysql", parsed.FormatDSN())
	require.NoError(t, err)
	_, err = server.ExecContext(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := server.Exec("DROP DATABASE " + name)
		require.NoError(t, err)
		require.NoError(t, server.Close())
	})
	parsed.DBName = name
	return parsed.FormatDSN()
}

// servers stops and starts the real servers.
func servers(t *testing.T, arguments ...string) {
	t.Helper()
	command := exec.Command(requireSetting(t, "FIRSTCOME_TEST_SERVERS"), arguments...)
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
}
