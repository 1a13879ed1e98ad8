//go:build realservers

package storetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RedisCluster is a Redis Cluster of one test's own: masters first, then a replica for each of them.
type RedisCluster struct {
	Nodes    []*RedisServer
	settings map[*RedisServer][]string
	bus      *clusterBus
}

// clusterMasters is how many masters elect a replica together: with fewer than three, one that is lost leaves no
// majority.
const clusterMasters = 3

// ClusterNodeTimeout is after how long without an answer the masters take one of them for lost.
const ClusterNodeTimeout = 3 * time.Second

const keySlots = 16384

// StartRedisCluster starts three masters and a replica for each, and waits until all slots are served. It ends with
// the test. It needs redis-server in PATH.
func StartRedisCluster(t *testing.T, settings ...string) *RedisCluster {
	t.Helper()
	c := &RedisCluster{settings: map[*RedisServer][]string{}, bus: newClusterBus(t)}
	for i := range 2 * clusterMasters {
		port, busPort := c.bus.open(t, busCaller(i))
		own := append([]string{
			"--cluster-enabled", "yes", "--cluster-port", port, "--repl-diskless-sync-delay", "0",
			"--bind-source-addr", busCaller(i), "--protected-mode", "no", "--cluster-announce-ip", "127.0.0.1", "--cluster-announce-bus-port", busPort,
			"--cluster-node-timeout", strconv.FormatInt(ClusterNodeTimeout.Milliseconds(), 10),
			"--cluster-replica-validity-factor", "0",
		}, append(users(), settings...)...)
		node := StartRedis(t, own...)
		c.Nodes, c.settings[node] = append(c.Nodes, node), own
		c.meet(t, node, busPort)
	}
	for i, master := range c.Nodes[:clusterMasters] {
		master.mustSay(t, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d",
			i*keySlots/clusterMasters, (i+1)*keySlots/clusterMasters-1))
		replica := c.Nodes[clusterMasters+i]
		id := master.Ask("CLUSTER MYID")
		require.Eventually(t, func() bool { return replica.Ask("CLUSTER REPLICATE "+id) == "OK" }, serverPatience, 50*time.Millisecond)
	}
	for i, node := range c.Nodes {
		require.Eventually(t, func() bool {
			return strings.Contains(node.Ask("CLUSTER INFO"), "cluster_state:ok") &&
				(i < clusterMasters || strings.Contains(node.Ask("INFO replication"), "master_link_status:up"))
		}, serverPatience, 50*time.Millisecond, "node %d serves", i)
	}
	return c
}

func (c *RedisCluster) meet(t *testing.T, node *RedisServer, busPort string) {
	t.Helper()
	_, port, err := net.SplitHostPort(node.Addr)
	require.NoError(t, err)
	c.Nodes[0].mustSay(t, "CLUSTER MEET 127.0.0.1 "+port+" "+busPort)
}

// Addrs are the addresses of all nodes.
func (c *RedisCluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		addrs[i] = node.Addr
	}
	return addrs
}

// Settings are those with which a node was started.
func (c *RedisCluster) Settings(node *RedisServer) []string { return c.settings[node] }

// MasterOf gives the node that says it is the master of the key's slot; nil while none does.
func (c *RedisCluster) MasterOf(key string) *RedisServer {
	for _, node := range c.Nodes {
		if !node.IsRunning() {
			continue
		}
		refused, _, _ := strings.Cut(node.Ask("GET "+key), " ")
		if refused != "MOVED" && refused != "CLUSTERDOWN" && node.IsMaster() {
			return node
		}
	}
	return nil
}

// IsMaster says whether the server takes writes.
func (s *RedisServer) IsMaster() bool {
	return strings.Contains(s.Ask("INFO replication"), "role:master")
}

// IsRunning says whether the server is there and not frozen.
func (s *RedisServer) IsRunning() bool { return s.process != nil && !s.frozen }

// Kill ends the server at once, as a crash does.
func (s *RedisServer) Kill(t *testing.T) {
	t.Helper()
	require.NoError(t, s.process.Process.Kill())
	_ = s.process.Wait()
	s.process = nil
}

// Freeze keeps connections open and answers nothing, until Thaw.
func (s *RedisServer) Freeze(t *testing.T) {
	t.Helper()
	require.NoError(t, s.process.Process.Signal(syscall.SIGSTOP))
	s.frozen = true
}

// Thaw ends a freeze.
func (s *RedisServer) Thaw(t *testing.T) {
	t.Helper()
	if s.frozen && s.process != nil {
		require.NoError(t, s.process.Process.Signal(syscall.SIGCONT))
	}
	s.frozen = false
}

func (s *RedisServer) mustSay(t *testing.T, command string) {
	t.Helper()
	require.Equal(t, "OK", s.Ask(command), command)
}

// Ask sends one command and gives the answer's text: of an error without its sign, "" when there is none.
func (s *RedisServer) Ask(command string) string {
	connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", s.Addr)
	if err != nil {
		return ""
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(connection, command+"\r\n"); err != nil {
		return ""
	}
	reader := bufio.NewReader(connection)
	line, _ := reader.ReadString('\n')
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "$") {
		return strings.TrimLeft(line, "+-:")
	}
	size, _ := strconv.Atoi(line[1:])
	text := make([]byte, max(size, 0))
	_, _ = io.ReadFull(reader, text)
	return string(text)
}
