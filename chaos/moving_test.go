package main

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The point of a moving address is that old connections stay where they are: a primary that lost its office lives on.
func TestAMovingAddressLeavesOpenConnectionsWhereTheyAre(t *testing.T) {
	first, second := startTeller(t, "first"), startTeller(t, "second")
	ports, err := reservePorts(firstPort)
	require.NoError(t, err)
	defer ports.release()
	moving, err := openMovingAddress(ports.take(), first)
	require.NoError(t, err)
	defer moving.close()

	before := connect(t, moving.port)
	assert.Equal(t, "first", ask(t, before))
	moving.point(second)
	assert.Equal(t, "first", ask(t, before), "the open connection")
	assert.Equal(t, "second", ask(t, connect(t, moving.port)), "a new connection")

	moving.close()
	_, err = before.Read(make([]byte, 1))
	assert.Error(t, err, "the end of the address ends what is open")
}

// startTeller answers each line with its name.
func startTeller(t *testing.T, name string) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				lines := bufio.NewScanner(connection)
				for lines.Scan() {
					_, _ = io.WriteString(connection, name+"\n")
				}
			}()
		}
	}()
	address, _ := listener.Addr().(*net.TCPAddr)
	return address.Port
}

func connect(t *testing.T, port int) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", address(port))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	require.NoError(t, connection.SetDeadline(time.Now().Add(10*time.Second)))
	return connection
}

func ask(t *testing.T, connection net.Conn) string {
	t.Helper()
	_, err := io.WriteString(connection, "who?\n")
	require.NoError(t, err)
	answer, err := bufio.NewReader(connection).ReadString('\n')
	require.NoError(t, err)
	return answer[:len(answer)-1]
}
