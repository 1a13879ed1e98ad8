package retryer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// action is what a campaign's gate needs.
type action int

const (
	leaveAlone action = iota
	applySettings
	lowerQuota
	rebuild
)

// decideSweep compares a gate with its campaign row and says what it needs, and why.
func decideSweep(campaign domain.Campaign, report domain.GateReport) (action, string) {
	switch {
	case campaign.Epoch == 0:
		return rebuild, "the gate was never opened"
	case report.Closed != "":
		return rebuild, "the gate is closed: " + report.Closed
	case report.Epoch != campaign.Epoch:
		return rebuild, fmt.Sprintf("the gate is at epoch %d, the ledger at %d", report.Epoch, campaign.Epoch)
	case report.SettingsVersion > campaign.SettingsVersion:
		return rebuild, "the gate has settings that the ledger does not know" // unless the row was read too early
	case report.SettingsVersion < campaign.SettingsVersion || !sameSettings(campaign, report):
		return applySettings, "the settings were changed"
	case campaign.WantedQuota != 0 && report.Holders() <= campaign.WantedQuota:
		return lowerQuota, fmt.Sprintf("the quota becomes %d", campaign.WantedQuota)
	}
	return leaveAlone, ""
}

// sameSettings compares to the millisecond, which is what a gate keeps.
func sameSettings(campaign domain.Campaign, report domain.GateReport) bool {
	return campaign.EffectiveQuota() == report.Quota && campaign.State == report.State &&
		campaign.StartsAt.UnixMilli() == report.StartsAt.UnixMilli() &&
		campaign.EndsAt.UnixMilli() == report.EndsAt.UnixMilli()
}

// SweepOnce brings every gate in line with the ledger and returns when that is done, rebuilds included. One
// campaign's failure keeps no other from its turn; the error joins them all.
func (r *Retryer) SweepOnce(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(r.cfg.ConcurrentRebuilds)
	campaigns, err := r.ports.Campaigns.Campaigns(ctx)
	if err != nil {
		return err
	}
	err = r.sweepThese(ctx, campaigns, func(campaign domain.Campaign, why string) {
		r.logger.Info("gate needs a rebuild", "campaign", campaign.Code, "why", why)
		group.Go(func() error { return r.Rebuild(ctx, campaign.Code) })
	})
	return errors.Join(err, group.Wait(), r.releaseRevoked(ctx, wholeTurn))
}

// sweepShare is how many gates that were in line at the last look are looked at in one sweep, and relayShare in one run
// of the relay: with 10,000 campaigns each in 10 s.
const sweepShare, relayShare = 500, 1000

// sweepInBackground is SweepOnce for the job: a long rebuild does not hold up the next sweep, and with many campaigns a
// sweep looks at a part of them (rounds). A rebuild for which there is no room waits for the end of another.
func (r *Retryer) sweepInBackground(ctx context.Context) error {
	select {
	case r.sweeping <- struct{}{}:
		defer func() { <-r.sweeping }()
	case <-ctx.Done():
		return ctx.Err()
	}
	campaigns, err := r.ports.Campaigns.Campaigns(ctx)
	if err != nil {
		return err
	}
	var found atomic.Bool
	start := func(campaign domain.Campaign, why string) {
		found.Store(true)
		r.startRebuild(ctx, campaign, why)
	}
	now, others := r.sweeps.begin(campaigns)
	err = r.sweepThese(ctx, now, start)
	if found.Load() {
		err = errors.Join(err, r.sweepThese(ctx, others, start))
	}
	return err
}

// newsPause is the shortest time between the end of a sweep that news began and the next one.
const newsPause = 100 * time.Millisecond

// sweepOnNews sweeps whenever the gate has news, until the context ends. A sweep that fails is not repeated here: the next
// one of the job comes soon.
func (r *Retryer) sweepOnNews(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.ports.News.News():
		}
		r.sweepForNews(ctx)
		if wait(ctx, newsPause) != nil {
			return
		}
	}
}

func (r *Retryer) sweepForNews(ctx context.Context) {
	defer r.logPanic("sweep", "")
	if err := r.sweepInBackground(ctx); err != nil && ctx.Err() == nil {
		r.logger.Debug("a sweep on news of the gate failed", "error", err)
	}
}

// startRebuild begins a rebuild if there is room, and else as soon as there is.
func (r *Retryer) startRebuild(ctx context.Context, campaign domain.Campaign, why string) {
	code := campaign.Code
	rebuild := func(how func(context.Context, string) error) {
		defer r.slots.leave(code)
		r.rebuildLogged(ctx, code, how)
	}
	if !r.slots.takeOrWait(code, isRunning(campaign, time.Now()), func() { rebuild(r.rebuildIfNeeded) }) {
		return
	}
	r.logger.Info("gate needs a rebuild", "campaign", code, "why", why)
	go rebuild(r.rebuildNow)
}

// isRunning says whether people can apply now, as far as this process's clock knows.
func isRunning(campaign domain.Campaign, now time.Time) bool {
	return campaign.State == domain.CampaignOpen && !now.Before(campaign.StartsAt) && now.Before(campaign.EndsAt)
}

func (r *Retryer) rebuildLogged(ctx context.Context, code string, rebuild func(context.Context, string) error) {
	defer r.logPanic("rebuild", code)
	if ctx.Err() != nil {
		return
	}
	if err := rebuild(ctx, code); err != nil && ctx.Err() == nil {
		r.logger.Error("rebuild failed; it is tried again", "campaign", code, "error", err)
	}
}

// rebuildIfNeeded looks at the gate anew: while the campaign waited, somebody else may have rebuilt it.
func (r *Retryer) rebuildIfNeeded(ctx context.Context, code string) error {
	campaign, err := r.ports.Campaigns.Campaign(ctx, code)
	if err != nil {
		return err
	}
	var rebuilt error
	err = r.sweepCampaign(ctx, campaign, func(_ domain.Campaign, why string) {
		r.logger.Info("gate needs a rebuild", "campaign", code, "why", why)
		rebuilt = r.rebuildNow(ctx, code)
	})
	return errors.Join(err, rebuilt)
}

func (r *Retryer) logPanic(what, code string) {
	if panicked := recover(); panicked != nil {
		r.logger.Error(what+" panicked", "campaign", code, "panic", panicked)
	}
}

// rebuildStarter starts a rebuild of a campaign's gate, or leaves it until later. Several may be called at a time.
type rebuildStarter func(campaign domain.Campaign, why string)

func (r *Retryer) sweepThese(ctx context.Context, campaigns []domain.Campaign, start rebuildStarter) error {
	return eachCampaign(ctx, campaigns, func(ctx context.Context, campaign domain.Campaign) error {
		if r.slots.isBusy(campaign.Code) {
			return nil
		}
		return r.sweepCampaign(ctx, campaign, start)
	})
}

func (r *Retryer) sweepCampaign(ctx context.Context, campaign domain.Campaign, start rebuildStarter) error {
	if r.ports.Epochs != nil {
		r.ports.Epochs.SawEpoch(campaign.Code, campaign.Epoch)
	}
	report, err := r.ports.GateReader.Inspect(ctx, campaign.Code)
	if err != nil {
		return err
	}
	r.metrics.gate(campaign.Code, report)
	todo, why := decideSweep(campaign, report)
	if todo == leaveAlone && report.Owed == 0 && campaign.WantedQuota == 0 {
		r.sweeps.settle(campaign)
	} else {
		r.sweeps.unsettle(campaign.Code)
	}
	if todo == rebuild {
		return r.checkedRebuild(ctx, campaign, why, start)
	}
	switch err := r.bringInLine(ctx, campaign, report, todo); domain.CodeOf(err) {
	case "":
	case domain.CodeEpochChanged, domain.CodeOvertaken:
		return nil // The row and the gate were read at two moments; the next sweep compares anew.
	default:
		return err
	}
	r.watch.open(campaign.Code, campaign.Epoch)
	return r.wakeWaiting(ctx, campaign.Code, report)
}

// bringInLine does what an open gate needs.
func (r *Retryer) bringInLine(ctx context.Context, campaign domain.Campaign, report domain.GateReport, todo action) error {
	switch todo {
	case applySettings:
		err := r.ports.Mender.ApplySettings(ctx, campaign)
		if err == nil {
			crashpoint.Reach(crashpoint.SweepApplied)
		}
		return err
	case lowerQuota:
		return r.lowerQuota(ctx, campaign, report)
	}
	return nil
}

// lowerQuota makes the wish for a lower quota the quota, as the holders fit. The gate gives slots by the wish already, so
// neither the holders nor the highest slot grow above it after the report. A crash before it leaves the wish, which the next
// sweep grants.
func (r *Retryer) lowerQuota(ctx context.Context, campaign domain.Campaign, report domain.GateReport) error {
	use := domain.SlotUse{Holders: report.Holders(), Highest: report.Count}
	lowered, err := r.ports.LedgerRebuild.LowerQuota(ctx, campaign, use)
	if err == nil {
		r.logger.Info("the quota was lowered, as the holders fit", "campaign", campaign.Code, "quota", lowered.Quota,
			"was", campaign.Quota, "highest_slot", report.Count)
	}
	return err
}

// checkedRebuild starts a rebuild unless another process has begun one since the campaigns were read.
func (r *Retryer) checkedRebuild(
	ctx context.Context, campaign domain.Campaign, why string, start rebuildStarter,
) error {
	now, err := r.ports.Campaigns.Campaign(ctx, campaign.Code)
	if err != nil {
		return err
	}
	if !r.watch.mayRebuild(campaign.Code, now.Epoch, time.Now()) {
		return nil
	}
	if now.Epoch != campaign.Epoch || now.SettingsVersion != campaign.SettingsVersion {
		return nil // What was read is of two moments; the next sweep compares anew.
	}
	start(campaign, why)
	return nil
}
