//go:build realservers

package storetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// clusterBus leads what the nodes of a cluster tell each other through a proxy before each of them, so that a test can cut
// one off while its clients still reach it. A node is known by the loopback address from which it calls.
type clusterBus struct {
	running sync.WaitGroup

	mu sync.Mutex
	// lost is the node that is cut off; empty while none is.
	lost  string
	calls []busCall
}

// busCall is an open connection between two nodes.
type busCall struct {
	caller, called string
	connection     net.Conn
}

// busCaller is the address from which a node calls the others.
func busCaller(node int) string { return fmt.Sprintf("127.0.1.%d", node+1) }

func newClusterBus(t *testing.T) *clusterBus {
	t.Helper()
	b := &clusterBus{}
	t.Cleanup(b.running.Wait)
	return b
}

// open gives a node two ports: one to listen on, and that of the proxy before it, by which the others call.
func (b *clusterBus) open(t *testing.T, node string) (port, proxyPort string) {
	t.Helper()
	listen := func() net.Listener {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return listener
	}
	own, proxy := listen(), listen()
	addr := own.Addr().String()
	require.NoError(t, own.Close())
	t.Cleanup(func() { _ = proxy.Close() })
	b.running.Go(func() {
		for {
			connection, err := proxy.Accept()
			if err != nil {
				return
			}
			b.running.Go(func() { b.lead(connection, node, addr) })
		}
	})
	return portOf(t, own), portOf(t, proxy)
}

func portOf(t *testing.T, listener net.Listener) string {
	t.Helper()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

// lead forwards a call until one of both ends it, or one of both nodes is cut off.
func (b *clusterBus) lead(connection net.Conn, called, addr string) {
	defer func() { _ = connection.Close() }()
	caller, _, _ := net.SplitHostPort(connection.RemoteAddr().String())
	call := busCall{caller, called, connection}
	if !b.begin(call) {
		return
	}
	defer b.end(call)
	Forward(connection, addr)
}

// Forward leads a connection on to an address, until one of both ends it, and closes it.
func Forward(from net.Conn, addr string) {
	defer func() { _ = from.Close() }()
	to, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return
	}
	answered := make(chan struct{})
	go func() {
		_, _ = io.Copy(from, to)
		_ = from.Close()
		close(answered)
	}()
	_, _ = io.Copy(to, from)
	_ = to.Close()
	<-answered
}

// begin says whether the call may be led on.
func (b *clusterBus) begin(call busCall) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost != "" && (call.caller == b.lost || call.called == b.lost) {
		return false
	}
	b.calls = append(b.calls, call)
	return true
}

func (b *clusterBus) end(call busCall) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = slices.DeleteFunc(b.calls, func(other busCall) bool { return other == call })
}

// cutOff ends all calls of a node and to it, and lets nobody call it, nor it others, until mend.
func (b *clusterBus) cutOff(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = node
	for _, call := range b.calls {
		if call.caller == node || call.called == node {
			_ = call.connection.Close()
		}
	}
}

func (b *clusterBus) mend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = ""
}
