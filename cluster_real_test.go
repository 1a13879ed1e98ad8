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

// failover is what a test sees while the Redis of a sale is away.
type failover struct {
	s        *system
	campaign string
	load     *applicants
	// master gives the server that takes the campaign's writes; nil while none does.
	master func() *storetest.RedisServer
	// restart starts a server that was killed, as the replica of whatever is the master now.
	restart func(*storetest.RedisServer)
}

// metaKey is the campaign's key that says whether its gate is open.
func metaKey(campaign string) string { return "coupon:{" + campaign + "}:meta" }

// lose has a master be lost in the middle of the sale, and waits until another one goes on.
func (f failover) lose(t *testing.T, way string) {
	t.Helper()
	won := f.load.won()
	f.s.eventually("the sale goes on", func() bool { return f.load.won() > won+30 })
	lost := f.master()
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
	default:
		t.Fatal("there is no such way")
	}
	patiently(t, "the lost one follows as a replica", func() bool {
		return strings.Contains(lost.Ask("INFO replication"), "master_link_status:up")
	})
}

// requireOpenSoon waits until another master than the one that was lost is elected, and asserts that the gate opens soon
// after, by itself, and that somebody is admitted.
func (f failover) requireOpenSoon(t *testing.T, lost *storetest.RedisServer) {
	t.Helper()
	var elected *storetest.RedisServer
	patiently(t, "another master is elected", func() bool {
		elected = f.master()
		return elected != nil && elected != lost
	})
	started := time.Now()
	patiently(t, "the gate opens by itself", func() bool { return isOpenOn(elected, f.campaign) })
	open := time.Since(started)
	won := f.load.won()
	patiently(t, "somebody is admitted", func() bool { return f.load.won() > won })
	t.Logf("gate open %s after the election, the next winner after %s",
		open.Round(time.Millisecond), time.Since(started).Round(time.Millisecond))
	assert.Less(t, open, openWithin)
}

// isOpenOn asks a server itself: the program shows what it knew half a second ago.
func isOpenOn(server *storetest.RedisServer, campaign string) bool {
	verified := server.Ask("HGET " + metaKey(campaign) + " run_id")
	return verified != "" && strings.Contains(server.Ask("INFO server"), "run_id:"+verified)
}

// finish ends the sale and compares what was promised.
func (f failover) finish(t *testing.T) {
	t.Helper()
	promised := f.load.stop()
	for user, got := range promised {
		require.NotEqual(t, http.StatusInternalServerError, got.status, "user %d: %v", user, got.body)
	}
	f.s.auditWhenAtRest(f.campaign)
	f.s.requireIssued(f.campaign, promised)
}

// patiently looks every few milliseconds: the time at which something happens is measured.
func patiently(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 5*time.Millisecond, what)
}

func TestAKilledMasterOfARedisClusterIsReplacedWithinSecondsAndNobodyIsForgotten(t *testing.T) {
	skipOnMariaDB(t, "only Redis is disturbed")
	env := newAuditEnvironment(t)
	cluster := storetest.StartRedisCluster(t, durable...)
	env.at.redis = cluster.Addrs()
	s, other := env.start(t), env.start(t)
	campaign := s.newCampaign(newCode("elections"), 100_000)
	f := failover{
		s: s, campaign: campaign, load: startApplicants(s, campaign, 4),
		master:  func() *storetest.RedisServer { return cluster.MasterOf(metaKey(campaign)) },
		restart: func(lost *storetest.RedisServer) { lost.Start(t, cluster.Settings(lost)...) },
	}
	for _, way := range []string{"killed", "frozen", "killed", "killed", "killed", "killed"} {
		f.lose(t, way)
	}
	other.stop()
	f.finish(t)
}
