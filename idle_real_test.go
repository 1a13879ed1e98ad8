//go:build realservers && linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Kafka closes connections on which nothing was asked for a while. Who applies alone, after that, does not pay for it with
// a wait that doubles each time: it was 100 ms, 200 ms, and so on up to 2 s.
func TestALoneApplicantDoesNotWaitForAConnectionThatKafkaHasClosed(t *testing.T) {
	skipOnMariaDB(t, "only Kafka is disturbed")
	restart := func() { servers(t, "kill", "kafka"); servers(t, "start", "kafka") }
	t.Cleanup(restart) // the variable is as before by then
	t.Setenv("FIRSTCOME_SERVERS_KAFKA_IDLE_MS", "1000")
	restart()
	s := newEnvironment(t).start(t)
	campaign := s.newCampaign(newCode("lone"), 100)
	var took []time.Duration
	for user := range int64(6) {
		pass(t, 1500*time.Millisecond)
		began := time.Now()
		require.Equal(t, "accepted", s.apply(campaign, user+1).text("status"))
		took = append(took, time.Since(began).Round(time.Millisecond))
	}
	t.Log("each took", took)
	assert.Less(t, slices.Min(took[3:]), 200*time.Millisecond, "the last ones")
}

// manyConnections is what one process takes at most.
const manyConnections = 10_000

// Thousands keep a connection and ask now and then, and hundreds do not read what they asked for: who comes anew gets in
// at once, and so do probes.
func TestThousandsOfIdleConnectionsKeepNobodyOut(t *testing.T) {
	skipOnMariaDB(t, "nothing is stored that matters")
	env := newEnvironment(t)
	variables := env.variables()
	migrateAsProcess(t, variables)
	server := newProcess(t, variables, "serve")
	s := &system{t: t, env: env, baseURL: "http://" + server.address}
	campaign := s.newCampaign(newCode("idle"), 1000)
	before := server.memory()
	hold(t, manyConnections-500, func(n int) net.Conn { return server.idle(t, n) })
	hold(t, 500, func(n int) net.Conn { return server.slow(t, n) })

	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var slowest time.Duration
	timed := func(call func() (*http.Response, error)) int {
		began := time.Now()
		response, err := call()
		require.NoError(t, err)
		_ = response.Body.Close()
		slowest = max(slowest, time.Since(began))
		return response.StatusCode
	}
	for user := range 50 {
		for _, path := range []string{"/healthz", "/readyz"} {
			assert.Equal(t, http.StatusOK, timed(func() (*http.Response, error) { return client.Get(s.baseURL + path) }), path)
		}
		assert.Equal(t, http.StatusAccepted, timed(func() (*http.Response, error) {
			return client.Post(s.baseURL+"/v1/campaigns/"+campaign+"/apply", "application/json", strings.NewReader(fmt.Sprintf(`{"user_id":%d}`, user+1)))
		}))
	}
	t.Logf("the slowest answer took %v; %d MiB before, %d MiB with %d connections", slowest.Round(time.Millisecond), before, server.memory(), manyConnections)
	s.settle(campaign)
	s.requireSlots(campaign, 50)
}

// hold opens connections and closes them when the test ends.
func hold(t *testing.T, count int, open func(n int) net.Conn) {
	t.Helper()
	opened := make([]net.Conn, count)
	for n := range opened {
		opened[n] = open(n)
	}
	t.Cleanup(func() {
		for _, conn := range opened {
			_ = conn.Close()
		}
	})
}

// dial connects from one of several addresses, each of which has ports of its own.
func (p *process) dial(t *testing.T, n int) net.Conn {
	t.Helper()
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n%8))}
	conn, err := (&net.Dialer{Timeout: patience, LocalAddr: from}).DialContext(t.Context(), "tcp", p.address)
	require.NoError(t, err)
	return conn
}

// idle asks once and keeps the connection.
func (p *process) idle(t *testing.T, n int) net.Conn {
	t.Helper()
	conn := p.dial(t, n)
	_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, answer, "200 OK")
	return conn
}

// slow asks for far more than the operating system keeps, and reads nothing of it.
func (p *process) slow(t *testing.T, n int) net.Conn {
	t.Helper()
	conn := p.dial(t, n)
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(1)) //nolint:forcetypeassert // it was dialled so
	_, err := io.WriteString(conn, strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n", 100))
	require.NoError(t, err)
	return conn
}

// memory is what the process has resident, in MiB.
func (p *process) memory() (mib int) {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	require.NoError(p.t, err)
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	require.True(p.t, found)
	kib := 0
	_, err = fmt.Sscan(rest, &kib)
	require.NoError(p.t, err)
	return kib >> 10
}
