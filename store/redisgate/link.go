package redisgate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// lookEvery is how often a process that nothing has failed looks where the primary is: which node of a Redis Cluster
	// serves which keys, or which server the sentinels name.
	lookEvery = 500 * time.Millisecond
	// lookPause is the shortest time between two looks, however many calls fail.
	lookPause = 100 * time.Millisecond
	// renewPause is the shortest time between two renewals of the connections.
	renewPause = time.Second
	// confirmedFor is how long the word of the sentinels holds: far longer than between two looks.
	confirmedFor = 2 * time.Second
)

// link is the way to Redis: the client that calls go through. It is replaced when it leads to the wrong server; calls that
// are under way end on the old one.
type link struct {
	config Config
	logger *slog.Logger
	// sentinels is nil unless sentinels name the primary.
	sentinels *layoutReader
	// failed holds a token when a call has failed in a way that may mean another primary; done ends the looking.
	failed, done chan struct{}
	// news holds a token when gates may need a rebuild.
	news  chan struct{}
	watch sync.WaitGroup

	current atomic.Pointer[connection]
	// mu is held while current is replaced.
	mu        sync.Mutex
	renewedAt time.Time
	// confirmedAt is when at least half of the sentinels were heard last.
	confirmedAt time.Time
	closed      bool
}

// connection is a client, and where it leads.
type connection struct {
	redis.UniversalClient
	// cluster and layout are nil unless it leads to a Redis Cluster.
	cluster *redis.ClusterClient
	layout  *layoutReader
	// primary is the address that the sentinels named; empty without sentinels.
	primary string
}

func (c *connection) close() error {
	if c.layout != nil {
		c.layout.close()
	}
	return c.Close()
}

func openLink(config Config, logger *slog.Logger) *link {
	l := &link{
		config: config, logger: logger,
		failed: make(chan struct{}, 1), done: make(chan struct{}), news: make(chan struct{}, 1),
	}
	switch {
	case config.SentinelMaster != "":
		l.sentinels = newSentinelReader(config)
	case len(config.Addrs) > 1:
		l.current.Store(connectCluster(config))
	default:
		l.current.Store(&connection{UniversalClient: redis.NewClient(config.options().Simple())})
	}
	l.watch.Go(l.run)
	return l
}

func connectCluster(config Config) *connection {
	layout := newLayoutReader(config)
	cluster := newClusterClient(config, layout.read)
	return &connection{UniversalClient: cluster, cluster: cluster, layout: layout}
}

// newClusterClient gives a client that reads the layout so. The driver takes the hosts out of loopback addresses in a
// layout that it didn't read itself: that leads to 127.0.0.1, whichever it was, names no host in errors and warnings, and
// none for TLS to check.
func newClusterClient(config Config, read func(context.Context) ([]redis.ClusterSlot, error)) *redis.ClusterClient {
	options := config.options().Cluster()
	options.ClusterSlots = read
	options.NewClient = func(node *redis.Options) *redis.Client {
		if strings.HasPrefix(node.Addr, ":") && node.NodeAddress != "" {
			node.Addr = node.NodeAddress
		}
		return redis.NewClient(node)
	}
	return redis.NewClusterClient(options)
}

// get gives the client that leads to the primary. Only the first call to a set of sentinels has to ask for it.
func (l *link) get(ctx context.Context) (*connection, error) {
	if current := l.current.Load(); current != nil {
		return current, nil
	}
	if err := l.follow(ctx); err != nil {
		return nil, err
	}
	return l.current.Load(), nil
}

func (l *link) isCluster() bool {
	current := l.current.Load()
	return current != nil && current.cluster != nil
}

// run looks again and again, and soon after a call has failed, where the primary is. Without it the driver looks at a
// cluster's layout once a minute and when it is told MOVED, which a lost master tells nobody.
func (l *link) run() {
	for {
		select {
		case <-l.done:
			return
		case <-l.failed:
		case <-time.After(lookEvery):
		}
		l.look()
		select {
		case <-l.done:
			return
		case <-time.After(lookPause):
		}
	}
}

func (l *link) look() {
	ctx, cancel := context.WithTimeout(context.Background(), l.config.CallTimeout)
	defer cancel()
	if l.sentinels != nil {
		if err := l.follow(ctx); err != nil {
			l.logger.Debug("the sentinels name no primary", "error", err)
		}
		return
	}
	current := l.current.Load()
	if current.cluster == nil {
		return
	}
	// The driver's ReloadState would come back before it has read, and read five times a second at most.
	err := current.cluster.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil })
	if err == nil && current.layout.takeChange() {
		put(l.news)
	}
}

// put leaves a token unless one is there.
func put(tokens chan<- struct{}) {
	select {
	case tokens <- struct{}{}:
	default:
	}
}

// follow asks the sentinels for the primary, and leads there from now on.
func (l *link) follow(ctx context.Context) error {
	slots, byHalf, err := l.sentinels.readByHalf(ctx)
	if err != nil {
		return fmt.Errorf("ask the sentinels for the primary: %w", err)
	}
	primary := slots[0].Nodes[0].Addr
	l.mu.Lock()
	defer l.mu.Unlock()
	if byHalf {
		l.confirmedAt = time.Now()
	}
	if before := l.current.Load(); before == nil || before.primary != primary {
		l.logger.Info("the sentinels name the primary of Redis", "address", primary)
		l.replace(l.connectTo(primary))
		put(l.news)
	}
	return nil
}

// confirm refuses while fewer than half of the sentinels were heard: the others may have named another primary by now. A
// rebuild of the old one would raise the epoch, and so close the gate of the new one, whose processes would then rebuild
// theirs, and so on for as long as the sentinels are cut off.
func (l *link) confirm() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sentinels == nil || time.Since(l.confirmedAt) < confirmedFor {
		return nil
	}
	return errUnconfirmed
}

func (l *link) connectTo(primary string) *connection {
	options := l.config.options().Simple()
	if primary != "" {
		options.Addr = primary
	}
	return &connection{UniversalClient: redis.NewClient(options), primary: primary}
}

// replace makes this the current client. The one before is closed when every call through it has ended; mu is held.
func (l *link) replace(next *connection) {
	if l.closed {
		_ = next.close()
		return
	}
	before := l.current.Swap(next)
	if before != nil {
		time.AfterFunc(l.config.CallTimeout, func() { _ = before.close() })
	}
}

// renew replaces all connections by new ones, which lead to wherever the address leads now: an old one may still lead to a
// server that was replaced. It says whether it did: no more than once in renewPause, and not in a cluster, where each
// node tells by itself what it no longer serves.
func (l *link) renew() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	current := l.current.Load()
	if current == nil || current.cluster != nil || l.closed || time.Since(l.renewedAt) < renewPause {
		return false
	}
	l.renewedAt = time.Now()
	l.replace(l.connectTo(current.primary))
	return true
}

// noteFailure draws what is to be learned from a call that failed: where a single address leads to a node of a cluster,
// where another primary is to be looked for, or that a connection leads to a server that is none any more.
func (l *link) noteFailure(err error) {
	switch {
	case !l.isCluster() && begins(err, "MOVED", "CLUSTERDOWN"):
		l.becomeCluster()
	case begins(err, "READONLY"):
		l.renew()
	case begins(err, "") && !begins(err, "CLUSTERDOWN", "MASTERDOWN", "LOADING"):
		return
	}
	put(l.failed)
}

// begins says whether the error is Redis's own answer, and begins with one of these words.
func begins(err error, words ...string) bool {
	answered, isAnswer := errors.AsType[redis.Error](err)
	return isAnswer && slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(answered.Error(), word) })
}

// becomeCluster: the one address that was given is of a node of a Redis Cluster, or of all of them.
func (l *link) becomeCluster() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sentinels != nil || l.isCluster() {
		return
	}
	l.logger.Info("the address of Redis leads to a Redis Cluster", "address", l.config.Addrs[0])
	l.replace(connectCluster(l.config))
}

// close ends the looking and closes the connections; closing again does nothing.
func (l *link) close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.done)
	l.mu.Unlock()
	l.watch.Wait()
	if l.sentinels != nil {
		l.sentinels.close()
	}
	if current := l.current.Load(); current != nil {
		return current.close()
	}
	return nil
}
