//go:build !release

package redisgate

import (
	"flag"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"firstcome/store/embedded"
	"firstcome/store/storetest"
)

// modelChecks is how many random runs the model gets: the embedded server starts a Lua interpreter for every call.
const modelChecks = "30"

var discardLogger = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", modelChecks); err != nil { // the command line may still say otherwise
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// openGate opens a gate that ends with the test.
func openGate(t *testing.T, config Config) *Gate {
	t.Helper()
	gate, err := Open(config, nil, discardLogger)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, gate.Close()) })
	return gate
}

func startRedis(t *testing.T) *embedded.Redis {
	t.Helper()
	server, err := embedded.StartRedis("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(server.Close)
	return server
}

func TestGateOnEmbeddedRedis(t *testing.T) {
	server := startRedis(t)
	storetest.RunGate(t, func(t *testing.T) storetest.Gate {
		t.Helper()
		return openGate(t, Config{Addrs: []string{server.Addr()}, CallTimeout: patience})
	})
}

// patience is the call timeout of tests that are not about timeouts: the machine may be busy.
const patience = 10 * time.Second
