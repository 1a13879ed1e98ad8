package api

import (
	"context"
	"log/slog"
	"slices"
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

// refusalKeeper looks at the gates whose refusals are given from memory. It looks at one at a time, so that Redis reads
// out the users of one campaign at a time too; whoever's lease runs out meanwhile is answered by the gate.
type refusalKeeper struct {
	gate   domain.GateReader
	lister domain.GateLister
	wanted chan *refusals
	logger *slog.Logger
	warn   rate.Sometimes
}

func newRefusalKeeper(ports Ports, logger *slog.Logger) *refusalKeeper {
	return &refusalKeeper{
		gate: ports.GateReader, lister: ports.GateLister, wanted: make(chan *refusals, maxRefusalsWanted),
		logger: logger, warn: rate.Sometimes{Interval: 10 * time.Second},
	}
}

// learn is told what the gate answered to a batch.
func (k *refusalKeeper) learn(r *refusals, decisions []domain.Decision, err error) {
	if err != nil || slices.ContainsFunc(decisions, func(d domain.Decision) bool { return d.New }) {
		r.drop()
		return
	}
	for i := range decisions {
		refusal, ok := decisions[i].Err.(*domain.Error) //nolint:errorlint // one that is wrapped is not the gate's own
		if ok && refusesEverybody(refusal.Code) {
			k.want(r, refusal)
			return
		}
	}
}

// refusesEverybody says whether a refusal meets all whom the gate doesn't know.
func refusesEverybody(code domain.Code) bool {
	switch code {
	case domain.CodeSoldOut, domain.CodeEnded, domain.CodePaused, domain.CodeNotStarted:
		return true
	}
	return false
}

// want has the gate looked at soon, if it isn't already.
func (k *refusalKeeper) want(r *refusals, refusal *domain.Error) {
	r.said.Store(refusal)
	r.wasAsked()
	if !r.kept.CompareAndSwap(false, true) {
		return
	}
	select {
	case k.wanted <- r:
	default:
		r.kept.Store(false)
	}
}

// run looks at what is wanted at once and then every refusalRenewal, as long as somebody asks and the gate refuses.
func (k *refusalKeeper) run(ctx context.Context) {
	ticker := time.NewTicker(refusalRenewal)
	defer ticker.Stop()
	var kept []*refusals
	for {
		select {
		case r := <-k.wanted:
			kept = append(kept, r)
			k.runOnce(ctx, r)
		case <-ticker.C:
			kept = slices.DeleteFunc(kept, func(r *refusals) bool { return !k.renew(ctx, r) })
		case <-ctx.Done():
			return
		}
	}
}

// renew says whether to go on.
func (k *refusalKeeper) renew(ctx context.Context, r *refusals) bool {
	goOn := r.asked.Swap(false)
	if goOn {
		k.runOnce(ctx, r)
	} else {
		r.kept.Store(false)
	}
	return goOn
}

// runOnce looks at a gate and renews the lease, or ends it. When the users have changed they are read, and the gate is
// looked at again: it must be the same before and after.
func (k *refusalKeeper) runOnce(ctx context.Context, r *refusals) {
	for range 2 {
		drops, sent := r.dropped(), time.Now()
		report, err := k.look(ctx, r.campaign)
		refusal := r.said.Load()
		if err != nil || refusalOf(&report) != refusal.Code {
			r.drop()
			return
		}
		if r.known.areThoseOf(&report) {
			r.grant(drops, newRefusalGrant(sent, &report, refusal, r.known))
			return
		}
		r.drop()
		if r.known, err = k.load(ctx, r.campaign, &report); err != nil {
			k.warn.Do(func() { k.logger.Warn("the winners can't be read; the gate refuses all", "error", err) })
			return
		}
	}
}

func (k *refusalKeeper) look(ctx context.Context, campaign string) (domain.GateReport, error) {
	ctx, cancel := context.WithTimeout(ctx, refusalLease)
	defer cancel()
	return k.gate.Inspect(ctx, campaign)
}

// load reads the users of a gate. Whether they are all that there are is for the next look to say.
func (k *refusalKeeper) load(ctx context.Context, campaign string, report *domain.GateReport) (knownUsers, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	users := make([]domain.UserID, 0, report.Winners+report.Revoked)
	err := k.lister.VisitWinners(ctx, campaign, func(winner domain.GateWinner) error {
		users = append(users, winner.UserID)
		return nil
	})
	if err != nil {
		return knownUsers{}, err
	}
	slices.Sort(users)
	return knownUsers{report.Epoch, slices.Compact(users)}, nil
}
