package main

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// movingAddress stands for the name or the virtual address of a database: it leads new connections to where it points,
// and leaves those that are open where they are, as a name does.
type movingAddress struct {
	port     int
	listener net.Listener
	target   atomic.Int64
	all      sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

func openMovingAddress(port, target int) (*movingAddress, error) {
	listener, err := net.Listen("tcp", address(port)) //nolint:noctx // loopback
	if err != nil {
		return nil, fmt.Errorf("the database's moving address: %w", err)
	}
	m := &movingAddress{port: port, listener: listener, open: map[net.Conn]bool{}}
	m.point(target)
	m.all.Go(m.accept)
	return m, nil
}

// point leads anybody who connects from now on to another port.
func (m *movingAddress) point(target int) { m.target.Store(int64(target)) }

func (m *movingAddress) accept() {
	for {
		client, err := m.listener.Accept()
		if err != nil {
			return
		}
		m.all.Go(func() { m.serve(client) })
	}
}

func (m *movingAddress) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", address(int(m.target.Load())), time.Second) //nolint:noctx // loopback
	if err != nil {
		_ = client.Close()
		return
	}
	if !m.hold(client, server) {
		return
	}
	defer m.release(client, server)
	var ways sync.WaitGroup
	ways.Go(func() { copyUntilClosed(server, client) })
	copyUntilClosed(client, server)
	ways.Wait()
}

// copyUntilClosed ends both connections when one of them ends.
func copyUntilClosed(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
}

// hold notes connections, so that close ends them; after close it ends them at once, and says false.
func (m *movingAddress) hold(connections ...net.Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, connection := range connections {
		if m.closed {
			_ = connection.Close()
			continue
		}
		m.open[connection] = true
	}
	return !m.closed
}

func (m *movingAddress) release(connections ...net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, connection := range connections {
		_ = connection.Close()
		delete(m.open, connection)
	}
}

func (m *movingAddress) close() {
	_ = m.listener.Close()
	m.mu.Lock()
	m.closed = true
	for connection := range m.open {
		_ = connection.Close()
	}
	m.mu.Unlock()
	m.all.Wait()
}
