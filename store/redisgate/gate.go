package redisgate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"firstcome/domain"
)

// Gate is the admission side of all campaigns on one Redis server or cluster. It implements domain.Admitter,
// GateReader, GateMender, PendingReader and GateRebuilder, and may be used by any number of goroutines.
type Gate struct {
	config  Config
	client  redis.UniversalClient
	cluster bool
	// layout is nil but for a cluster.
	layout  *layoutReader
	metrics *metrics
	logger  *slog.Logger
	// failed holds a token when a call has failed for want of a server that answers; done ends what runs by itself.
	failed  chan struct{}
	done    chan struct{}
	closing sync.Once
	watch   sync.WaitGroup

	campaigns campaigns
	commands  sync.Pool
	rebuilds  rebuilds
}

var (
	_ domain.Admitter      = (*Gate)(nil)
	_ domain.GateReader    = (*Gate)(nil)
	_ domain.GateMender    = (*Gate)(nil)
	_ domain.PendingReader = (*Gate)(nil)
	_ domain.GateRebuilder = (*Gate)(nil)
)

// Open prepares a gate; Redis need not be up. A nil registerer keeps the metrics private. It fails when no address is
// given, or the metrics are registered already.
func Open(config Config, registerer prometheus.Registerer, logger *slog.Logger) (*Gate, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Gate{config: config, logger: logger, failed: make(chan struct{}, 1), done: make(chan struct{})}
	if g.metrics, err = newMetrics(registerer); err != nil {
		return nil, fmt.Errorf("register the gate's metrics: %w", err)
	}
	setDriverLog.Do(func() { redis.SetLogger(driverLog{logger}) })
	g.connect()
	g.commands.New = func() any { return new([]any) }
	return g, nil
}

// connect makes the client, which dials when it is used.
func (g *Gate) connect() {
	options := g.config.options()
	if len(options.Addrs) == 1 {
		g.client = redis.NewClient(options.Simple())
		return
	}
	g.cluster, g.layout = true, newLayoutReader(g.config)
	clustered := options.Cluster()
	clustered.ClusterSlots = g.layout.read
	cluster := redis.NewClusterClient(clustered)
	g.client = cluster
	g.watch.Go(func() { watchLayout(cluster, g.failed, g.done) })
}

// noteFailure has the cluster's layout read anew when an error may mean that it is out of date.
func (g *Gate) noteFailure(err error) {
	var answered redis.Error
	if errors.As(err, &answered) && !redis.HasErrorPrefix(err, "CLUSTERDOWN") && !redis.HasErrorPrefix(err, "MASTERDOWN") &&
		!redis.HasErrorPrefix(err, "READONLY") && !redis.HasErrorPrefix(err, "LOADING") {
		return
	}
	select {
	case g.failed <- struct{}{}:
	default:
	}
}

// Close closes the connections. A call that is under way is answered with CodeOutcomeUnknown, a later one is refused
// with CodeUnavailable; closing again does nothing.
func (g *Gate) Close() error {
	g.closing.Do(func() { close(g.done) })
	g.watch.Wait()
	if g.layout != nil {
		g.layout.close()
	}
	if err := g.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}

// driverLog takes over what the driver would print by itself. It is for looking closely only: whatever matters comes
// back as the error of a call.
type driverLog struct{ logger *slog.Logger }

// Printf implements the driver's interface.
func (l driverLog) Printf(ctx context.Context, format string, values ...any) {
	l.logger.DebugContext(ctx, fmt.Sprintf(format, values...))
}

// setDriverLog is done once: the driver has one log for the whole process.
var setDriverLog sync.Once

// Ping says whether Redis answers. CodeUnavailable, CodeOutcomeUnknown.
func (g *Gate) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.config.CallTimeout)
	defer cancel()
	if err := g.client.Ping(ctx).Err(); err != nil {
		return classify(err, g.cluster)
	}
	return nil
}

// Warnings names the settings of Redis under which promises would depend on luck. A server that does not show its
// settings is a warning too; one that can't be reached gives none, as Ping tells that.
func (g *Gate) Warnings(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, g.config.CallTimeout)
	defer cancel()
	if !g.cluster {
		return warningsOf(ctx, g.client)
	}
	var mu sync.Mutex
	var all []string
	nodes, _ := g.client.(*redis.ClusterClient)
	err := nodes.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		found := warningsOf(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		for _, warning := range found {
			all = append(all, node.Options().Addr+": "+warning)
		}
		return nil
	})
	if err != nil {
		return append(all, "the nodes of the Redis Cluster can't be listed: "+err.Error())
	}
	return all
}

func warningsOf(ctx context.Context, node redis.Cmdable) []string {
	var warnings []string
	for _, setting := range []struct{ name, want, warning string }{
		{"maxmemory-policy", "noeviction", "Redis may evict keys of the gate (maxmemory-policy is %s, not noeviction)"},
		{"appendonly", "yes", "Redis forgets the gate when it restarts (appendonly is %s, not yes)"},
	} {
		values, err := node.ConfigGet(ctx, setting.name).Result()
		var answered redis.Error
		switch {
		case errors.As(err, &answered):
			warnings = append(warnings, fmt.Sprintf("Redis does not show its setting %s, so it can't be checked", setting.name))
		case err == nil && values[setting.name] != setting.want:
			warnings = append(warnings, fmt.Sprintf(setting.warning, values[setting.name]))
		}
	}
	return warnings
}

// ask runs one script for one caller, within the caller's context and CallTimeout. An answer that the gate is closed
// becomes an error; else what the reply tells of epoch and count at its second and third place is noted when
// the script gives them.
func (g *Gate) ask(ctx context.Context, s *script, code string, argv ...any) (reply, error) {
	c, err := g.campaigns.find(code)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, g.config.CallTimeout)
	defer cancel()
	answer, err := g.call(ctx, s, append(s.appendHead(make([]any, 0, headLength+len(argv)), &c.keys), argv...))
	if err != nil {
		return nil, err
	}
	if answer.text(0) == "CLOSED" {
		return nil, g.closed(c, answer.text(1))
	}
	return answer, nil
}

// askOpen is ask for scripts that begin with what was seen, and tell what they saw.
func (g *Gate) askOpen(ctx context.Context, s *script, code string, argv ...any) (reply, error) {
	c, err := g.campaigns.find(code)
	if err != nil {
		return nil, err
	}
	epoch, count := c.seen()
	answer, err := g.ask(ctx, s, code, append([]any{epoch, count}, argv...)...)
	if err == nil && answer.text(0) == "OK" {
		c.saw(answer.number(1), answer.number(2))
	}
	return answer, err
}

func (g *Gate) closed(c *campaign, why string) error {
	g.metrics.closedAnswers.Inc()
	if c.sawClosed(why) {
		g.logger.Warn("the gate is closed until it is rebuilt", "campaign", c.code, "reason", why)
	}
	return errGateClosed(why)
}
