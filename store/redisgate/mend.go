package redisgate

import (
	"context"
	"time"

	"firstcome/domain"
)

// Dispute implements domain.GateMender.
func (g *Gate) Dispute(ctx context.Context, winner domain.Winner) error {
	answer, err := g.ask(ctx, disputeScript, winner.Campaign, winner.Epoch, int64(winner.UserID), int64(winner.Slot))
	if err == nil && answer.number(1) == 1 {
		g.logger.Error("the ledger contradicts the gate, which is closed until it is rebuilt",
			"campaign", winner.Campaign, "user_id", winner.UserID.String(), "slot", int64(winner.Slot), "epoch", winner.Epoch)
	}
	return err
}

// ApplySettings implements domain.GateMender.
func (g *Gate) ApplySettings(ctx context.Context, campaign domain.Campaign) error {
	answer, err := g.askOpen(ctx, settingsScript, campaign.Code,
		campaign.Epoch, campaign.EffectiveQuota(), milliseconds(campaign.StartsAt), milliseconds(campaign.EndsAt),
		string(campaign.State), campaign.SettingsVersion)
	if err != nil {
		return err
	}
	switch answer.text(0) {
	case "EPOCH":
		return errEpochChanged
	case "OLD":
		return domain.Errorf(domain.CodeOvertaken, "the gate of campaign %s has newer settings", campaign.Code)
	}
	return nil
}

// Release implements domain.GateMender.
func (g *Gate) Release(ctx context.Context, campaign string, user domain.UserID, slot domain.Slot) (int64, error) {
	answer, err := g.askOpen(ctx, releaseScript, campaign, int64(user), int64(slot))
	if err != nil {
		return 0, err
	}
	return answer.number(1), nil
}

// milliseconds are since 1970, never negative: the scripts read digits only.
func milliseconds(at time.Time) int64 { return max(at.UnixMilli(), 0) }
