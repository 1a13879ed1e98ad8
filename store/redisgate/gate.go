package redisgate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"firstcome/domain"
)

// Gate is the admission side of all campaigns on one Redis server or cluster. It implements domain.Admitter,
// GateReader, GateMender, PendingReader and GateRebuilder, and may be used by any number of goroutines.
type Gate struct {
	config  Config
	link    *link
	metrics *metrics
	logger  *slog.Logger

	campaigns    campaigns
	installation installation
	refusals     rate.Sometimes
	commands     sync.Pool
	rebuilds     rebuilds
}

var (
	_ domain.Admitter      = (*Gate)(nil)
	_ domain.GateReader    = (*Gate)(nil)
	_ domain.GateMender    = (*Gate)(nil)
	_ domain.PendingReader = (*Gate)(nil)
	_ domain.GateRebuilder = (*Gate)(nil)
	_ domain.EpochWitness  = (*Gate)(nil)
	_ domain.GateNews      = (*Gate)(nil)
)

// Open prepares a gate; Redis need not be up. A nil registerer keeps the metrics private. It fails when no address is
// given, or the metrics are registered already.
func Open(config Config, registerer prometheus.Registerer, logger *slog.Logger) (*Gate, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Gate{config: config, logger: logger, refusals: rate.Sometimes{Interval: refusalLogInterval}}
	if g.metrics, err = newMetrics(registerer); err != nil {
		return nil, fmt.Errorf("register the gate's metrics: %w", err)
	}
	setDriverLog.Do(func() { redis.SetLogger(driverLog{logger}) })
	g.link = openLink(config, logger)
	g.campaigns.prefix = config.KeyPrefix
	g.commands.New = func() any { return new([]any) }
	return g, nil
}

// Close closes the connections. A call that is under way is answered with CodeOutcomeUnknown, a later one is refused
// with CodeUnavailable; closing again does nothing.
func (g *Gate) Close() error {
	if err := g.link.close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}

// News implements domain.GateNews.
func (g *Gate) News() <-chan struct{} { return g.link.news }

// refusalLogInterval is how often, at the most, calls that Redis refused are logged.
const refusalLogInterval = 10 * time.Second

// driverLog takes over what the driver would print by itself. It is for looking closely only: whatever matters comes
// back as the error of a call.
type driverLog struct{ logger *slog.Logger }

// Printf implements the driver's interface.
func (l driverLog) Printf(ctx context.Context, format string, values ...any) {
	l.logger.DebugContext(ctx, fmt.Sprintf(format, values...))
}

// setDriverLog is done once: the driver has one log for the whole process.
var setDriverLog sync.Once

// ask runs one script for one caller, within the caller's context and CallTimeout. An answer that the gate is closed
// becomes an error; else what the reply tells of epoch and count at its second and third place is noted when
// the script gives them.
func (g *Gate) ask(ctx context.Context, s *script, code string, argv ...any) (reply, error) {
	c, err := g.find(ctx, code)
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
	c, err := g.find(ctx, code)
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
	news := c.sawClosed(why)
	switch {
	case unusable[why] != nil:
		if news {
			g.logger.Error("THE GATE CAN'T BE USED", "campaign", c.code, "reason", unusable[why].Message)
		}
		return unusable[why]
	case news:
		// A connection that is left over from before a failover shows an old gate: the next call takes a new one.
		g.link.renew()
		put(g.link.news)
		g.logger.Warn("the gate is closed until it is rebuilt", "campaign", c.code, "reason", why)
	}
	return errGateClosed(why)
}
