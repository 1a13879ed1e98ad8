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

// failover is what a test sees while a master is away.
type failover struct {
	s        *system
	campaign string
	load     *applicants
	// master gives the address that takes writes; "" while none does.
	master func() string
}

// requireOpenSoon waits until another master than the one that was lost is elected, and asserts that the gate opens soon
// after, by itself, and that somebody is admitted.
func (f failover) requireOpenSoon(t *testing.T, lost string, epoch int64) {
	t.Helper()
	patiently(t, "another master is elected", func() bool { now := f.master(); return now != "" && now != lost })
	elected := time.Now()
	patiently(t, "the gate opens by itself", func() bool {
		now, open := f.s.epoch(f.campaign)
		return open && now > epoch
	})
	open := time.Since(elected)
	won := f.load.won()
	patiently(t, "somebody is admitted", func() bool { return f.load.won() > won })
	t.Logf("gate open %s after the election, the next winner after %s",
		open.Round(time.Millisecond), time.Since(elected).Round(time.Millisecond))
	assert.Less(t, open, openWithin)
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
	key := "coupon:{" + campaign + "}:meta"
	f := failover{s: s, campaign: campaign, load: startApplicants(s, campaign, 4)}
	f.master = func() string {
		if node := cluster.MasterOf(key); node != nil {
			return node.Addr
		}
		return ""
	}
	for _, way := range []string{"killed", "frozen", "killed", "killed", "killed", "killed"} {
		won := f.load.won()
		s.eventually("the sale goes on", func() bool { return f.load.won() > won+30 })
		epoch, _ := s.epoch(campaign)
		lost := cluster.MasterOf(key)
		t.Log(way)
		if way == "frozen" {
			lost.Freeze(t)
		} else {
			lost.Kill(t)
		}
		f.requireOpenSoon(t, lost.Addr, epoch)
		if way == "frozen" {
			lost.Thaw(t)
		} else {
			lost.Start(t, cluster.Settings(lost)...)
		}
		patiently(t, "the lost one follows as a replica", func() bool {
			return strings.Contains(lost.Ask("INFO replication"), "master_link_status:up")
		})
	}
	other.stop()
	promised := f.load.stop()
	for user, got := range promised {
		require.NotEqual(t, http.StatusInternalServerError, got.status, "user %d: %v", user, got.body)
	}
	s.auditWhenAtRest(campaign)
	s.requireIssued(campaign, promised)
}
