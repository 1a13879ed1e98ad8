//go:build !release

package redisgate

import (
	"net"
	"testing"
	"time"

	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// startSentinel gives one that names a primary, at a free address unless this is another.
func startSentinel(t *testing.T, addr, primary string) *miniserver.Server {
	t.Helper()
	host, port, err := net.SplitHostPort(primary)
	require.NoError(t, err)
	sentinel, err := miniserver.NewServer(addr)
	require.NoError(t, err)
	t.Cleanup(sentinel.Close)
	require.NoError(t, sentinel.Register("CLIENT", func(peer *miniserver.Peer, _ string, _ []string) { peer.WriteOK() }))
	require.NoError(t, sentinel.Register("SENTINEL", func(peer *miniserver.Peer, _ string, args []string) {
		if args[0] == "get-master-addr-by-name" {
			peer.WriteStrings([]string{host, port})
			return
		}
		peer.WriteStrings([]string{"ip", host, "port", port, "flags", "master", "config-epoch", "1"})
	}))
	return sentinel
}

// A process that is cut off from the sentinels, together with the old primary, may not rebuild there: it would raise the
// epoch, and so close the gate on the new primary, again and again.
func TestAClosedGateIsLeftAloneWhileMostSentinelsAreAway(t *testing.T) {
	server := startRedis(t)
	var sentinels [3]*miniserver.Server
	var addrs []string
	for i := range sentinels {
		sentinels[i] = startSentinel(t, "127.0.0.1:0", server.Addr())
		addrs = append(addrs, sentinels[i].Addr().String())
	}
	b := newBench(t, []string{server.Addr()})
	b.Gate = openGate(t, Config{Addrs: addrs, SentinelMaster: "firstcome", CallTimeout: time.Second})
	b.reopen(t)
	inspect := func() error {
		_, err := b.Inspect(t.Context(), b.campaign.Code)
		return err
	}
	sentinels[0].Close()
	sentinels[1].Close()
	require.Eventually(t, func() bool { return b.link.confirm() != nil }, patience, 10*time.Millisecond)
	require.NoError(t, inspect(), "an open gate is open")
	_, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.NoError(t, err, "and admits: the ledger's epoch tells when it is over")
	assert.Contains(t, b.Warnings(t.Context()), errUnconfirmed.Message)

	require.NoError(t, b.raw.Del(t.Context(), b.key("meta")).Err())
	require.ErrorIs(t, inspect(), errUnconfirmed)
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(inspect()))
	startSentinel(t, addrs[0], server.Addr())
	require.Eventually(t, func() bool { return inspect() == nil }, patience, 10*time.Millisecond)
	b.reopen(t)
	assert.NotContains(t, b.Warnings(t.Context()), errUnconfirmed.Message)
}
