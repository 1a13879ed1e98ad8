//go:build realservers

package storetest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// SentinelMaster is the name under which the sentinels of a test know their primary.
const SentinelMaster = "firstcome"

// RedisSentinels are a primary with two replicas of one test's own, and three sentinels, of which two must agree.
type RedisSentinels struct {
	Servers, Sentinels []*RedisServer
	settings           []string
}

// StartRedisSentinels starts them and waits until the sentinels know each other and the replicas. They end with the
// test. They need redis-server in PATH.
func StartRedisSentinels(t *testing.T, settings ...string) *RedisSentinels {
	t.Helper()
	s := &RedisSentinels{settings: append(append([]string{"--repl-diskless-sync-delay", "0"}, users()...), settings...)}
	s.Servers = []*RedisServer{StartRedis(t, s.settings...)}
	host, port, err := net.SplitHostPort(s.Servers[0].Addr)
	require.NoError(t, err)
	for range 2 {
		s.Servers = append(s.Servers, StartRedis(t, append([]string{"--replicaof", host + " " + port}, s.settings...)...))
	}
	for range 3 {
		s.Sentinels = append(s.Sentinels, startSentinel(t, host+" "+port))
	}
	for _, sentinel := range s.Sentinels {
		require.Eventually(t, func() bool {
			return strings.Contains(sentinel.Ask("INFO sentinel"), "slaves=2,sentinels=3")
		}, serverPatience, 50*time.Millisecond)
	}
	return s
}

func startSentinel(t *testing.T, primary string) *RedisServer {
	t.Helper()
	sentinel := newServer(t)
	sentinel.sentinel = filepath.Join(sentinel.Folder, "sentinel.conf")
	require.NoError(t, os.WriteFile(sentinel.sentinel, fmt.Appendf(nil, `sentinel monitor %[1]s %[2]s 2
sentinel down-after-milliseconds %[1]s %[3]d
sentinel failover-timeout %[1]s 5000
`, SentinelMaster, primary, ClusterNodeTimeout.Milliseconds()), 0o600))
	sentinel.Start(t)
	return sentinel
}

// Addrs are the addresses of the sentinels.
func (s *RedisSentinels) Addrs() []string {
	addrs := make([]string, len(s.Sentinels))
	for i, sentinel := range s.Sentinels {
		addrs[i] = sentinel.Addr
	}
	return addrs
}

// Restart starts a server that was killed; it follows whatever primary the sentinels name.
func (s *RedisSentinels) Restart(t *testing.T, server *RedisServer) {
	t.Helper()
	server.Start(t, s.settings...)
}

// Primary gives the server that takes writes and that most others follow; nil while there is none.
func (s *RedisSentinels) Primary() *RedisServer {
	for _, server := range s.Servers {
		if server.IsRunning() && strings.Contains(server.Ask("INFO replication"), "role:master") && s.named(server) {
			return server
		}
	}
	return nil
}

func (s *RedisSentinels) named(server *RedisServer) bool {
	for _, sentinel := range s.Sentinels {
		if sentinel.IsRunning() && strings.Contains(sentinel.Ask("INFO sentinel"), "address="+server.Addr+",") {
			return true
		}
	}
	return false
}
