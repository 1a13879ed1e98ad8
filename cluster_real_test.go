//go:build realservers

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/store/storetest"
)

// openWithin is a generous bound for the time from an election until the gate is open again: 3 s are wanted, but on a
// machine that does other things too.
const openWithin = 10 * time.Second

// redisSet is a Redis Cluster, or a primary with replicas and sentinels.
type redisSet interface {
	// Isolate leaves a server to those only who use storetest.Near, until Join.
	Isolate(t *testing.T, server *storetest.RedisServer)
	Join(t *testing.T, server *storetest.RedisServer)
}

// failover is what a test sees while the Redis of a sale is away. An isolated server is still reached by one system, and
// neither by the other one nor by an api to which nobody applies meanwhile.
type failover struct {
	near, far, idle *system
	atNear, atFar   *applicants
	campaign        string
	newcomers       int64
	set             redisSet
	// master gives the server that takes the campaign's writes; nil while none does.
	master func() *storetest.RedisServer
	// restart starts a server that was killed, as the replica of whatever is the master now.
	restart func(*storetest.RedisServer)
	// cut ends, and mended allows again, what the near system needs beyond the isolated server; nil for nothing.
	cut, mended func()
}

// startFailover starts the systems, and applicants at both that are not idle.
func startFailover(t *testing.T, env *environment, nearRedis []string) *failover {
	t.Helper()
	farRedis := env.at.redis
	start := func(user string, redis []string, roles ...string) *system {
		its := *env
		its.at.redis, its.config.Roles = redis, roles
		its.config.RedisUsername, its.config.RedisPassword = user, user
		return its.start(t)
	}
	f := &failover{
		near: start(storetest.Near, nearRedis, roleAPI, roleConsumer, roleRetryer),
		far:  start(storetest.Far, farRedis, roleAPI, roleConsumer, roleRetryer),
		idle: start(storetest.Far, farRedis, roleAPI),
	}
	f.campaign = f.near.newCampaign(newCode("elections"), 100_000)
	f.far.eventually("the far one knows the campaign", func() bool { return f.far.apply(f.campaign, 9_000_000).status == http.StatusAccepted })
	f.atNear, f.atFar = startApplicants(f.near, f.campaign, 2), startApplicantsAfter(f.far, f.campaign, 2, 1_000_000)
	return f
}

// metaKey is the campaign's key that says whether its gate is open.
func metaKey(campaign string) string { return "coupon:{" + campaign + "}:meta" }

// lose has a master be lost in the middle of the sale, and waits until another one goes on.
func (f *failover) lose(t *testing.T, way string) {
	t.Helper()
	f.requireGoesOn(t)
	lost := f.master()
	before, _ := f.far.epoch(f.campaign)
	t.Log(way)
	switch way {
	case "killed":
		lost.Kill(t)
		f.requireOpenSoon(t, lost)
		f.restart(lost)
	case "frozen":
		lost.Freeze(t)
		f.requireOpenSoon(t, lost)
		lost.Thaw(t)
	case "isolated":
		f.isolate(t, lost)
	default:
		t.Fatal("there is no such way")
	}
	patiently(t, "the lost one follows as a replica", func() bool {
		return strings.Contains(lost.Ask("INFO replication"), "master_link_status:up")
	})
	f.requireGoesOn(t)
	after, _ := f.far.epoch(f.campaign)
	assert.LessOrEqual(t, after-before, int64(3), "rebuilds: the processes rebuild against each other")
}

// isolate keeps a master from everybody but the near system, for a while after its successor took over.
func (f *failover) isolate(t *testing.T, master *storetest.RedisServer) {
	t.Helper()
	f.set.Isolate(t, master)
	if f.cut != nil {
		f.cut()
	}
	f.requireOpenSoon(t, master)
	won := f.atFar.won()
	pass(t, isolated)
	patiently(t, "the sale goes on where most are", func() bool { return f.atFar.won() > won+100 })
	f.set.Join(t, master)
	if f.mended != nil {
		f.mended()
	}
}

// isolated is how long a master stays so after the gate of its successor is open.
const isolated = 3 * time.Second

// requireGoesOn waits until more have won at both systems.
func (f *failover) requireGoesOn(t *testing.T) {
	t.Helper()
	near, far := f.atNear.won(), f.atFar.won()
	patiently(t, "the sale goes on at both", func() bool { return f.atNear.won() > near+20 && f.atFar.won() > far+20 })
}

// requireOpenSoon waits until another master than the one that was lost is elected, and asserts that the gate opens soon
// after, by itself, that somebody is admitted, and that a process which nobody asked meanwhile knows of it.
func (f *failover) requireOpenSoon(t *testing.T, lost *storetest.RedisServer) {
	t.Helper()
	var elected *storetest.RedisServer
	patiently(t, "another master is elected", func() bool {
		elected = f.master()
		return elected != nil && elected != lost
	})
	started := time.Now()
	patiently(t, "the gate opens by itself", func() bool { return isOpenOn(elected, f.campaign) })
	open := time.Since(started)
	won := f.atFar.won()
	first, inTime := f.askIdle(), time.Since(started)
	patiently(t, "somebody is admitted", func() bool { return f.atFar.won() > won })
	t.Logf("gate open %s after the election, the next winner after %s; an idle process answered %d %s after %s",
		open.Round(time.Millisecond), time.Since(started).Round(time.Millisecond),
		first.status, first.problem(), inTime.Round(time.Millisecond))
	assert.Less(t, open, openWithin)
	assert.Less(t, inTime, openWithin)
}

// askIdle has somebody new apply at the idle process. It knows the new master: the gate there may let nobody new in for
// a moment, but it answers.
func (f *failover) askIdle() answer {
	f.newcomers++
	first := f.idle.apply(f.campaign, 8_000_000+f.newcomers)
	if first.status != http.StatusAccepted {
		assert.Equal(f.idle.t, "gate-closed", first.problem(), "%v", first.body)
	}
	return first
}

// isOpenOn asks a server itself: the program shows what it knew half a second ago.
func isOpenOn(server *storetest.RedisServer, campaign string) bool {
	verified := server.Ask("HGET " + metaKey(campaign) + " run_id")
	return verified != "" && strings.Contains(server.Ask("INFO server"), "run_id:"+verified)
}

// finish ends the sale and compares what was promised.
func (f *failover) finish(t *testing.T) {
	t.Helper()
	atNear, atFar := f.atNear.stop(), f.atFar.stop()
	f.idle.stop()
	f.near.stop()
	for _, promised := range []map[int64]answer{atNear, atFar} {
		for user, got := range promised {
			require.NotEqual(t, http.StatusInternalServerError, got.status, "user %d: %v", user, got.body)
		}
	}
	f.far.auditWhenAtRest(f.campaign)
	f.far.requireIssued(f.campaign, atNear)
	f.far.requireIssued(f.campaign, atFar)
}

// patiently looks every few milliseconds: the time at which something happens is measured.
func patiently(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 5*time.Millisecond, what)
}

// Masters of one cluster are lost in each way; the last one is left without slots, and then stopped.
func TestAMasterOfARedisClusterThatIsLostIsReplacedWithinSecondsAndNobodyIsForgotten(t *testing.T) {
	skipOnMariaDB(t, "only Redis is disturbed")
	env := newAuditEnvironment(t)
	cluster := storetest.StartRedisCluster(t, durable...)
	env.at.redis = cluster.Addrs()
	f := startFailover(t, env, env.at.redis)
	f.set = cluster
	f.master = func() *storetest.RedisServer { return cluster.MasterOf(metaKey(f.campaign)) }
	f.restart = func(lost *storetest.RedisServer) { lost.Start(t, cluster.Settings(lost)...) }
	for _, way := range []string{"killed", "frozen", "isolated"} {
		f.lose(t, way)
	}
	f.reshard(t, cluster, cluster.MoveSlot)
	f.requireGoesOn(t)
	f.empty(t, cluster)
	f.finish(t)
}

// reshard moves the campaign's keys to another master in the middle of the sale, and gives the one that had them.
func (f *failover) reshard(
	t *testing.T, cluster *storetest.RedisCluster, move func(t *testing.T, key string, from, to *storetest.RedisServer),
) *storetest.RedisServer {
	t.Helper()
	t.Log("resharded")
	from := f.master()
	var to *storetest.RedisServer
	for _, node := range cluster.Nodes {
		if node != from && node.IsMaster() {
			to = node
		}
	}
	move(t, metaKey(f.campaign), from, to)
	f.requireOpenSoon(t, from)
	return from
}

// empty leaves a master without slots, and then stops it: nobody needs it any more.
func (f *failover) empty(t *testing.T, cluster *storetest.RedisCluster) {
	t.Helper()
	emptied := f.reshard(t, cluster, cluster.MoveAll)
	f.requireGoesOn(t)
	before, _ := f.far.epoch(f.campaign)
	emptied.Stop(t)
	f.requireGoesOn(t)
	after, open := f.far.epoch(f.campaign)
	assert.Equal(t, before, after, "nobody rebuilt")
	assert.True(t, open)
}

// A primary is lost in each way while sentinels watch over it. Who still reaches the isolated one reaches no sentinel.
func TestAPrimaryThatSentinelsWatchOverIsReplacedWithinSecondsAndNobodyIsForgotten(t *testing.T) {
	skipOnMariaDB(t, "only Redis is disturbed")
	env := newAuditEnvironment(t)
	set := storetest.StartRedisSentinels(t, durable...)
	env.at.redis, env.config.RedisSentinelMaster = set.Addrs(), storetest.SentinelMaster
	var doors []*door
	var near []string
	for _, sentinel := range set.Sentinels {
		doors = append(doors, openDoor(t, sentinel.Addr))
		near = append(near, doors[len(doors)-1].addr())
	}
	f := startFailover(t, env, near)
	f.set, f.master = set, set.Primary
	f.restart = func(lost *storetest.RedisServer) { set.Restart(t, lost) }
	f.cut = func() { each(doors, (*door).close) }
	f.mended = func() { each(doors, (*door).open) }
	for _, way := range []string{"killed", "frozen", "isolated"} {
		f.lose(t, way)
	}
	f.finish(t)
}

func each(doors []*door, do func(*door)) {
	for _, one := range doors {
		do(one)
	}
}
