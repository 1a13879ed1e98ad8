package redisgate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func layoutOf(addr string, epoch int64, serving bool) layout {
	return layout{
		slots: []redis.ClusterSlot{{End: 16383, Nodes: []redis.ClusterNode{{Addr: addr}}}}, epoch: epoch, serving: serving,
	}
}

// A master that was cut off from the others still says that it serves, at first; anybody who elected its successor knows a
// newer epoch.
func TestTheNewestLayoutOfThoseThatServeHolds(t *testing.T) {
	for name, answers := range map[string][]layout{
		"a newer epoch":                    {layoutOf("old", 3, true), layoutOf("new", 4, true)},
		"cut off, and has noticed":         {layoutOf("old", 5, false), layoutOf("new", 4, true)},
		"the whole cluster does not serve": {layoutOf("old", 3, false), layoutOf("new", 4, false)},
		"the only one":                     {layoutOf("new", 0, false)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, order := range [][]layout{answers, {answers[len(answers)-1], answers[0]}} {
				given := make(chan layoutAnswer, len(order))
				for _, one := range order {
					given <- layoutAnswer{layout: one}
				}
				chosen, _, err := chooseLayout(given)
				require.NoError(t, err)
				assert.Equal(t, "new", chosen.slots[0].Nodes[0].Addr)
			}
		})
	}
}

func TestALostNodeHoldsUpNoLayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan layoutAnswer, 4)
		answers <- layoutAnswer{layout: layoutOf("new", 4, true)}
		go func() {
			time.Sleep(time.Second)
			answers <- layoutAnswer{layout: layoutOf("new", 4, true)}
		}()
		began := time.Now()
		chosen, byHalf, err := chooseLayout(answers)
		require.NoError(t, err)
		assert.True(t, byHalf)
		assert.Len(t, chosen.slots, 1)
		assert.Equal(t, time.Second+layoutGrace, time.Since(began), "half of the nodes are waited for, and the others shortly")
	})
}

func TestWithoutAnAnswerTheFailuresAreTold(t *testing.T) {
	answers := make(chan layoutAnswer, 2)
	refused := errors.New("refused")
	answers <- layoutAnswer{err: refused}
	answers <- layoutAnswer{err: refused}
	_, byHalf, err := chooseLayout(answers)
	assert.False(t, byHalf)
	require.ErrorIs(t, err, refused)
}

func TestWhatANodeDoesNotKnowOfItselfIsFilledIn(t *testing.T) {
	for _, one := range []struct{ addr, reachedAt, want string }{
		{"10.0.0.1:7001", "redis:7000", "10.0.0.1:7001"},
		{":7001", "redis:7000", "redis:7001"},
		{"?:7001", "redis:7000", "redis:7001"},
		{"10.0.0.1:0", "redis:7000", "10.0.0.1:7000"},
		{"[::1]:7001", "redis:7000", "[::1]:7001"},
		{"nonsense", "redis:7000", "nonsense"},
	} {
		assert.Equal(t, one.want, completeAddr(one.addr, one.reachedAt))
	}
}

// The driver takes loopback addresses of a layout that it did not read itself for those of another host's.
func TestANodeOfAClusterKeepsTheHostThatItsLayoutNames(t *testing.T) {
	const addr = "127.0.0.5:7001"
	client := newClusterClient(Config{Addrs: []string{addr}}, func(context.Context) ([]redis.ClusterSlot, error) {
		return layoutOf(addr, 1, true).slots, nil
	})
	defer func() { _ = client.Close() }()
	var dialled string
	require.NoError(t, client.ForEachMaster(t.Context(), func(_ context.Context, node *redis.Client) error {
		dialled = node.Options().Addr
		return nil
	}))
	assert.Equal(t, addr, dialled)
}

// A sentinel that has promoted a replica tells clients so at once, and takes note of it once the others follow.
func TestASentinelsPromotedReplicaIsThePrimary(t *testing.T) {
	old := map[string]string{"ip": "10.0.0.1", "port": "6379", "config-epoch": "3", "flags": "master,s_down,o_down"}
	promoting, err := sentinelLayout(old, []string{"10.0.0.2", "6379"})
	require.NoError(t, err)
	behind, err := sentinelLayout(map[string]string{"ip": "10.0.0.1", "port": "6379", "config-epoch": "3", "flags": "master"},
		[]string{"10.0.0.1", "6379"})
	require.NoError(t, err)
	for _, chosen := range []layout{newest(promoting, behind), newest(behind, promoting)} {
		assert.Equal(t, "10.0.0.2:6379", chosen.slots[0].Nodes[0].Addr)
	}
	waiting, err := sentinelLayout(old, []string{"10.0.0.1", "6379"})
	require.NoError(t, err)
	assert.False(t, waiting.serving, "nobody is promoted yet")
	_, err = sentinelLayout(old, nil)
	require.Error(t, err)
}
