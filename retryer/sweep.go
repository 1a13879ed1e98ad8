package retryer

import (
	"context"
	"errors"
	"fmt"
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
	case campaign.WantedQuota != 0:
		return rebuild, fmt.Sprintf("the quota is to become %d", campaign.WantedQuota)
	case report.Quota > campaign.Quota:
		return rebuild, fmt.Sprintf("the gate's quota is %d, the ledger's %d", report.Quota, campaign.Quota)
	case !sameSettings(campaign, report):
		return applySettings, "the settings were changed"
	}
	return leaveAlone, ""
}

// sameSettings compares to the millisecond, which is what a gate keeps.
func sameSettings(campaign domain.Campaign, report domain.GateReport) bool {
	return campaign.Quota == report.Quota && campaign.State == report.State &&
		campaign.StartsAt.UnixMilli() == report.StartsAt.UnixMilli() &&
		campaign.EndsAt.UnixMilli() == report.EndsAt.UnixMilli()
}

// SweepOnce brings every gate in line with the ledger and returns when that is done, rebuilds included. One
// campaign's failure keeps no other from its turn; the error joins them all.
func (r *Retryer) SweepOnce(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(r.cfg.ConcurrentRebuilds)
	err := r.sweep(ctx, func(code, why string) {
		r.logger.Info("gate needs a rebuild", "campaign", code, "why", why)
		group.Go(func() error { return r.Rebuild(ctx, code) })
	})
	return errors.Join(err, group.Wait(), r.releaseRevoked(ctx))
}

// sweepInBackground is SweepOnce for the job: a long rebuild does not hold up the next sweep. A rebuild for which
// there is no room is started by a later one.
func (r *Retryer) sweepInBackground(ctx context.Context) error {
	err := r.sweep(ctx, func(code, why string) {
		if !r.slots.take(code) {
			return
		}
		r.logger.Info("gate needs a rebuild", "campaign", code, "why", why)
		go func() {
			defer r.slots.leave(code)
			defer r.logPanic("rebuild", code)
			if err := r.rebuildNow(ctx, code); err != nil && ctx.Err() == nil {
				r.logger.Error("rebuild failed; it is tried again", "campaign", code, "error", err)
			}
		}()
	})
	return errors.Join(err, r.releaseRevoked(ctx))
}

func (r *Retryer) logPanic(what, code string) {
	if panicked := recover(); panicked != nil {
		r.logger.Error(what+" panicked", "campaign", code, "panic", panicked)
	}
}

// startRebuild starts a rebuild of a campaign's gate, or leaves it to a later sweep.
type startRebuild func(code, why string)

func (r *Retryer) sweep(ctx context.Context, rebuild startRebuild) error {
	campaigns, err := r.ports.Campaigns.Campaigns(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, campaign := range campaigns {
		if err := r.sweepCampaign(ctx, campaign, rebuild); err != nil {
			failures = append(failures, fmt.Errorf("campaign %s: %w", campaign.Code, err))
		}
	}
	return errors.Join(failures...)
}

func (r *Retryer) sweepCampaign(ctx context.Context, campaign domain.Campaign, start startRebuild) error {
	report, err := r.ports.GateReader.Inspect(ctx, campaign.Code)
	if err != nil {
		return err
	}
	r.metrics.gate(campaign.Code, report)
	todo, why := decideSweep(campaign, report)
	if todo == applySettings {
		err := r.ports.Mender.ApplySettings(ctx, campaign)
		switch domain.CodeOf(err) {
		case "":
			crashpoint.Reach(crashpoint.SweepApplied)
		case domain.CodeConflict:
			todo, why = rebuild, err.Error()
		case domain.CodeEpochChanged:
			return nil // The row and the gate were read at two moments; the next sweep compares anew.
		default:
			return err
		}
	}
	if todo == rebuild {
		return r.checkedRebuild(ctx, campaign, why, start)
	}
	r.watch.open(campaign.Code, campaign.Epoch)
	return nil
}

// checkedRebuild starts a rebuild unless another process has begun one since the campaigns were read.
func (r *Retryer) checkedRebuild(
	ctx context.Context, campaign domain.Campaign, why string, start startRebuild,
) error {
	now, err := r.ports.Campaigns.Campaign(ctx, campaign.Code)
	if err != nil {
		return err
	}
	if !r.watch.mayRebuild(campaign.Code, now.Epoch, time.Now()) {
		return nil
	}
	if now.Epoch != campaign.Epoch {
		return nil // What was read is of two moments; the next sweep compares anew.
	}
	start(campaign.Code, why)
	return nil
}
