//go:build !release

package redisgate

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy stands between a gate and its server, and can hold or lose the server's answers.
type proxy struct {
	listener net.Listener
	server   string

	mu      sync.Mutex
	passing *sync.Cond
	holding bool
	cut     int
	closed  bool
	conns   []net.Conn
	running sync.WaitGroup
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, server: server}
	p.passing = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// hold keeps answers back until release.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding = true
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding = false
	p.passing.Broadcast()
}

// cutAnswers ends the connections of the next answers instead of passing them on.
func (p *proxy) cutAnswers(count int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = count
}

func (p *proxy) close() {
	p.release()
	p.mu.Lock()
	p.closed = true
	for _, conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.listener.Close()
	p.running.Wait()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		p.running.Go(func() {
			_, _ = io.Copy(server, client)
			server.Close()
		})
		p.running.Go(func() { p.answer(client, server) })
	}
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, conns...)
	if p.closed {
		for _, conn := range conns {
			conn.Close()
		}
	}
	return !p.closed
}

func (p *proxy) answer(client, server net.Conn) {
	defer client.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil || !p.mayPass() {
			server.Close()
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			server.Close()
			return
		}
	}
}

func (p *proxy) mayPass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.holding {
		p.passing.Wait()
	}
	if p.cut > 0 {
		p.cut--
		return false
	}
	return true
}
