package api

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// When all places for connections are taken, a connection that has none under way makes room: a client may keep a connection for as
// long as idleTimeout, and thousands of them must keep nobody out.
//
//  1. From crowdedShare of the limit on, each answer asks its client to close the connection, which costs the client no
//     more than a new one.
//  2. At the limit the connection that has waited the longest for a request is closed for each new one. A request that
//     was sent on it at that very moment is lost, as when the idle timeout ends it; the client sends it again.
//  3. While none waits, new connections stay in the operating system's queue. Each of the others is a request under way,
//     and so bounded by the timeouts of the server.

// crowdedShare is the part of the limit, in percent, from which on connections are not kept.
const crowdedShare = 90

// connectionLimit makes listeners of which at most limit connections are open at once.
type connectionLimit struct {
	limit  int
	places chan struct{}
	open   atomic.Int64

	mu sync.Mutex
	// waiting holds the connections without a request, the one that has waited the longest first.
	waiting *list.List
	// short says that a new connection waits for a place.
	short bool
}

func newConnectionLimit(limit int) *connectionLimit {
	return &connectionLimit{limit: limit, places: make(chan struct{}, limit), waiting: list.New()}
}

// listen makes a listener that keeps to the limit.
func (c *connectionLimit) listen(listener net.Listener) net.Listener {
	return &limitedListener{Listener: listener, connections: c, closed: make(chan struct{})}
}

// crowded says that connections should not be kept.
func (c *connectionLimit) crowded() bool {
	return c.open.Load()*100 >= int64(c.limit)*crowdedShare
}

// changed is told what a connection does now.
func (c *connectionLimit) changed(conn net.Conn, state http.ConnState) {
	limited, ours := conn.(*limitedConn)
	if !ours {
		return
	}
	if state == http.StateNew || state == http.StateIdle {
		c.waits(limited)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaves(limited)
}

// waits notes a connection that waits for a request, and closes it when somebody waits for its place.
func (c *connectionLimit) waits(conn *limitedConn) {
	c.mu.Lock()
	c.leaves(conn)
	conn.place = c.waiting.PushBack(conn)
	c.mu.Unlock()
	c.makeRoom(false)
}

func (c *connectionLimit) leaves(conn *limitedConn) {
	if conn.place != nil {
		c.waiting.Remove(conn.place)
		conn.place = nil
	}
}

// makeRoom closes the connection that has waited the longest, if somebody is short of a place.
func (c *connectionLimit) makeRoom(short bool) {
	c.mu.Lock()
	c.short = c.short || short
	oldest := c.waiting.Front()
	if !c.short || oldest == nil {
		c.mu.Unlock()
		return
	}
	conn, _ := oldest.Value.(*limitedConn)
	c.leaves(conn)
	c.short = false
	c.mu.Unlock()
	_ = conn.Close()
}

// hasRoom says that nobody is short of a place any more.
func (c *connectionLimit) hasRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.short = false
}

type limitedListener struct {
	net.Listener
	connections *connectionLimit
	closed      chan struct{}
	once        sync.Once
}

// Accept gives the next connection once there is a place for it.
func (l *limitedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.takePlace() {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	l.connections.open.Add(1)
	return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() {
		l.connections.open.Add(-1)
		<-l.connections.places
	})}, nil
}

// takePlace waits for a place. It is false when the listener was closed meanwhile.
func (l *limitedListener) takePlace() bool {
	select {
	case l.connections.places <- struct{}{}:
		return true
	default:
	}
	l.connections.makeRoom(true)
	select {
	case l.connections.places <- struct{}{}:
		l.connections.hasRoom()
		return true
	case <-l.closed:
		return false
	}
}

// Close ends an Accept that waits for a place, too.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	leave func()
	// place is where it stands among those that wait; connectionLimit's lock guards it.
	place *list.Element
}

// Close gives the place back, once.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
