package retryer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/robfig/cron/v3"

	"firstcome/domain"
)

// Retryer runs the mending jobs.
type Retryer struct {
	cfg     Config
	ports   Ports
	policy  policy
	metrics *metrics
	logger  *slog.Logger
	watch   *watch
	slots   *rebuildSlots
	newest  *newestRecords
	stored  *searches
	// couponReaders is held by the rebuilds that read coupons.
	couponReaders chan struct{}
	// sweeping is held by a sweep in the background.
	sweeping chan struct{}
	// owing is how a sweep sees that the last user who was owed a slot has one.
	owing *owing
	// sweeps and relays say at which campaigns a run of these jobs looks.
	sweeps, relays *rounds

	// unsent are disputes that the gate could not be told of yet; only the retry job touches them.
	unsent []domain.Winner
	// unsettled are claimed events whose attempt could not be ended because the ledger went away.
	unsettledMu sync.Mutex
	unsettled   []domain.FailEvent
	// states are how the jobs do, by name.
	statesMu sync.Mutex
	states   map[string]jobNote
	relayed  relayed
	// topic is what the topic job remembers.
	topic  topicWatch
	audits *audits
	// verified says that everything was compared since this process started; only the verify job touches it.
	verified bool
	// verifyPace puts off the verify job after a failure.
	verifyPace pacing
}

// New checks the configuration, fills in the defaults and registers the metrics. It starts nothing.
func New(cfg Config, ports Ports, registerer prometheus.Registerer, logger *slog.Logger) (*Retryer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("retryer: %w", err)
	}
	if err := ports.check(); err != nil {
		return nil, fmt.Errorf("retryer: %w", err)
	}
	ports.Tail = newSharedTail(ports.Tail)
	metrics, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("retryer: %w", err)
	}
	return &Retryer{
		cfg:     cfg,
		ports:   ports,
		policy:  policy{maxAttempts: cfg.MaxAttempts, backoffMin: cfg.BackoffMin, backoffMax: cfg.BackoffMax},
		metrics: metrics,
		logger:  logger,
		watch:   newWatch(cfg.RebuildPatience),
		slots:   newRebuildSlots(cfg.ConcurrentRebuilds),
		newest:  newNewestRecords(ports.Stored),
		stored:  newSearches(ports.Stored),

		couponReaders: make(chan struct{}, couponReaders),
		sweeping:      make(chan struct{}, 1),
		states:        map[string]jobNote{},
		owing:         newOwing(),
		sweeps:        newRounds(sweepShare),
		relays:        newRounds(relayShare),
		audits:        newAudits(),
	}, nil
}

// jobAudit and jobVerify are the jobs that may take as long as there is to read.
const jobAudit, jobVerify = "audit", "verify"

// job is one of the things that a retryer does again and again.
type job struct {
	name  string
	every time.Duration
	run   func(context.Context) error
}

func (r *Retryer) jobs() []job {
	jobs := []job{
		{"retry", r.cfg.RetryEvery, func(ctx context.Context) error { _, err := r.retryOnce(ctx); return err }},
		{"rescue", r.cfg.RescueEvery, func(ctx context.Context) error { _, err := r.rescueOnce(ctx); return err }},
		{"purge", r.cfg.PurgeEvery, func(ctx context.Context) error { _, err := r.purgeOnce(ctx); return err }},
		{"relay", r.cfg.RelayEvery, func(ctx context.Context) error { _, err := r.relayOnce(ctx); return err }},
		{"sweep", r.cfg.SweepEvery, r.sweepInBackground},
		{"release", r.cfg.SweepEvery, func(ctx context.Context) error { return r.releaseRevoked(ctx, fairTurn) }},
	}
	if r.ports.Audit.complete() {
		jobs = append(jobs, job{jobAudit, r.cfg.AuditEvery, r.auditAll}, job{jobVerify, r.cfg.VerifyEvery, r.verifyOnce})
	}
	if r.ports.Audit.complete() && r.ports.Topic.complete() {
		jobs = append(jobs, job{"topic", r.cfg.TopicEvery, r.topicOnce})
	}
	return jobs
}

// Run runs the jobs until the context ends, waits for those under way, and returns nil.
func (r *Retryer) Run(ctx context.Context) error {
	times := newTimetable(r.logger)
	var wanted []cron.Job
	for _, j := range r.jobs() {
		r.noteNext(j, time.Now())
		entry := times.add(j.every, r.runner(ctx, j))
		if j.name != jobAudit && j.name != jobVerify { // takes long, and has a call of its own
			wanted = append(wanted, entry.job)
		}
	}
	var news sync.WaitGroup
	if r.ports.News != nil {
		news.Go(func() { r.sweepOnNews(ctx) })
	}
	if r.ports.Settings != nil {
		look := r.requests(wanted)
		times.add(requestEvery, cron.FuncJob(func() { look(ctx) }))
	}
	times.run(ctx)
	news.Wait()
	r.slots.wait()
	r.stored.stop()
	return nil
}

// runner counts how runs end, and logs the first failure of a row of them and the first success after it.
func (r *Retryer) runner(ctx context.Context, j job) cron.Job {
	var mu sync.Mutex
	failing := false
	return cron.FuncJob(func() {
		if ctx.Err() != nil {
			return
		}
		result := "panic"
		r.noteBegin(j, time.Now())
		defer r.noteEnd(j)
		defer func() { r.metrics.jobs.WithLabelValues(j.name, result).Inc() }()
		err := j.run(ctx)
		result = resultOf(err)
		r.noteResult(j, time.Now(), err)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil && ctx.Err() == nil && !failing:
			r.logger.Error("job fails; it is tried again", "job", j.name, "every", j.every, "error", err)
			failing = true
		case err == nil && failing:
			r.logger.Info("job works again", "job", j.name)
			failing = false
		}
	})
}

func resultOf(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// cronLogger passes cron's errors on; what it says of its routine is of no interest unless one debugs.
type cronLogger struct{ logger *slog.Logger }

// Info logs what cron does all the time.
func (l cronLogger) Info(message string, details ...any) {
	l.logger.Debug("cron: "+message, details...)
}

// Error logs a job's panic.
func (l cronLogger) Error(err error, message string, details ...any) {
	l.logger.Error("cron: "+message, append(details, "error", err)...)
}
