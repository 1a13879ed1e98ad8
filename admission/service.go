package admission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// Config says how applications are decided. A zero number or duration stands for the default that the field names.
type Config struct {
	// ProduceTimeout is how long an applicant waits for Kafka before the answer is "reserved" (3 s).
	ProduceTimeout time.Duration
	// AdmitTimeout bounds each call to the gate (1 s).
	AdmitTimeout time.Duration
	// VolatileGate says that the gate forgets everything when its process ends. Nobody is told "reserved" then, which
	// stands on the gate alone: the answer is CodeOutcomeUnknown, as to somebody that no answer reached.
	VolatileGate bool
	// MaxBatch is how many applications for one campaign are decided together at most (512), MaxWaiting how many of all
	// campaigns wait to be decided (16384), half of them for one campaign at most (places); further ones are refused.
	MaxBatch, MaxWaiting int
	// GateCalls is how many batches of one campaign are at the gate at a time (1). While BatchesUnderWay of them are on
	// their way to Kafka (4), the next one waits a moment to become larger.
	GateCalls, BatchesUnderWay int
	// KafkaCrowd is how many winners of one campaign on their way to Kafka are a crowd (512): while the first of one has
	// been on the way for too long, nobody is admitted (overload.go).
	KafkaCrowd int
	// RefusalDemand is how many users of a campaign the gate refuses within a second before they are refused from memory
	// (100); RefusalMemoryBytes bounds the memory of all campaigns for that, at 8 bytes a winner (64 MiB).
	RefusalDemand      int
	RefusalMemoryBytes int64
}

func (c Config) withDefaults() Config {
	c.ProduceTimeout = cmp.Or(c.ProduceTimeout, 3*time.Second)
	c.AdmitTimeout = cmp.Or(c.AdmitTimeout, time.Second)
	c.MaxBatch = cmp.Or(c.MaxBatch, 512)
	c.MaxWaiting = cmp.Or(c.MaxWaiting, 16384)
	c.GateCalls = cmp.Or(c.GateCalls, 1)
	c.BatchesUnderWay = cmp.Or(c.BatchesUnderWay, 4)
	c.KafkaCrowd = cmp.Or(c.KafkaCrowd, 512)
	c.RefusalDemand = cmp.Or(c.RefusalDemand, 100)
	c.RefusalMemoryBytes = cmp.Or(c.RefusalMemoryBytes, 64<<20)
	return c
}

func (c Config) check() error {
	if min(c.ProduceTimeout, c.AdmitTimeout) < 0 {
		return errors.New("a timeout must not be negative")
	}
	if min(c.MaxBatch, c.MaxWaiting, c.GateCalls, c.BatchesUnderWay, c.KafkaCrowd) < 0 || c.MaxBatch > domain.MaxBatch {
		return fmt.Errorf("the limits of batches must not be negative, and a batch not larger than %d", domain.MaxBatch)
	}
	if min(int64(c.RefusalDemand), c.RefusalMemoryBytes) < 0 {
		return errors.New("a limit must not be negative")
	}
	return nil
}

// Stores are what applications need. All are required but Epochs.
type Stores struct {
	Gate       domain.Admitter
	GateReader domain.GateReader
	GateLister domain.GateLister
	Publisher  domain.Publisher
	Campaigns  domain.CampaignReader
	Coupons    domain.CouponReader
	// Epochs may be nil: then a gate that was replaced may be taken for the one in use.
	Epochs domain.EpochWitness
}

// Answer is what one applicant is told.
type Answer struct {
	// Campaign is the code of the campaign; "" when there is none with the code, or nobody knows.
	Campaign string
	// Known says that the user was admitted by an earlier application.
	Known  bool
	Winner Winner
	// Err is a refusal, or a failure after which the applicant may ask again. context.Canceled: the client left before the
	// application was decided, and was not admitted.
	Err error
}

// Outcome is what was answered, as it is counted.
func (a *Answer) Outcome() domain.FunnelOutcome {
	switch {
	case a.Err != nil:
		return domain.FunnelOutcome(CodeOf(a.Err))
	case a.Known:
		return domain.FunnelKnown
	}
	return domain.FunnelOutcome(a.Winner.Status)
}

// CodeOf is domain.CodeOf, and knows also what a context's bare error means: the time was over before a store looked at
// the request (a call under way that ran out of time is CodeOutcomeUnknown already).
func CodeOf(err error) domain.Code {
	code := domain.CodeOf(err)
	if code == domain.CodeInternal && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return domain.CodeOverloaded
	}
	return code
}

// Service decides applications, and tells how far they have come. It is made by New, and works well only while Run runs.
type Service struct {
	gate           domain.Admitter
	gateReader     domain.GateReader
	publisher      domain.Publisher
	coupons        domain.CouponReader
	directory      *directory
	keeper         *refusalKeeper
	produceTimeout time.Duration
	admitTimeout   time.Duration
	volatileGate   bool
	limits         lineLimits
	pool           sync.Pool // spares an application and its channel a request
	logger         *slog.Logger
	warn           rate.Sometimes
}

// New makes a service. Readings of the campaigns that several wait for end with the context. The error names what is wrong
// with the configuration.
func New(ctx context.Context, cfg Config, stores Stores, logger *slog.Logger) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Service{
		gate: stores.Gate, gateReader: stores.GateReader, publisher: stores.Publisher, coupons: stores.Coupons,
		keeper:         newRefusalKeeper(cfg, stores, logger),
		produceTimeout: cfg.ProduceTimeout, admitTimeout: cfg.AdmitTimeout, volatileGate: cfg.VolatileGate,
		limits: lineLimits{
			maxBatch: cfg.MaxBatch, workers: cfg.GateCalls, batches: cfg.BatchesUnderWay, patience: holdPatience,
			kafkaCrowd: cfg.KafkaCrowd, waiting: places{most: int64(cfg.MaxWaiting)},
			unconfirmed: places{most: maxUnconfirmed},
		},
		pool: sync.Pool{New: newApplication}, logger: logger, warn: rate.Sometimes{Interval: 10 * time.Second},
	}
	s.directory = newDirectory(ctx, stores, &s.limits, logger)
	return s, nil
}

// Run reads the campaigns again and again, and looks at the gates whose refusals are given from memory, until the context
// ends.
func (s *Service) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { s.directory.run(ctx) })
	running.Go(func() { s.keeper.run(ctx) })
	running.Wait()
}

// RefusalBytes is the memory that holds winners, so that others are refused without asking Redis.
func (s *Service) RefusalBytes() int64 { return s.keeper.held.Load() }

// Longest is how long one application can take: its wait in line, the admission, Kafka and the first confirmation, the
// wait for a gate that does not confirm with the last questions to it, and what a slot given anew costs.
func (s *Service) Longest() time.Duration {
	first := s.admitTimeout + s.produceTimeout + s.admitTimeout
	honoured := 2*s.admitTimeout + honourWait + s.produceTimeout + s.admitTimeout
	return burstWait + first + confirmPatience + honoured
}

// Apply carries an application through steps 2 to 5. It returns once the answer is there; while the application waits in
// line, it can be taken back by ending the context.
func (s *Service) Apply(ctx context.Context, code string, user domain.UserID) Answer {
	known, err := s.directory.find(ctx, code)
	if err != nil {
		return Answer{Err: err}
	}
	given := s.apply(ctx, known, user)
	given.Campaign = known.Code
	return given
}

// apply has an application wait in the campaign's line unless it is refused from memory. It is taken from there with others
// (batch.go).
func (s *Service) apply(ctx context.Context, known *knownCampaign, user domain.UserID) Answer {
	crashpoint.Reach(crashpoint.APIFound)
	now := time.Now()
	if err := known.refusals.refuse(user, now); err != nil {
		return Answer{Err: err}
	}
	asked, _ := s.pool.Get().(*application)
	asked.ctx, asked.user, asked.since = ctx, user, now
	startWorker, err := known.line.join(asked)
	if err != nil {
		s.pool.Put(asked)
		holdBack(ctx, now)
		return Answer{Err: err}
	}
	if startWorker {
		go s.work(known)
	}
	<-asked.done
	given := s.withoutVolatile(asked.given)
	asked.ctx, asked.given = nil, Answer{}
	s.pool.Put(asked)
	if given.Err != nil {
		if errors.Is(given.Err, errOverloaded) {
			holdBack(ctx, now)
		}
		given.Err = withStart(given.Err, &known.Campaign)
	}
	return given
}

// withoutVolatile leaves out an answer that stands on a gate which a kill empties.
func (s *Service) withoutVolatile(given Answer) Answer {
	if s.volatileGate && given.Err == nil && given.Winner.Status == StatusReserved {
		return Answer{Err: errOnlyReserved}
	}
	return given
}

var errOnlyReserved = domain.Errorf(domain.CodeOutcomeUnknown, "Kafka did not acknowledge the record, and the gate is kept in memory alone")

// warnOf logs now and then: while a store is away every application fails in the same way.
func (s *Service) warnOf(message string, err error) {
	s.warn.Do(func() { s.logger.Warn(message, "error", err) })
}

// withStart tells who came too early when to come again.
func withStart(err error, campaign *domain.Campaign) error {
	coded, ok := errors.AsType[*domain.Error](err)
	if !ok || coded.Code != domain.CodeNotStarted || coded.RetryAfter > 0 {
		return err
	}
	timed := *coded
	timed.RetryAfter = time.Until(campaign.StartsAt)
	return &timed
}
