//go:build realservers && !release

package redisgate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/store/storetest"
)

// electionPatience is far above what an election takes: the node timeout, and the votes.
const electionPatience = 60 * time.Second

// reachedWithin is a generous bound for the time from the election until the gate reaches the new master; the client's own
// look at the layout comes once a minute.
const reachedWithin = 10 * time.Second

// clusterBench is a gate on a cluster of its own, with one campaign that is open.
func clusterBench(t *testing.T) (*bench, *storetest.RedisCluster) {
	t.Helper()
	cluster := storetest.StartRedisCluster(t)
	b := newBench(t, cluster.Addrs())
	b.Gate = openGate(t, Config{Addrs: cluster.Addrs()})
	require.Eventually(t, func() bool { return b.Ping(t.Context()) == nil }, electionPatience, 10*time.Millisecond)
	b.reopen(t)
	return b, cluster
}

// requireReached waits for the election of another master than the one that was lost, and asserts that the gate reaches
// it soon. A gate that is idle is asked for the first time when it has said by itself that there is another master.
func (b *bench) requireReached(t *testing.T, cluster *storetest.RedisCluster, idle bool) {
	t.Helper()
	require.Eventually(t, func() bool { return cluster.MasterOf(b.key("meta")) != nil }, electionPatience, 10*time.Millisecond)
	elected := time.Now()
	if idle {
		require.Eventually(t, func() bool { return hasNews(b.Gate) }, reachedWithin, 10*time.Millisecond,
			"the retryer hears of the new master, though nothing failed")
		_, err := b.Inspect(t.Context(), b.campaign.Code)
		require.NoError(t, err, "an idle process knows where the master is, too")
		return
	}
	require.Eventually(t, func() bool {
		_, err := b.Inspect(t.Context(), b.campaign.Code)
		return err == nil
	}, reachedWithin, 10*time.Millisecond)
	t.Logf("reached %s after the election", time.Since(elected).Round(time.Millisecond))
}

func TestTheMasterThatFollowsAKilledOneIsReachedSoon(t *testing.T) {
	b, cluster := clusterBench(t)
	cluster.MasterOf(b.key("meta")).Kill(t)
	b.requireReached(t, cluster, false)
	_, err := b.Admit(t.Context(), b.campaign.Code, 50)
	assert.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "another server than the one that was verified: %v", err)
	b.reopen(t)
}

func TestTheMasterThatFollowsAFrozenOneIsReachedSoonByABusyAndByAnIdleProcess(t *testing.T) {
	for name, idle := range map[string]bool{"Busy": false, "Idle": true} {
		t.Run(name, func(t *testing.T) {
			b, cluster := clusterBench(t)
			frozen := cluster.MasterOf(b.key("meta"))
			hasNews(b.Gate) // what there is by now is not about the election
			frozen.Freeze(t)
			b.requireReached(t, cluster, idle)
			b.reopen(t)
			frozen.Thaw(t)
			b.requireOpen(t)
		})
	}
}
