package sqlledger

import (
	"context"
	"database/sql"
	"errors"

	"gorm.io/gorm"

	"firstcome/domain"
)

// UnreleasedCoupons gives up to limit revoked coupons whose slot was not yet released, oldest first, those of some
// campaigns left out.
func (l *Ledger) UnreleasedCoupons(ctx context.Context, limit int, except ...string) ([]domain.Coupon, error) {
	if err := checkPage(limit, 0); err != nil {
		return nil, err
	}
	var rows []couponRow
	var campaigns []campaignRow
	err := l.readToDecide(ctx, "unreleased_coupons", func(db *gorm.DB) error {
		unreleased := db.Where("released_at IS NULL AND revoked_at IS NOT NULL")
		if len(except) > 0 {
			unreleased = unreleased.Where("campaign_id NOT IN (?)", db.Model(&campaignRow{}).Select("id").Where("code IN ?", except))
		}
		err := unreleased.Order("revoked_at, id").Limit(limit).Find(&rows).Error
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

// RevokeCoupon moves the coupon's slot to RevokedSlot, in one short transaction. The sweep finds the row and has the gate
// mark the user and free the slot; a crash before that leaves the row for it. CodeNotFound, CodeConflict: it is revoked
// already. CodeInvalidRequest: the reason. CodeUnknownCampaign.
func (l *Ledger) RevokeCoupon(
	ctx context.Context, campaign string, user domain.UserID, reason, actor string,
) (domain.Coupon, error) {
	if err := domain.CheckDiscardReason(reason); err != nil {
		return domain.Coupon{}, err
	}
	var after domain.Coupon
	err := l.write(ctx, "revoke_coupon", func(tx *gorm.DB) error {
		of, err := findCampaign(tx, campaign)
		if err != nil {
			return err
		}
		row, err := lockCoupon(tx, of.ID, user)
		if err != nil {
			return err
		}
		if row.RevokedAt.Valid {
			return domain.Errorf(domain.CodeConflict, "the coupon of user %s is revoked already", user)
		}
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		before := row.coupon(campaign)
		row.RevokedAt, row.RevokedSlot, row.Slot = sql.NullTime{Time: now, Valid: true}, row.Slot, sql.NullInt64{}
		err = tx.Model(&couponRow{}).Where("id = ?", row.ID).
			Updates(map[string]any{"slot": nil, "revoked_slot": row.RevokedSlot, "revoked_at": row.RevokedAt}).Error
		if err != nil {
			return err
		}
		after = row.coupon(campaign)
		return l.recordAction(tx, action{
			actor, "revoke", "coupon of user " + user.String() + " in " + campaign,
			map[string]any{"slot": before.Slot}, map[string]any{"revoked_slot": after.RevokedSlot, "reason": reason},
		})
	})
	return after, err
}

func lockCoupon(tx *gorm.DB, campaignID int64, user domain.UserID) (couponRow, error) {
	var row couponRow
	err := tx.Clauses(lockingForUpdate).Where("campaign_id = ? AND user_id = ?", campaignID, int64(user)).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, domain.Errorf(domain.CodeNotFound, "user %s has no coupon", user)
	}
	return row, err
}

// MarkReleased notes that the gate of this epoch was told. Doing it twice is harmless, and so is an unknown campaign or user.
// CodeOvertaken: the campaign has another epoch. No lock is needed: should the epoch be raised after it was read here, the
// rebuild reads the coupons later still, and finds this one revoked.
func (l *Ledger) MarkReleased(ctx context.Context, campaign string, user domain.UserID, epoch int64) error {
	return l.write(ctx, "mark_released", func(tx *gorm.DB) error {
		row, err := findCampaign(tx, campaign)
		if domain.CodeOf(err) == domain.CodeUnknownCampaign {
			return nil
		}
		if err != nil {
			return err
		}
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		if row.Epoch != epoch {
			return domain.Errorf(domain.CodeOvertaken, "the gate of campaign %s was rebuilt meanwhile", campaign)
		}
		return tx.Model(&couponRow{}).
			Where("campaign_id = ? AND user_id = ?", row.ID, int64(user)).
			Where("revoked_at IS NOT NULL AND released_at IS NULL").
			Update("released_at", now).Error
	})
}
