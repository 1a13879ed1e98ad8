package api

import (
	"net"
	"sync"
)

// limitConnections makes a listener of which at most limit connections are open at once. Accept waits for a free place;
// until then a new connection stays in the operating system's queue.
func limitConnections(listener net.Listener, limit int) net.Listener {
	return &limitedListener{Listener: listener, places: make(chan struct{}, limit), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept gives the next connection once there is a place for it.
func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.places })}, nil
}

// Close ends an Accept that waits for a place, too.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	leave func()
}

// Close gives the place back, once.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
