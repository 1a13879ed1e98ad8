//go:build realservers && !release

package redisgate

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/store/storetest"
)

// These tests do to a Redis of their own what would disturb everybody else on a shared one.

type privateRedis struct {
	*storetest.RedisServer
	addr   string
	client *redis.Client
}

// startPrivateRedis starts a server that keeps nothing unless the settings say so.
func startPrivateRedis(t *testing.T, settings ...string) *privateRedis {
	t.Helper()
	server := storetest.StartRedis(t, settings...)
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = client.Close() })
	return &privateRedis{RedisServer: server, addr: server.Addr, client: client}
}

func TestAServerOutOfMemoryAdmitsNobodyAndStaysWhole(t *testing.T) {
	server := startPrivateRedis(t)
	b := newBench(t, []string{server.addr})
	b.reopen(t)
	require.NoError(t, server.client.ConfigSet(t.Context(), "maxmemory", "1mb").Err())
	require.NoError(t, server.client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	_, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
	known, err := b.Admit(t.Context(), b.campaign.Code, 1)
	require.NoError(t, err, "a known winner writes nothing")
	assert.Equal(t, domain.Slot(1), known.Slot)
	_, err = b.Release(t.Context(), b.campaign.Code, 1, 1)
	require.Error(t, err)
	require.NoError(t, b.Acknowledge(t.Context(), b.campaign.Code, known.Epoch, nil))

	require.NoError(t, server.client.ConfigSet(t.Context(), "maxmemory", "0").Err())
	b.requireOpen(t)
	report, err := b.Inspect(t.Context(), b.campaign.Code)
	require.NoError(t, err)
	assert.Equal(t, int64(3), report.Winners, "nothing was done by halves")
	admission, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.NoError(t, err)
	assert.Equal(t, domain.Slot(2), admission.Slot)
}

func TestAReplicaAdmitsNobody(t *testing.T) {
	server := startPrivateRedis(t)
	b := newBench(t, []string{server.addr})
	b.reopen(t)
	require.NoError(t, server.client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
	_, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
	require.NoError(t, server.client.ReplicaOf(t.Context(), "NO", "ONE").Err())
	b.requireOpen(t)
}

func TestARestartedServerIsRebuiltBeforeItAdmits(t *testing.T) {
	durable := []string{"--appendonly", "yes", "--appendfsync", "always"}
	server := startPrivateRedis(t, durable...)
	b := newBench(t, []string{server.addr})
	b.reopen(t)
	before, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.NoError(t, err)
	server.Stop(t)
	_, err = b.Admit(t.Context(), b.campaign.Code, 51)
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)

	server.Start(t, durable...)
	b.requireClosed(t, "its data came back, but who knows how much of it")
	entries, err := b.Pending(t.Context(), b.campaign.Code, "", 10)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	assert.Equal(t, []domain.Winner{before.Winner}, entries[1].Winners)
	b.reopen(t)
}

func TestFlushAllOnRealRedisClosesTheGate(t *testing.T) {
	server := startPrivateRedis(t)
	b := newBench(t, []string{server.addr})
	b.reopen(t)
	require.NoError(t, server.client.FlushAll(t.Context()).Err())
	b.requireClosed(t, "flushed")
	b.reopen(t)
}

func TestUnsafeSettingsAreWarnedOf(t *testing.T) {
	server := startPrivateRedis(t)
	gate := openGate(t, Config{Addrs: []string{server.addr}, CallTimeout: patience})
	require.NoError(t, server.client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	warnings := fmt.Sprint(gate.Warnings(t.Context()))
	assert.Contains(t, warnings, "allkeys-lru")
	assert.Contains(t, warnings, "appendonly is no")
	require.NoError(t, server.client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	require.NoError(t, server.client.ConfigSet(t.Context(), "appendonly", "yes").Err())
	assert.Empty(t, gate.Warnings(t.Context()))

	host, port, err := net.SplitHostPort(server.addr)
	require.NoError(t, err)
	startPrivateRedis(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	require.Eventually(t, func() bool {
		return strings.Contains(fmt.Sprint(gate.Warnings(t.Context())), "min-replicas-to-write is 0")
	}, patience, 10*time.Millisecond)
	require.NoError(t, server.client.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err())
	assert.Empty(t, gate.Warnings(t.Context()))
}

func TestWinnersWaitForReplicas(t *testing.T) {
	primary := startPrivateRedis(t, "--repl-diskless-sync-delay", "0")
	b := newBench(t, []string{primary.addr})
	b.campaign.Quota = 10_000
	b.reopen(t)
	b.Gate = openGate(t, Config{
		Addrs: b.addrs, CallTimeout: patience, WaitReplicas: 1, WaitReplicasTimeout: 50 * time.Millisecond,
	})
	_, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "no replica has the admission: %v", err)

	_, port, err := net.SplitHostPort(primary.addr)
	require.NoError(t, err)
	replica := startPrivateRedis(t, "--replicaof", "127.0.0.1 "+port)
	next := domain.UserID(100)
	require.Eventually(t, func() bool {
		next++
		_, err := b.Admit(t.Context(), b.campaign.Code, next)
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	has, err := replica.client.HExists(t.Context(), b.key("users"), next.String()).Result()
	require.NoError(t, err)
	assert.True(t, has, "answered only after the replica had it")
}

func TestGateOnARedisCluster(t *testing.T) {
	server := startPrivateRedis(t, "--cluster-enabled", "yes", "--cluster-config-file", t.TempDir()+"/nodes.conf")
	require.NoError(t, server.client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err())
	require.Eventually(t, func() bool {
		info, err := server.client.ClusterInfo(t.Context()).Result()
		return err == nil && len(info) > 16 && info[:16] == "cluster_state:ok"
	}, 30*time.Second, 10*time.Millisecond)
	addrs := []string{server.addr, server.addr} // two addresses mean a cluster
	spoiledKeys(t, addrs)

	t.Run("WithReplicas", func(t *testing.T) {
		b := newBench(t, addrs)
		require.True(t, b.link.isCluster())
		b.reopen(t)
		b.Gate = openGate(t, Config{Addrs: addrs, CallTimeout: patience, WaitReplicas: 1, WaitReplicasTimeout: time.Millisecond})
		_, err := b.Admit(t.Context(), b.campaign.Code, 50)
		require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "%v", err)
		known, err := b.Lookup(t.Context(), b.campaign.Code, 50)
		require.NoError(t, err)
		assert.Equal(t, domain.Slot(2), known.Slot)
		assert.Len(t, b.Warnings(t.Context()), 1)
	})
}
