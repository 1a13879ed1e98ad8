package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// Consumer stores what the topic brings. Its steps stand in the comment of the package.
type Consumer struct {
	cfg      Config
	ports    Ports
	metrics  *metrics
	logger   *slog.Logger
	throttle *throttle
	pace     *pacemaker
	brake    *brake
	lanes    *lanes
	hold     hold

	running    atomic.Bool
	auto       atomic.Bool
	rowsStored atomic.Int64
}

// State is what readiness and operators are told.
type State struct {
	// Running is true between the start and the end of Run.
	Running bool
	// Paused says why nothing gets done; empty when something does or nothing waits. PausedSince is then zero.
	Paused      string
	PausedSince time.Time
	// Waiting are the records of lanes that can't get on, whether others do or not.
	Waiting []domain.WaitingRecords
	// RowsStored counts the new rows since the process began.
	RowsStored int64
	// RowsPerSecond is the limit in force for all consumers together, 0 for none.
	RowsPerSecond float64
}

// New checks the configuration, fills in the defaults and registers the metrics. It starts nothing.
func New(cfg Config, ports Ports, registerer prometheus.Registerer, logger *slog.Logger) (*Consumer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	if err := ports.check(); err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	metrics, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("consumer: %w", err)
	}
	return &Consumer{
		cfg:      cfg,
		ports:    ports,
		metrics:  metrics,
		logger:   logger,
		pace:     newPacemaker(),
		throttle: newThrottle(cfg.RowsPerSecond.PerSecond, transactionsPerPoll*cfg.BatchSize, metrics.throttleWait),
		brake:    newBrake(cfg.MinBackoff, cfg.MaxBackoff, metrics, logger),
		lanes:    newLanes(cfg, metrics, logger),
	}, nil
}

// State may be called at any time.
func (c *Consumer) State() State {
	paused, since := c.hold.state()
	if paused == "" {
		paused, since = c.brake.state()
	}
	if paused == "" {
		paused, since = c.lanes.state()
	}
	return State{
		Running:       c.running.Load(),
		Paused:        paused,
		PausedSince:   since,
		Waiting:       c.lanes.told(),
		RowsStored:    c.rowsStored.Load(),
		RowsPerSecond: c.throttle.rowsPerSecond(),
	}
}

// Run consumes until the context ends, and then returns nil. What is under way may take up to Config.StopGrace to
// finish; a batch that can't is abandoned, and what was stored of it is committed.
func (c *Consumer) Run(ctx context.Context) error {
	c.running.Store(true)
	defer c.running.Store(false)
	var group errgroup.Group
	c.setRate(c.cfg.RowsPerSecond)
	c.readSetting(ctx)
	group.Go(func() error { c.watchSetting(ctx); return nil })
	for ctx.Err() == nil {
		if err := c.runOnce(ctx); err != nil {
			c.brake.wait(ctx, err)
		}
	}
	return group.Wait()
}

// runOnce polls, tries what is due, and commits what is done. An error means that nothing at all gets on, or that the
// context has ended.
func (c *Consumer) runOnce(ctx context.Context) error {
	c.throttle.setShare(c.ports.Source.Share())
	deliveries, err := c.poll(ctx)
	if err != nil {
		return err
	}
	b, fresh := c.lanes.take(deliveries)
	if fresh > 0 {
		c.metrics.batchSize.Observe(float64(fresh))
		crashpoint.Reach(crashpoint.ConsumerPolled)
	} else {
		rest(ctx)
	}
	work, cancel := outlive(ctx, c.cfg.StopGrace)
	defer cancel()
	tried := c.try(ctx, work, b)
	err = c.commit(work, b)
	c.lanes.keep(b, err == nil)
	if ctx.Err() != nil {
		c.logger.Info("the consumer stops; what it has in hand will be delivered again", "records", len(c.lanes.left))
		return ctx.Err()
	}
	if err := errors.Join(tried, err); err != nil {
		return err
	}
	c.brake.release()
	c.makeRoom()
	c.showPause()
	return nil
}

// makeRoom puts back what a lane in trouble has too much of, so that however many records of one campaign wait, those of
// the others come; and has it given again once the lane gets on.
func (c *Consumer) makeRoom() {
	if surplus := c.lanes.surplus(); len(surplus) > 0 {
		deliveries := make([]domain.Delivery, len(surplus))
		for n, i := range surplus {
			deliveries[n] = i.delivery
		}
		c.lanes.gaveBack(surplus[:c.ports.Source.PutBack(deliveries)])
	}
	if c.lanes.wantsBack() {
		c.ports.Source.GiveAgain()
	}
}

// poll waits for records. While some are in hand it waits for a bounded time only: when they were taken away with their
// partitions, nothing comes.
func (c *Consumer) poll(ctx context.Context) ([]domain.Delivery, error) {
	limit := c.lanes.room(c.throttle.bite())
	if len(c.lanes.left) == 0 {
		return c.ports.Source.Poll(ctx, limit, c.cfg.Linger)
	}
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Linger+time.Second)
	defer cancel()
	deliveries, err := c.ports.Source.Poll(bounded, limit, c.cfg.Linger)
	if bounded.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return deliveries, err
}

// restFor is how long a round rests to which nothing new came: what is in hand has only to wait.
const restFor = 100 * time.Millisecond

func rest(ctx context.Context) {
	timer := time.NewTimer(restFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// commit goes the steps 7 and 8 with what is done.
func (c *Consumer) commit(work context.Context, b *batch) error {
	done := b.finished()
	if len(done) == 0 {
		return nil
	}
	crashpoint.Reach(crashpoint.ConsumerFinished)
	c.confirm(work, b)
	if err := c.ports.Source.Commit(work, done); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.ConsumerCommitted)
	return nil
}

// showPause brings the metric in line with the state.
func (c *Consumer) showPause() {
	paused := 0.0
	if c.State().Paused != "" {
		paused = 1
	}
	c.metrics.paused.Set(paused)
}

// outlive gives a context that ends a grace after ctx did, so that a store call under way can finish.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return work, func() { stop(); cancel() }
}

// readSetting takes over what operators set, the limit and the hold, if the ledger can be asked; else the last stays.
func (c *Consumer) readSetting(ctx context.Context) {
	c.throttle.setShare(c.ports.Source.Share())
	if c.ports.Settings == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settingTimeout)
	defer cancel()
	if held, err := c.ports.Settings.Setting(ctx, domain.SettingConsumers); err == nil && c.hold.set(held == domain.ConsumersPaused) {
		c.logger.Info("an operator has paused the consumers, or let them run again", "setting", held)
	}
	text, err := c.ports.Settings.Setting(ctx, domain.SettingRowsPerSecond)
	if err != nil {
		return
	}
	rate := c.cfg.RowsPerSecond
	if text != "" {
		if rate, err = domain.ParseRate(text); err != nil {
			c.logger.Warn("setting ignored", "setting", domain.SettingRowsPerSecond, "value", text, "error", err)
			return
		}
	}
	c.setRate(rate)
}

// setRate brings a rate into force; the automatic one goes on where it was.
func (c *Consumer) setRate(rate domain.Rate) {
	c.auto.Store(rate.Auto)
	perSecond := rate.PerSecond
	if rate.Auto {
		perSecond = c.pace.rate()
	}
	if c.throttle.setTotal(perSecond) {
		c.logger.Info("throttle changed", "rows_per_second", rate)
	}
}

// adapt takes one step of the automatic rate, if that is in force.
func (c *Consumer) adapt() {
	rate := c.pace.decide(c.throttle.allowed(autoEvery))
	if c.auto.Load() && c.throttle.setTotal(rate) {
		c.logger.Debug("throttle adapted", "rows_per_second", rate)
	}
}

const (
	settingEvery   = time.Second
	settingTimeout = 2 * time.Second
)

func (c *Consumer) watchSetting(ctx context.Context) {
	ticker := time.NewTicker(settingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.adapt()
			c.readSetting(ctx)
		}
	}
}
