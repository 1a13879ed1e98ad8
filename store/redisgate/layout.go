package redisgate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"firstcome/domain"
)

const (
	// maxLayoutNodes is how many nodes are asked at once, drawn anew each time: a large cluster is not asked as a whole.
	maxLayoutNodes = 8
	// layoutGrace is how long the others are waited for once half of the nodes have answered: those that are lost never
	// will.
	layoutGrace = 50 * time.Millisecond
)

// layout is what one node of a Redis Cluster says about which node holds which keys. What a sentinel says has the same
// form: one node holds all keys.
type layout struct {
	slots []redis.ClusterSlot
	// epoch is the highest configuration epoch that the node has heard of: an election or a move of slots raises it.
	epoch int64
	// serving says that the node is in touch with most masters, or that the sentinel takes the primary for alive.
	serving bool
}

// newest gives the layout to go by: a node that is cut off from the others goes on with what it knew before.
func newest(a, b layout) layout {
	if a.serving != b.serving {
		if a.serving {
			return a
		}
		return b
	}
	if a.epoch < b.epoch || len(a.slots) == 0 {
		return b
	}
	return a
}

// layoutReader asks the nodes of a Redis Cluster, or sentinels, for the layout. The driver asks one of them, which may be
// one that was left behind, and waits for one after the other, frozen ones included.
type layoutReader struct {
	node  redis.Options
	seeds []string
	ask   func(ctx context.Context, node *redis.Client, addr string) (layout, error)
	// seedsOnly: the nodes that a layout names are not asked.
	seedsOnly bool

	mu sync.Mutex
	// nodes are those of the last layout, and the seeds.
	nodes  map[string]*redis.Client
	closed bool
	// masters says which node of the last layout serves what; changed that it says something else than at the last
	// takeChange.
	masters string
	changed bool
}

func newLayoutReader(config Config) *layoutReader {
	options := config.options().Simple()
	options.PoolSize, options.MinIdleConns = 1, 0
	return &layoutReader{node: *options, seeds: config.Addrs, ask: askLayout, nodes: map[string]*redis.Client{}}
}

// newSentinelReader gives a reader whose layout has one node: the primary.
func newSentinelReader(config Config) *layoutReader {
	r := newLayoutReader(config)
	r.node.Username, r.node.Password = config.SentinelUsername, config.SentinelPassword
	r.ask = func(ctx context.Context, node *redis.Client, _ string) (layout, error) {
		return askSentinel(ctx, node, config.SentinelMaster)
	}
	r.seedsOnly = true
	return r
}

// read gives the newest layout of those that the nodes know, within the call timeout.
func (r *layoutReader) read(ctx context.Context) ([]redis.ClusterSlot, error) {
	slots, _, err := r.readByHalf(ctx)
	return slots, err
}

// readByHalf is read, and says whether at least half of those who were asked have answered.
func (r *layoutReader) readByHalf(ctx context.Context) (slots []redis.ClusterSlot, byHalf bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.node.ReadTimeout)
	defer cancel()
	nodes, err := r.some()
	if err != nil {
		return nil, false, err
	}
	answers := make(chan layoutAnswer, len(nodes))
	for addr, node := range nodes {
		go func() {
			found, err := r.ask(ctx, node, addr)
			answers <- layoutAnswer{found, err}
		}()
	}
	chosen, byHalf, err := chooseLayout(answers)
	if len(chosen.slots) == 0 {
		return nil, false, errors.Join(errors.New("nobody who was asked tells where the primary is"), err)
	}
	return r.keep(chosen), byHalf, nil
}

type layoutAnswer struct {
	layout layout
	err    error
}

// chooseLayout gives the newest of the answers for which the channel has room: of all, or of those that had come
// layoutGrace after half of them; byHalf says whether those came. The error joins what failed.
func chooseLayout(answers <-chan layoutAnswer) (chosen layout, byHalf bool, err error) {
	var failures []error
	var graceOver <-chan time.Time
	for asked, known := cap(answers), 0; known+len(failures) < asked; {
		select {
		case got := <-answers:
			if got.err != nil {
				failures = append(failures, got.err)
				continue
			}
			chosen = newest(chosen, got.layout)
			known++
			if 2*known >= asked && graceOver == nil {
				byHalf, graceOver = true, time.After(layoutGrace)
			}
		case <-graceOver:
			return chosen, byHalf, errors.Join(failures...)
		}
	}
	return chosen, byHalf, errors.Join(failures...)
}

// some draws the nodes that are asked.
func (r *layoutReader) some() (map[string]*redis.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, redis.ErrClosed
	}
	for _, addr := range r.seeds {
		r.add(addr)
	}
	addrs := make([]string, 0, len(r.nodes))
	for addr := range r.nodes {
		addrs = append(addrs, addr)
	}
	some := map[string]*redis.Client{}
	for _, i := range rand.Perm(len(addrs))[:min(len(addrs), maxLayoutNodes)] {
		some[addrs[i]] = r.nodes[addrs[i]]
	}
	return some, nil
}

func (r *layoutReader) add(addr string) {
	if r.nodes[addr] == nil {
		options := r.node
		options.Addr = addr
		r.nodes[addr] = redis.NewClient(&options)
	}
}

// keep makes the nodes of this layout those that are asked from now on, and gives its slots.
func (r *layoutReader) keep(chosen layout) []redis.ClusterSlot {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.seedsOnly {
		return chosen.slots
	}
	if masters := mastersOf(chosen.slots); masters != r.masters {
		r.masters, r.changed = masters, r.changed || r.masters != "" // the first that is read is no change
	}
	named := map[string]bool{}
	for _, slot := range chosen.slots {
		for _, node := range slot.Nodes {
			named[node.Addr] = true
			r.add(node.Addr)
		}
	}
	for _, addr := range r.seeds {
		named[addr] = true
	}
	for addr, node := range r.nodes {
		if !named[addr] {
			delete(r.nodes, addr)
			_ = node.Close()
		}
	}
	return chosen.slots
}

// mastersOf says which node serves what, in words that are the same in whatever order the slots come.
func mastersOf(slots []redis.ClusterSlot) string {
	masters := make([]string, 0, len(slots))
	for _, slot := range slots {
		if len(slot.Nodes) > 0 {
			masters = append(masters, fmt.Sprintf("%d-%d %s", slot.Start, slot.End, slot.Nodes[0].Addr))
		}
	}
	slices.Sort(masters)
	return strings.Join(masters, ",")
}

// takeChange says whether other masters were read since it was called last.
func (r *layoutReader) takeChange() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.changed
	r.changed = false
	return changed
}

func (r *layoutReader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, node := range r.nodes {
		_ = node.Close()
	}
	clear(r.nodes)
}

// askLayout asks one node, which is reached at addr.
func askLayout(ctx context.Context, node *redis.Client, addr string) (layout, error) {
	var info *redis.StringCmd
	var slots *redis.ClusterSlotsCmd
	_, err := node.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		info, slots = pipe.ClusterInfo(ctx), pipe.ClusterSlots(ctx)
		return nil
	})
	if err != nil {
		return layout{}, err
	}
	found := layout{slots: slots.Val(), serving: infoField(info.Val(), "cluster_state") == "ok"}
	found.epoch, _ = strconv.ParseInt(infoField(info.Val(), "cluster_current_epoch"), 10, 64)
	for _, slot := range found.slots {
		for i := range slot.Nodes {
			slot.Nodes[i].Addr = completeAddr(slot.Nodes[i].Addr, addr)
		}
	}
	return found, nil
}

// askSentinel asks one sentinel for the primary of that name.
func askSentinel(ctx context.Context, sentinel *redis.Client, name string) (layout, error) {
	told := redis.NewStringSliceCmd(ctx, "sentinel", "get-master-addr-by-name", name)
	known := redis.NewMapStringStringCmd(ctx, "sentinel", "master", name)
	_, err := sentinel.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		return errors.Join(pipe.Process(ctx, known), pipe.Process(ctx, told))
	})
	if err != nil {
		if strings.HasPrefix(err.Error(), "ERR unknown command") {
			err = domain.Wrap(domain.CodeUnavailable, err,
				"the addresses of Redis are not those of Redis Sentinels: unset FIRSTCOME_REDIS_SENTINEL_MASTER, or give theirs")
		}
		return layout{}, err
	}
	return sentinelLayout(known.Val(), told.Val())
}

// sentinelLayout reads what a sentinel knows of the primary, and its address as it tells clients. These differ while it
// makes the other replicas follow one that it has promoted already, for up to the failover timeout: until then it knows
// the old primary, which is down, by the epoch before.
func sentinelLayout(known map[string]string, told []string) (layout, error) {
	epoch, err := strconv.ParseInt(known["config-epoch"], 10, 64)
	if err != nil || len(told) != 2 || known["ip"] == "" || known["port"] == "" {
		return layout{}, errors.New("a sentinel's answer can't be read")
	}
	addr := net.JoinHostPort(told[0], told[1])
	found := layout{
		slots: []redis.ClusterSlot{{Nodes: []redis.ClusterNode{{Addr: addr}}}},
		epoch: epoch, serving: !strings.Contains(known["flags"], "down"),
	}
	if addr != net.JoinHostPort(known["ip"], known["port"]) {
		found.epoch, found.serving = epoch+1, true
	}
	return found, nil
}

// infoField gives a field of what INFO and CLUSTER INFO answer: lines of name:value.
func infoField(text, name string) string {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// completeAddr fills in what a node doesn't know of itself: its host when it was never told, its port when it serves TLS
// only. It was reached at this other address.
func completeAddr(addr, reachedAt string) string {
	host, port, err := net.SplitHostPort(addr)
	reachedHost, reachedPort, reachedErr := net.SplitHostPort(reachedAt)
	if err != nil || reachedErr != nil {
		return addr
	}
	if host == "" || host == "?" {
		host = reachedHost
	}
	if port == "0" {
		port = reachedPort
	}
	return net.JoinHostPort(host, port)
}
