package sqlledger

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"firstcome/domain"
)

// Strengths of a locking read. SQLite ignores them: its writing transactions hold the whole database.
const (
	lockShared    = clause.LockingStrengthShare
	lockExclusive = clause.LockingStrengthUpdate
)

func errUnknownCampaign(code string) error {
	return domain.Errorf(domain.CodeUnknownCampaign, "there is no campaign %q", cutText(code, maxCampaignCodeBytes))
}

// Campaigns gives all campaigns, in the order of their IDs.
func (l *Ledger) Campaigns(ctx context.Context) ([]domain.Campaign, error) {
	var rows []campaignRow
	err := l.readToDecide(ctx, "campaigns", func(db *gorm.DB) error { return db.Order("id").Find(&rows).Error })
	if err != nil {
		return nil, err
	}
	campaigns := make([]domain.Campaign, len(rows))
	for i, row := range rows {
		campaigns[i] = row.campaign()
	}
	return campaigns, nil
}

// Campaign gives one. CodeUnknownCampaign.
func (l *Ledger) Campaign(ctx context.Context, code string) (domain.Campaign, error) {
	var row campaignRow
	err := l.readToDecide(ctx, "campaign", func(db *gorm.DB) (err error) {
		row, err = findCampaign(db, code)
		return err
	})
	return row.campaign(), err
}

// findCampaign reads a campaign's row. The code is checked first, because MySQL takes "a " for "a".
func findCampaign(db *gorm.DB, code string) (campaignRow, error) {
	var row campaignRow
	if domain.CheckCampaignCode(code) != nil {
		return row, errUnknownCampaign(code)
	}
	err := db.Where("code = ?", code).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, errUnknownCampaign(code)
	}
	return row, err
}

// lockCampaign is findCampaign under a lock that lasts until the end of the transaction.
func lockCampaign(tx *gorm.DB, code, strength string) (campaignRow, error) {
	return findCampaign(tx.Clauses(clause.Locking{Strength: strength}), code)
}

// CreateCampaign stores a campaign with epoch 0. One without a start starts now, to the millisecond, which is what the gate
// compares. CodeInvalidRequest, CodeConflict: the code is taken.
func (l *Ledger) CreateCampaign(ctx context.Context, campaign domain.Campaign, actor string) (domain.Campaign, error) {
	var stored domain.Campaign
	err := l.write(ctx, "create_campaign", func(tx *gorm.DB) error {
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		row, err := newCampaignRow(campaign, now)
		if err != nil {
			return err
		}
		created := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row)
		if created.Error != nil {
			return created.Error
		}
		if created.RowsAffected == 0 {
			return domain.Errorf(domain.CodeConflict, "the campaign code %q is taken", campaign.Code)
		}
		found, err := findCampaign(tx, campaign.Code)
		if err != nil {
			return err
		}
		stored = found.campaign()
		return l.recordAction(tx, action{actor, "create", "campaign " + campaign.Code, nil, campaignStateOf(stored)})
	})
	return stored, err
}

func newCampaignRow(campaign domain.Campaign, now time.Time) (campaignRow, error) {
	if campaign.StartsAt.IsZero() {
		campaign.StartsAt = now.Truncate(time.Millisecond)
	}
	campaign.StartsAt, campaign.EndsAt = storedTime(campaign.StartsAt), storedTime(campaign.EndsAt)
	if err := campaign.Check(); err != nil {
		return campaignRow{}, err
	}
	row := campaignRowOf(campaign)
	row.ID, row.Epoch, row.Fencing, row.WantedQuota, row.SlotLimit, row.SettingsVersion = 0, 0, 0, 0, 0, 1
	row.CreatedAt, row.UpdatedAt = now, now
	return row, nil
}

// ChangeCampaign applies a change as Campaign.Apply does. CodeUnknownCampaign, CodeInvalidRequest, CodeConflict.
func (l *Ledger) ChangeCampaign(
	ctx context.Context, code string, change domain.CampaignChange, actor string,
) (domain.Campaign, error) {
	change.StartsAt, change.EndsAt = storedTimePointer(change.StartsAt), storedTimePointer(change.EndsAt)
	var after domain.Campaign
	err := l.write(ctx, "change_campaign", func(tx *gorm.DB) error {
		row, err := lockCampaign(tx, code, lockExclusive)
		if err != nil {
			return err
		}
		before := row.campaign()
		if after, err = before.Apply(change); err != nil {
			return err
		}
		if after.UpdatedAt, err = l.now(tx); err != nil {
			return err
		}
		if err := saveCampaign(tx, after); err != nil {
			return err
		}
		return l.recordAction(tx, action{actor, "change", "campaign " + code, campaignStateOf(before), campaignStateOf(after)})
	})
	return after, err
}

// saveCampaign writes all columns of a locked row.
func saveCampaign(tx *gorm.DB, campaign domain.Campaign) error {
	row := campaignRowOf(campaign)
	return tx.Model(&campaignRow{ID: row.ID}).Select("*").Omit("id", "code", "created_at").Updates(&row).Error
}

func storedTimePointer(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	stored := storedTime(*t)
	return &stored
}

// BeginRebuild raises the campaign's epoch and fencing number. It waits for the transactions that hold the row shared,
// so once it returns, no row of an older epoch is stored any more. The epoch comes after the gate's too
// (domain.NextEpoch). CodeUnknownCampaign.
func (l *Ledger) BeginRebuild(ctx context.Context, code string, gateEpoch int64) (domain.Campaign, error) {
	var campaign domain.Campaign
	err := l.write(ctx, "begin_rebuild", func(tx *gorm.DB) error {
		row, err := lockCampaign(tx, code, lockExclusive)
		if err != nil {
			return err
		}
		campaign = row.campaign()
		campaign.Epoch = domain.NextEpoch(campaign.Epoch, gateEpoch)
		campaign.Fencing++
		if campaign.UpdatedAt, err = l.now(tx); err != nil {
			return err
		}
		return saveCampaign(tx, campaign)
	})
	return campaign, err
}

// FinishRebuild grants the wish for a lower quota where the use allows it. CodeOvertaken: a newer rebuild has begun, or an
// operator has changed the quota since this one began, and another rebuild must look at the new wish.
func (l *Ledger) FinishRebuild(
	ctx context.Context, campaign domain.Campaign, use domain.SlotUse,
) (domain.Campaign, error) {
	return l.lower(ctx, "finish_rebuild", campaign.Code, use, func(row campaignRow) error {
		if row.Fencing != campaign.Fencing {
			return domain.Errorf(domain.CodeOvertaken, "a newer rebuild of campaign %s has begun", campaign.Code)
		}
		if row.Quota != campaign.Quota || row.WantedQuota != campaign.WantedQuota {
			return domain.Errorf(domain.CodeOvertaken, "the quota of campaign %s was changed meanwhile", campaign.Code)
		}
		return nil
	})
}

// LowerQuota grants the wish for a lower quota without a rebuild. CodeOvertaken: the epoch or the settings were changed
// since the use was read.
func (l *Ledger) LowerQuota(ctx context.Context, campaign domain.Campaign, use domain.SlotUse) (domain.Campaign, error) {
	return l.lower(ctx, "lower_quota", campaign.Code, use, func(row campaignRow) error {
		if row.Epoch != campaign.Epoch || row.SettingsVersion != campaign.SettingsVersion {
			return domain.Errorf(domain.CodeOvertaken, "campaign %s was changed or rebuilt meanwhile", campaign.Code)
		}
		return nil
	})
}

// lower locks a campaign's row, and grants its wish for a lower quota unless check refuses.
func (l *Ledger) lower(
	ctx context.Context, name, code string, use domain.SlotUse, check func(campaignRow) error,
) (domain.Campaign, error) {
	var after domain.Campaign
	err := l.write(ctx, name, func(tx *gorm.DB) error {
		row, err := lockCampaign(tx, code, lockExclusive)
		if err != nil {
			return err
		}
		if err := check(row); err != nil {
			return err
		}
		before := row.campaign()
		after = before.Lowered(use)
		if after == before {
			return nil
		}
		if after.UpdatedAt, err = l.now(tx); err != nil {
			return err
		}
		return saveCampaign(tx, after)
	})
	return after, err
}
