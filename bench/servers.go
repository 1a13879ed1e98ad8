package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"firstcome/bench/gauge"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
)

// servers are the real ones, as `docker/servers.sh env` names them to tests. The variables of `firstcome serve` are left
// alone, because they may lead to servers that somebody relies on.
type servers struct {
	redis, kafka string
	mysql        *mysql.Config
	folder       string
}

func testServers() (servers, error) {
	at := servers{
		redis: os.Getenv("FIRSTCOME_TEST_REDIS_ADDRS"), kafka: os.Getenv("FIRSTCOME_TEST_KAFKA_BROKERS"),
		folder: os.Getenv("FIRSTCOME_SERVERS_FOLDER"),
	}
	dsn := os.Getenv("FIRSTCOME_TEST_MYSQL_DSN")
	if at.redis == "" || at.kafka == "" || dsn == "" {
		return at, errors.New(`the servers are not named: run "make bench", or eval "$(docker/servers.sh env)" first`)
	}
	var err error
	at.mysql, err = mysql.ParseDSN(dsn)
	return at, err
}

// dsn reaches a database of the MySQL server.
func (s servers) dsn(database string) string {
	config := s.mysql.Clone()
	config.DBName, config.ParseTime, config.InterpolateParams = database, true, true
	return config.FormatDSN()
}

// pid is gauge.ServerPID of a server.
func (s servers) pid(name string) int { return gauge.ServerPID(s.folder, name) }

// openDatabase makes a database and opens it.
func (s servers) openDatabase(ctx context.Context, name string) (*sql.DB, error) {
	server, err := sql.Open("mysql", s.dsn(s.mysql.DBName))
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.Close() }()
	if _, err := server.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	return sql.Open("mysql", s.dsn(name))
}

// clientCommands are what clients send on the ways that are measured. INFO counts what scripts call as well, and that
// is no call of a client; none of these is called by a script of ours.
var clientCommands = map[string]bool{"evalsha": true, "eval": true, "fcall": true, "incr": true}

var commandCalls = regexp.MustCompile(`(?m)^cmdstat_([a-z|_-]+):calls=(\d+)`)

// redisCalls counts the calls that Redis has got from clients since it began.
func redisCalls(ctx context.Context, client *redis.Client) (int64, error) {
	text, err := client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, fmt.Errorf("asking Redis for its command statistics: %w", err)
	}
	return countCalls(text), nil
}

func countCalls(commandStats string) int64 {
	total := int64(0)
	for _, match := range commandCalls.FindAllStringSubmatch(commandStats, -1) {
		if clientCommands[match[1]] {
			calls, _ := strconv.ParseInt(match[2], 10, 64)
			total += calls
		}
	}
	return total
}
