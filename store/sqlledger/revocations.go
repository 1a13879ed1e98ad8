package sqlledger

import (
	"context"

	"gorm.io/gorm"

	"firstcome/domain"
)

// UnreleasedCoupons gives up to limit revoked coupons whose slot was not yet released, oldest first.
func (l *Ledger) UnreleasedCoupons(ctx context.Context, limit int) ([]domain.Coupon, error) {
	if err := checkPage(limit, 0); err != nil {
		return nil, err
	}
	var rows []couponRow
	var campaigns []campaignRow
	err := l.read(ctx, "unreleased_coupons", func(db *gorm.DB) error {
		err := db.Where("released_at IS NULL AND revoked_at IS NOT NULL").Order("revoked_at, id").Limit(limit).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		ids := make([]int64, len(rows))
		for i, row := range rows {
			ids[i] = row.CampaignID
		}
		return db.Where("id IN ?", ids).Find(&campaigns).Error
	})
	if err != nil {
		return nil, err
	}
	codes := map[int64]string{}
	for _, campaign := range campaigns {
		codes[campaign.ID] = campaign.Code
	}
	coupons := make([]domain.Coupon, len(rows))
	for i, row := range rows {
		coupons[i] = row.coupon(codes[row.CampaignID])
	}
	return coupons, nil
}

// MarkReleased notes that the gate was told. Doing it twice is harmless, and so is an unknown campaign or user.
func (l *Ledger) MarkReleased(ctx context.Context, campaign string, user domain.UserID) error {
	return l.write(ctx, "mark_released", func(tx *gorm.DB) error {
		row, err := findCampaign(tx, campaign)
		if domain.CodeOf(err) == domain.CodeUnknownCampaign {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.Model(&couponRow{}).
			Where("campaign_id = ? AND user_id = ?", row.ID, int64(user)).
			Where("revoked_at IS NOT NULL AND released_at IS NULL").
			Update("released_at", l.now()).Error
	})
}
