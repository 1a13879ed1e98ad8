package admission

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"firstcome/domain"
)

const (
	// maxRefusalsWanted bounds the campaigns that wait for their first look; further ones are asked for again.
	maxRefusalsWanted = 64
	// loadTimeout bounds the reading of all users of one campaign.
	loadTimeout = 30 * time.Second
)

// refusalKeeper looks at the gates whose refusals are given from memory, one after the other, those that are asked for
// most first; where a lease runs out meanwhile, the gate answers. It reads the users of one at a time, beside
// that.
type refusalKeeper struct {
	gate   domain.GateReader
	lister domain.GateLister
	// demand and memory are Config's RefusalDemand and RefusalMemoryBytes.
	demand, memory int64
	wanted         chan *refusals
	logger         *slog.Logger
	warn           rate.Sometimes
	// held counts the bytes of all users that are held or being read.
	held atomic.Int64

	// What follows is used by run alone.
	kept    []*refusals
	loading *refusals
	loaded  chan loadedUsers
	// nextLoad is when the next reading may begin.
	nextLoad time.Time
}

// loadedUsers is the outcome of one reading.
type loadedUsers struct {
	of    *refusals
	known knownUsers
	took  time.Duration
	err   error
}

func newRefusalKeeper(cfg Config, stores Stores, logger *slog.Logger) *refusalKeeper {
	return &refusalKeeper{
		gate: stores.GateReader, lister: stores.GateLister, demand: int64(cfg.RefusalDemand), memory: cfg.RefusalMemoryBytes,
		wanted: make(chan *refusals, maxRefusalsWanted), loaded: make(chan loadedUsers, 1),
		logger: logger, warn: rate.Sometimes{Interval: 10 * time.Second},
	}
}

// learn is told what the gate answered to a batch.
func (k *refusalKeeper) learn(r *refusals, decisions []domain.Decision, err error) {
	if err != nil || slices.ContainsFunc(decisions, func(d domain.Decision) bool { return d.New }) {
		r.drop()
		return
	}
	var said *domain.Error
	refused := int64(0)
	for i := range decisions {
		refusal, ok := decisions[i].Err.(*domain.Error) //nolint:errorlint // one that is wrapped is not the gate's own
		if ok && refusesEverybody(refusal.Code) {
			said = refusal
			refused++
		}
	}
	if said != nil {
		k.want(r, said, refused)
	}
}

// refusesEverybody says whether a refusal meets all that the gate doesn't know.
func refusesEverybody(code domain.Code) bool {
	switch code {
	case domain.CodeSoldOut, domain.CodeEnded, domain.CodePaused, domain.CodeNotStarted:
		return true
	}
	return false
}

// want has the gate looked at soon if it has refused enough, and isn't looked at already.
func (k *refusalKeeper) want(r *refusals, refusal *domain.Error, refused int64) {
	r.said.Store(refusal)
	if !r.demanded(refused, time.Now(), k.demand) || !r.kept.CompareAndSwap(false, true) {
		return
	}
	select {
	case k.wanted <- r:
	default:
		r.kept.Store(false)
	}
}

// run looks at what is wanted at once and then every refusalRenewal, as long as somebody asks and the gate refuses. It
// ends with the context, once no reading is under way any more.
func (k *refusalKeeper) run(ctx context.Context) {
	ticker := time.NewTicker(refusalRenewal)
	defer ticker.Stop()
	for {
		select {
		case r := <-k.wanted:
			if k.keep(r) {
				k.runOnce(ctx, r)
			}
		case done := <-k.loaded:
			k.take(ctx, done)
		case <-ticker.C:
			k.renewAll(ctx)
		case <-ctx.Done():
			if k.loading != nil {
				<-k.loaded
			}
			return
		}
	}
}

// keep takes a campaign in, in place of the one that is used the least if there are too many. It is false when all
// others are wanted as much.
func (k *refusalKeeper) keep(r *refusals) bool {
	r.interest = interest{usedAt: time.Now()}
	if len(k.kept) >= maxKept {
		least := slices.MinFunc(k.kept, leastWantedFirst)
		if least == k.loading || least.wanted() >= r.wanted() {
			r.kept.Store(false)
			return false
		}
		k.forget(least)
		k.kept = slices.DeleteFunc(k.kept, func(other *refusals) bool { return other == least })
	}
	k.kept = append(k.kept, r)
	return true
}

// forget lets go of all that is held of a campaign, until it is wanted again.
func (k *refusalKeeper) forget(r *refusals) {
	k.unload(r)
	r.kept.Store(false)
}

func (k *refusalKeeper) unload(r *refusals) {
	r.drop()
	k.held.Add(-r.bytes)
	r.known, r.bytes = knownUsers{}, 0
}

// renewAll counts the uses, forgets who is idle, and looks at the gates that somebody asked for since the last time. It
// ends when the next renewal is due: for those not looked at by then, the gate answers.
func (k *refusalKeeper) renewAll(ctx context.Context) {
	now := time.Now()
	k.kept = slices.DeleteFunc(k.kept, func(r *refusals) bool {
		r.measure(r.uses.Swap(0), now)
		gone := r.idle(now) && r != k.loading
		if gone {
			k.forget(r)
		}
		return gone
	})
	slices.SortStableFunc(k.kept, func(a, b *refusals) int { return leastWantedFirst(b, a) })
	for _, r := range k.kept {
		if r.fresh {
			k.runOnce(ctx, r)
		}
		if time.Since(now) >= refusalRenewal {
			return
		}
	}
}

// runOnce looks at a gate and renews the lease, or ends it. When the users have changed they are read if that pays.
func (k *refusalKeeper) runOnce(ctx context.Context, r *refusals) {
	if report := k.renew(ctx, r); report != nil {
		k.load(ctx, r, report)
	}
}

// renew looks at a gate and renews the lease, or ends it. It gives what the gate reports if only the users were lacking.
func (k *refusalKeeper) renew(ctx context.Context, r *refusals) *domain.GateReport {
	drops, sent := r.dropped(), time.Now()
	report, err := k.look(ctx, r.campaign)
	refusal := r.said.Load()
	if err != nil || r.epoch.isAfter(report.Epoch) || refusalOf(&report) != refusal.Code {
		r.drop()
		return nil
	}
	if r.known.areThoseOf(&report) {
		r.grant(drops, newRefusalGrant(sent, &report, refusal, r.known))
		return nil
	}
	r.drop()
	return &report
}

func (k *refusalKeeper) look(ctx context.Context, campaign string) (domain.GateReport, error) {
	ctx, cancel := context.WithTimeout(ctx, refusalLease)
	defer cancel()
	return k.gate.Inspect(ctx, campaign)
}

// load begins to read the users of a campaign, if that may be now.
func (k *refusalKeeper) load(ctx context.Context, r *refusals, report *domain.GateReport) {
	if r != k.loading {
		k.unload(r) // what is held is out of date
	}
	users := usersToHold(report)
	if k.loading != nil || time.Now().Before(k.nextLoad) || !loadPays(r.wanted(), k.demand, report.Winners+report.Revoked) {
		return
	}
	leaving, ok := roomFor(r, bytesOf(users), k.memory-k.held.Load(), k.kept)
	if !ok {
		return
	}
	for _, other := range leaving {
		k.unload(other)
	}
	r.bytes = bytesOf(users)
	k.held.Add(r.bytes)
	k.loading = r
	epoch := report.Epoch
	go func() {
		began := time.Now()
		known, err := k.read(ctx, r.campaign, users)
		k.loaded <- loadedUsers{r, knownUsers{epoch, known}, time.Since(began), err}
	}()
}

// take takes in what was read. The gate must be the same as before; if it has changed, the users are read again no sooner
// than with the next renewal.
func (k *refusalKeeper) take(ctx context.Context, done loadedUsers) {
	k.loading, k.nextLoad = nil, time.Now().Add(loadRest*done.took)
	if done.err != nil {
		k.unload(done.of)
		k.warn.Do(func() { k.logger.Warn("the winners can't be read; the gate refuses all", "error", done.err) })
		return
	}
	done.of.known = done.known
	k.renew(ctx, done.of)
}

var errUsersGrew = errors.New("there are more users than the gate said")

// read reads the users of a gate, at most as many as there is room for. Whether they are all that there are is for the
// next look to say.
func (k *refusalKeeper) read(ctx context.Context, campaign string, room int64) ([]domain.UserID, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	users := make([]domain.UserID, 0, room)
	err := k.lister.VisitWinners(ctx, campaign, func(winner domain.GateWinner) error {
		if len(users) == cap(users) {
			slices.Sort(users)
			if users = slices.Compact(users); len(users) == cap(users) {
				return errUsersGrew
			}
		}
		users = append(users, winner.UserID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}
