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

// sentinelBench is a gate that finds its Redis by sentinels, with one campaign that is open.
func sentinelBench(t *testing.T) (*bench, *storetest.RedisSentinels) {
	t.Helper()
	set := storetest.StartRedisSentinels(t)
	b := newBench(t, []string{set.Servers[0].Addr})
	b.Gate = openGate(t, Config{Addrs: set.Addrs(), SentinelMaster: storetest.SentinelMaster})
	b.reopen(t)
	return b, set
}

func TestThePrimaryThatTheSentinelsChooseIsReachedSoon(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, *storetest.RedisSentinels){
		"Killed": func(t *testing.T, set *storetest.RedisSentinels) { set.Primary().Kill(t) },
		// As when the host that both are on is lost: the connections stay open, and nothing answers.
		"FrozenTogetherWithASentinel": func(t *testing.T, set *storetest.RedisSentinels) {
			set.Primary().Freeze(t)
			set.Sentinels[0].Freeze(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, set := sentinelBench(t)
			lose(t, set)
			require.Eventually(t, func() bool { return set.Primary() != nil }, electionPatience, 10*time.Millisecond)
			elected := time.Now()
			require.Eventually(t, func() bool {
				_, err := b.Inspect(t.Context(), b.campaign.Code)
				return err == nil
			}, reachedWithin, 10*time.Millisecond)
			t.Logf("reached %s after the election", time.Since(elected).Round(time.Millisecond))
			_, err := b.Admit(t.Context(), b.campaign.Code, 50)
			assert.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "another server than the one that was verified: %v", err)
			b.reopen(t)
		})
	}
}

// Each mistake is named in words that say what to set, and answers 503: never "outcome unknown" for all time.
func TestAddressesOfAnotherKindAreNamed(t *testing.T) {
	set := storetest.StartRedisSentinels(t)
	plain := []string{set.Servers[0].Addr}
	for name, one := range map[string]struct {
		config Config
		want   string
	}{
		"a sentinel":                  {Config{Addrs: set.Addrs()[:1]}, "FIRSTCOME_REDIS_SENTINEL_MASTER"},
		"sentinels":                   {Config{Addrs: set.Addrs()}, "FIRSTCOME_REDIS_SENTINEL_MASTER"},
		"a server in place of these":  {Config{Addrs: plain, SentinelMaster: storetest.SentinelMaster}, "not those of Redis Sentinels"},
		"another name":                {Config{Addrs: set.Addrs(), SentinelMaster: "nosuch"}, "no primary of that name"},
		"servers that are no cluster": {Config{Addrs: []string{set.Servers[0].Addr, set.Servers[1].Addr}}, "no nodes of a Redis Cluster"},
		"a replica":                   {Config{Addrs: []string{set.Servers[1].Addr}}, "replica"},
	} {
		t.Run(name, func(t *testing.T) {
			gate := openGate(t, one.config)
			err := gate.Ping(t.Context())
			assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, one.want)
			err = admitOne(t, gate)
			assert.Contains(t, []domain.Code{domain.CodeUnavailable, domain.CodeGateClosed}, domain.CodeOf(err), "%v", err)
		})
	}
}

func admitOne(t *testing.T, gate *Gate) error {
	t.Helper()
	_, err := domain.Admit(t.Context(), gate, "sale", 1)
	return err
}

func TestTheOneAddressOfAClusterIsEnough(t *testing.T) {
	cluster := storetest.StartRedisCluster(t)
	for _, node := range cluster.Nodes[:3] {
		b := newBench(t, cluster.Addrs())
		b.Gate = openGate(t, Config{Addrs: []string{node.Addr}})
		require.Eventually(t, func() bool {
			_, err := b.Inspect(t.Context(), b.campaign.Code)
			return err == nil
		}, reachedWithin, 10*time.Millisecond)
		b.reopen(t)
	}
}
