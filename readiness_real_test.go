//go:build realservers

package main

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/store/storetest"
)

// readyWithin is how soon readiness must tell that a store does not do what is needed of it, and that it does again.
const readyWithin = 5 * time.Second

// trouble is something that keeps a store from its work while it answers all the same.
type trouble struct {
	name        string
	spoil, mend func()
	// says is a part of what readiness tells.
	says string
}

// check is what readiness says of a store.
func (s *system) check(store string) (status, why string) {
	got, err := s.call(http.MethodGet, "/readyz", nil)
	if err != nil {
		return "", ""
	}
	checks, _ := got.body["checks"].([]any)
	for _, one := range checks {
		if one, _ := one.(map[string]any); one["name"] == store {
			status, _ = one["status"].(string)
			why, _ = one["error"].(string)
		}
	}
	return status, why
}

// requireToldSoon waits until readiness says so of the store.
func (s *system) requireToldSoon(store, wanted, says string) {
	s.t.Helper()
	began := time.Now()
	status, why := "", ""
	for status != wanted || !strings.Contains(why, says) {
		require.Less(s.t, time.Since(began), readyWithin, "%s %s: %s", store, status, why)
		status, why = s.check(store)
		pass(s.t, tick)
	}
	s.t.Logf("%s after %v", wanted, time.Since(began).Round(time.Millisecond))
}

// Redis answers PING in each of these cases. Readiness turns, applicants are told to come back, and all is well again as
// soon as the trouble is over.
func TestReadinessTellsWhatRedisDoesNotDo(t *testing.T) {
	skipOnMariaDB(t, "only Redis is disturbed")
	env := newAuditEnvironment(t)
	server := storetest.StartRedis(t, durable...)
	env.at.redis = []string{server.Addr}
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = client.Close() }()
	do := func(command ...any) func() {
		return func() { require.NoError(t, client.Do(t.Context(), command...).Err(), command) }
	}
	s := env.start(t)
	campaign := s.newCampaign(newCode("ready"), 1000)
	user := int64(0)
	for _, one := range []trouble{
		{"full", do("CONFIG", "SET", "maxmemory", "1mb"), do("CONFIG", "SET", "maxmemory", "0"), "out of memory"},
		{"a replica", do("REPLICAOF", "127.0.0.1", "1"), do("REPLICAOF", "NO", "ONE"), "is a replica"},
		{"too few replicas", do("CONFIG", "SET", "min-replicas-to-write", "1"), do("CONFIG", "SET", "min-replicas-to-write", "0"), "too few replicas"},
		{"no right to add", do("ACL", "SETUSER", "default", "-xadd"), do("ACL", "SETUSER", "default", "+xadd"), "refused a command"},
		{"no right to run scripts", do("ACL", "SETUSER", "default", "-evalsha", "-eval"), do("ACL", "SETUSER", "default", "+evalsha", "+eval"), "does not allow the user"},
		{"no right to the keys", do("ACL", "SETUSER", "default", "resetkeys", "~other*"), do("ACL", "SETUSER", "default", "allkeys"), "does not allow the user"},
	} {
		t.Run(one.name, func(t *testing.T) {
			s := &system{t: t, env: env, baseURL: s.baseURL}
			defer one.mend()
			one.spoil()
			s.requireToldSoon("redis", "failed", one.says)
			user++
			assert.Equal(t, http.StatusServiceUnavailable, s.must(http.MethodGet, "/readyz", nil).status)
			got := s.apply(campaign, user)
			assert.Equal(t, http.StatusServiceUnavailable, got.status, "%v", got.body)
			assert.NotEmpty(t, got.header.Get("Retry-After"))
			one.mend()
			s.requireToldSoon("redis", "ok", "")
			assert.Equal(t, http.StatusOK, s.must(http.MethodGet, "/readyz", nil).status)
			s.eventually("the applicant is let in", func() bool { return s.apply(campaign, user).status == http.StatusAccepted })
		})
	}
	s.settle(campaign)
	s.requireSlots(campaign, int(user))
}

// The brokers answer in each of these cases, and each partition has its leader. No applicant hears of it but by "reserved".
func TestReadinessTellsWhatKafkaDoesNotAllow(t *testing.T) {
	skipOnMariaDB(t, "only Kafka is disturbed")
	env := newAuditEnvironment(t)
	env.config.ProduceTimeout = time.Second
	s := env.start(t)
	campaign := s.newCampaign(newCode("ready"), 1000)
	env.giveRight(t, sarama.AclPermissionAllow, sarama.AclOperationAll)
	user := int64(0)
	for _, one := range []trouble{
		{
			"no right to write", func() { env.giveRight(t, sarama.AclPermissionDeny, sarama.AclOperationWrite) },
			func() { env.takeDenials(t) }, "not allowed to write",
		},
		{
			"no right to read", func() { env.giveRight(t, sarama.AclPermissionDeny, sarama.AclOperationRead) },
			func() { env.takeDenials(t) }, "not allowed to read",
		},
	} {
		t.Run(one.name, func(t *testing.T) {
			s := &system{t: t, env: env, baseURL: s.baseURL}
			one.spoil()
			s.requireToldSoon("kafka", "failed", one.says)
			user++
			got := s.apply(campaign, user)
			assert.Equal(t, http.StatusAccepted, got.status, "%v", got.body)
			one.mend()
			s.requireToldSoon("kafka", "ok", "")
			s.eventually("the coupon is issued", func() bool { return len(s.coupons(campaign)) == int(user) })
		})
	}
}

// giveRight allows or denies everybody something on the topic.
func (env *environment) giveRight(t *testing.T, permission sarama.AclPermissionType, operation sarama.AclOperation) {
	t.Helper()
	admin := env.kafkaAdmin(t)
	defer func() { _ = admin.Close() }()
	require.NoError(t, admin.CreateACLs([]*sarama.ResourceAcls{{
		Resource: sarama.Resource{
			ResourceType: sarama.AclResourceTopic, ResourceName: env.config.KafkaTopic, ResourcePatternType: sarama.AclPatternLiteral,
		},
		Acls: []*sarama.Acl{{Principal: "User:*", Host: "*", Operation: operation, PermissionType: permission}},
	}}))
}

func (env *environment) takeDenials(t *testing.T) {
	t.Helper()
	admin := env.kafkaAdmin(t)
	defer func() { _ = admin.Close() }()
	_, err := admin.DeleteACL(sarama.AclFilter{
		ResourceType: sarama.AclResourceTopic, ResourceName: &env.config.KafkaTopic, ResourcePatternTypeFilter: sarama.AclPatternLiteral,
		Operation: sarama.AclOperationAny, PermissionType: sarama.AclPermissionDeny,
	}, false)
	require.NoError(t, err)
}

// The database answers and can be read in each of these cases. Nobody who applies hears of it, and all is stored afterwards.
func TestReadinessTellsWhatTheDatabaseDoesNotDo(t *testing.T) {
	skipOnMariaDB(t, "it has no super_read_only, and tells of rights in the same way")
	env := newAuditEnvironment(t)
	user := env.withoutInserts(t)
	s := env.start(t)
	grant := func(verb, word string) func() {
		return func() { env.asRoot(t, verb+" INSERT ON "+databaseOf(t, env)+".coupon "+word+" "+user) }
	}
	campaign := s.newCampaign(newCode("ready"), 1000)
	applied := int64(0)
	for _, one := range []trouble{
		{"no right to insert", grant("REVOKE", "FROM"), grant("GRANT", "TO"), "refuses this program's user"},
		{"read-only", func() { env.asRoot(t, "SET GLOBAL super_read_only = ON") }, func() {
			env.asRoot(t, "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
		}, "read-only"},
	} {
		t.Run(one.name, func(t *testing.T) {
			s := &system{t: t, env: env, baseURL: s.baseURL}
			defer one.mend()
			one.spoil()
			s.requireToldSoon("database", "failed", one.says)
			applied++
			assert.Equal(t, http.StatusAccepted, s.apply(campaign, applied).status)
			one.mend()
			s.requireToldSoon("database", "ok", "")
			s.eventually("the coupon is issued", func() bool { return len(s.coupons(campaign)) == int(applied) })
			assert.Empty(t, s.failEvents(campaign), "it is not the row's fault")
		})
	}
}

// asRoot does something on the database server with all rights.
func (env *environment) asRoot(t *testing.T, statements ...string) {
	t.Helper()
	server, err := sql.Open("mysql", requireSetting(t, "FIRSTCOME_TEST_DATABASE_DSN"))
	require.NoError(t, err)
	defer func() { _ = server.Close() }()
	for _, statement := range statements {
		_, err = server.ExecContext(context.Background(), statement) // also once the test has ended
		require.NoError(t, err, statement)
	}
}

// withoutInserts has the program log in as a user of its own, who may insert only into the tables that are there now. A
// right to a table is looked at with each statement, one to a database when a connection is made.
func (env *environment) withoutInserts(t *testing.T) (user string) {
	t.Helper()
	ledger, err := openLedger(env.config, env.at, instruments{prometheus.NewRegistry(), slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, ledger.Migrate(t.Context()))
	require.NoError(t, ledger.Close())
	name, database := databaseOf(t, env)[len("e2e_"):], databaseOf(t, env)
	user = "'" + name + "'@'%'"
	env.asRoot(t, "CREATE USER "+user+" IDENTIFIED BY 'secret'", "GRANT ALL ON "+database+".* TO "+user, "REVOKE INSERT ON "+database+".* FROM "+user)
	t.Cleanup(func() { env.asRoot(t, "DROP USER "+user) })
	for _, table := range env.tables(t) {
		env.asRoot(t, "GRANT INSERT ON "+database+"."+table+" TO "+user)
	}
	settings, err := mysql.ParseDSN(env.at.dsn)
	require.NoError(t, err)
	settings.User, settings.Passwd = name, "secret"
	env.at.dsn = settings.FormatDSN()
	return user
}

func (env *environment) tables(t *testing.T) (names []string) {
	t.Helper()
	database, err := sql.Open("mysql", env.at.dsn)
	require.NoError(t, err)
	defer func() { _ = database.Close() }()
	rows, err := database.QueryContext(t.Context(), "SHOW TABLES")
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

func (env *environment) kafkaAdmin(t *testing.T) sarama.ClusterAdmin {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	admin, err := sarama.NewClusterAdmin(env.at.kafka, conf)
	require.NoError(t, err)
	return admin
}
