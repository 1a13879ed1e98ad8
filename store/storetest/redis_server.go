//go:build realservers

package storetest

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// RedisServer is a real Redis of one test's own, for whatever would disturb everybody else on a shared one. It needs
// redis-server in PATH, or Docker.
type RedisServer struct {
	Addr string
	// Folder is where it keeps its files.
	Folder  string
	process *exec.Cmd
	frozen  bool
	// sentinel is the file in which a sentinel keeps what it knows; empty for a server.
	sentinel string
}

const serverPatience = 30 * time.Second

// StartRedis starts a server on a free port, which keeps nothing unless the settings say so. It ends with the test.
func StartRedis(t *testing.T, settings ...string) *RedisServer {
	t.Helper()
	s := newServer(t)
	s.Start(t, settings...)
	return s
}

// newServer gives one that is not started yet; it ends with the test.
func newServer(t *testing.T) *RedisServer {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &RedisServer{Addr: listener.Addr().String(), Folder: t.TempDir()}
	require.NoError(t, listener.Close())
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Start starts a stopped server again, at the same address and in the same folder, with these settings.
func (s *RedisServer) Start(t *testing.T, settings ...string) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr)
	require.NoError(t, err)
	command := []string{"redis-server"}
	if _, err := exec.LookPath(command[0]); err != nil {
		docker, _ := exec.LookPath("docker")
		require.NotEmpty(t, docker, "redis-server or docker is needed in PATH")
		command = []string{
			docker, "run", "--rm", "--network", "host", "--user", strconv.Itoa(os.Getuid()),
			"--volume", s.Folder + ":" + s.Folder, "redis:7", "redis-server",
		}
	}
	if s.sentinel == "" {
		command = append(command, "--save", "")
	} else {
		command = append(command, s.sentinel, "--sentinel")
	}
	command = append(command, "--bind", "127.0.0.1", "--port", port, "--dir", s.Folder)
	command = append(command, settings...)
	s.process = exec.CommandContext(context.Background(), command[0], command[1:]...) // Stop ends it
	s.process.Stderr = os.Stderr
	require.NoError(t, s.process.Start())
	require.Eventually(t, func() bool { return s.say("PING") == "+PONG" }, serverPatience, 10*time.Millisecond)
}

// say sends one command and gives the first line of the answer, "" when there is none.
func (s *RedisServer) say(command string) string {
	connection, err := new(net.Dialer).DialContext(context.Background(), "tcp", s.Addr)
	if err != nil {
		return ""
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(serverPatience))
	if _, err := connection.Write([]byte(command + "\r\n")); err != nil {
		return ""
	}
	lines := bufio.NewScanner(connection)
	lines.Scan()
	return lines.Text()
}

// Stop ends the server without saving anything more; stopping again does nothing. A server that is just writing its
// first append-only file refuses to end.
func (s *RedisServer) Stop(t *testing.T) {
	t.Helper()
	if s.process == nil {
		return
	}
	s.Thaw(t)
	ended := make(chan error, 1)
	go func(process *exec.Cmd) { ended <- process.Wait() }(s.process)
	require.Eventually(t, func() bool { s.say("SHUTDOWN NOSAVE"); return len(ended) == 1 }, serverPatience, 10*time.Millisecond)
	if err := <-ended; err != nil {
		t.Log("the server ended with", err)
	}
	s.process = nil
}
