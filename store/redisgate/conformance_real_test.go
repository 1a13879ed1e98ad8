//go:build realservers && !release

package redisgate

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"firstcome/store/storetest"
)

func realAddrs(tb testing.TB) []string {
	tb.Helper()
	addrs := os.Getenv("FIRSTCOME_TEST_REDIS_ADDRS")
	require.NotEmpty(tb, addrs, "set FIRSTCOME_TEST_REDIS_ADDRS to a Redis server for tests")
	return strings.Split(addrs, ",")
}

func TestGateOnRealRedis(t *testing.T) {
	addrs := realAddrs(t)
	storetest.RunGate(t, func(t *testing.T) storetest.Gate {
		t.Helper()
		return openGate(t, Config{Addrs: addrs, CallTimeout: patience})
	})
}
