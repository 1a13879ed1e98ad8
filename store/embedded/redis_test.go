//go:build !release

package embedded_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/store/embedded"
)

func startRedis(t *testing.T) (*embedded.Redis, *redis.Client) {
	t.Helper()
	server, err := embedded.StartRedis("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(server.Close)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { client.Close() })
	return server, client
}

// runID asks as the gate's scripts do.
func runID(t *testing.T, client *redis.Client) string {
	t.Helper()
	found, err := client.Eval(t.Context(), `return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')`, nil).Text()
	require.NoError(t, err)
	require.Len(t, found, 40)
	return found
}

func TestRedisTellsScriptsWhichServerItIs(t *testing.T) {
	server, client := startRedis(t)
	_, other := startRedis(t)
	first := runID(t, client)
	assert.Equal(t, first, runID(t, client))
	assert.NotEqual(t, first, runID(t, other))
	server.ChangeIdentity()
	assert.NotEqual(t, first, runID(t, client))
}

func TestRedisShowsTheSettingsThatAreChecked(t *testing.T) {
	_, client := startRedis(t)
	for name, want := range map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes"} {
		got, err := client.ConfigGet(t.Context(), name).Result()
		require.NoError(t, err)
		assert.Equal(t, map[string]string{name: want}, got)
	}
	unknown, err := client.ConfigGet(t.Context(), "port").Result()
	require.NoError(t, err)
	assert.Empty(t, unknown)
}

func TestRedisForgetsEverythingWhenFlushed(t *testing.T) {
	server, client := startRedis(t)
	require.NoError(t, client.Set(t.Context(), "key", "value", 0).Err())
	server.FlushAll()
	require.ErrorIs(t, client.Get(t.Context(), "key").Err(), redis.Nil)
}

func TestRedisSaysThatItsAddressIsTaken(t *testing.T) {
	server, _ := startRedis(t)
	_, err := embedded.StartRedis(server.Addr())
	require.Error(t, err)
}
