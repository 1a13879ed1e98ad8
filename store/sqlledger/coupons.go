package sqlledger

import (
	"context"
	"errors"
	"slices"

	"gorm.io/gorm"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// StoreCoupons stores winners of one campaign, at most domain.MaxPage of them, in one short transaction:
//
//  1. Read the campaign's row under a shared lock: until the commit no rebuild can raise its epoch.
//  2. Insert all rows by one statement, which passes over those that conflict with a row that is there.
//  3. Commit, if all were new: the usual case. Else undo it, and in a new transaction read first which of the users and
//     slots have rows, decide on each winner, and insert the rest. If another writer comes between even so, the third
//     transaction locks the campaign's row for itself, and so no other writer is under way.
//
// A crash before the commit leaves nothing behind. CodeRowRefused: the database refuses at least one of the rows, and
// none is stored, while it takes others. CodeInvalidRequest: there are too many.
func (l *Ledger) StoreCoupons(
	ctx context.Context, campaign string, winners []domain.Winner,
) ([]domain.StoreResult, error) {
	if len(winners) > domain.MaxPage {
		return nil, domain.Invalid("winners", "at most %d coupons can be stored at once", domain.MaxPage)
	}
	if len(winners) == 0 {
		return nil, nil
	}
	var results []domain.StoreResult
	care := caution(0)
	err := l.write(ctx, "store_coupons", func(tx *gorm.DB) error {
		row, exists, err := holdCampaign(tx, campaign, care.lock())
		if err != nil {
			return err
		}
		if !exists {
			results = slices.Repeat([]domain.StoreResult{{Outcome: domain.UnknownCampaign}}, len(winners))
			return nil
		}
		results, err = l.storeRows(tx, row, winners, care)
		care++
		if err == nil {
			crashpoint.Reach(crashpoint.LedgerInserted)
		}
		return err
	})
	if err != nil {
		return nil, l.whoseFault(ctx, err)
	}
	return results, nil
}

// caution counts how often the same winners were tried: the more often, the more care is taken.
type caution int

// lookFirst says whether the rows that are there are read before others are inserted.
func (c caution) lookFirst() bool { return c > 0 }

// lock says how the campaign's row is locked.
func (c caution) lock() string {
	if c > 1 {
		return lockExclusive
	}
	return lockShared
}

// holdCampaign keeps the campaign's epoch and quota as they are until the end of the transaction.
func holdCampaign(tx *gorm.DB, code, strength string) (campaign campaignRow, exists bool, err error) {
	campaign, err = lockCampaign(tx, code, strength)
	if domain.CodeOf(err) == domain.CodeUnknownCampaign {
		return campaign, false, nil
	}
	return campaign, err == nil, err
}

// storeRows decides on the winners and inserts their rows. Without looking first it assumes that no winner has a row,
// and gives errConflict when that proves wrong.
func (l *Ledger) storeRows(
	tx *gorm.DB, campaign campaignRow, winners []domain.Winner, care caution,
) ([]domain.StoreResult, error) {
	known := newKnownRows(len(winners))
	if care.lookFirst() {
		if err := readKnown(tx, campaign, winners, known); err != nil {
			return nil, err
		}
	}
	results := settle(campaign, winners, known)
	rows := freshCoupons(winners, results)
	if !care.lookFirst() && len(rows) < len(winners) {
		return nil, errConflict
	}
	return results, l.insertCoupons(tx, campaign, rows)
}

// readKnown reads the rows of these users and of these slots.
func readKnown(tx *gorm.DB, campaign campaignRow, winners []domain.Winner, known knownRows) error {
	users, slots := make([]int64, len(winners)), make([]int64, len(winners))
	for i, winner := range winners {
		users[i], slots[i] = int64(winner.UserID), int64(winner.Slot)
	}
	for column, values := range map[string][]int64{"user_id": users, "slot": slots} {
		var rows []couponRow
		err := tx.Select("user_id", "slot").Where("campaign_id = ?", campaign.ID).
			Where(map[string]any{column: values}).Find(&rows).Error
		if err != nil {
			return err
		}
		for _, row := range rows {
			known.add(domain.UserID(row.UserID), domain.Slot(row.Slot.Int64))
		}
	}
	return nil
}

// FindCoupon gives a user's coupon, a revoked one too. CodeNotFound.
func (l *Ledger) FindCoupon(ctx context.Context, campaign string, user domain.UserID) (domain.Coupon, error) {
	var row couponRow
	err := l.read(ctx, "find_coupon", func(db *gorm.DB) error {
		of, err := findCampaign(db, campaign)
		if err == nil {
			err = db.Where("campaign_id = ? AND user_id = ?", of.ID, int64(user)).Take(&row).Error
		}
		if errors.Is(err, gorm.ErrRecordNotFound) || domain.CodeOf(err) == domain.CodeUnknownCampaign {
			return domain.Errorf(domain.CodeNotFound, "user %s has no coupon", user)
		}
		return err
	})
	if err != nil {
		return domain.Coupon{}, err
	}
	return row.coupon(campaign), nil
}

// HasUnresolvedFailEvent says whether a record of the user waits to be stored.
func (l *Ledger) HasUnresolvedFailEvent(ctx context.Context, campaign string, user domain.UserID) (bool, error) {
	var found []int64
	err := l.read(ctx, "has_fail_event", func(db *gorm.DB) error {
		return unresolvedOf(db, campaign).Where("user_id = ?", int64(user)).Limit(1).Pluck("id", &found).Error
	})
	return len(found) > 0, err
}

// Coupons lists coupons in the order they were stored. CodeUnknownCampaign. CodeInvalidRequest: the limit or the cursor.
func (l *Ledger) Coupons(
	ctx context.Context, campaign string, after int64, limit int,
) ([]domain.Coupon, int64, error) {
	if err := checkPage(limit, after); err != nil {
		return nil, 0, err
	}
	var rows []couponRow
	err := l.read(ctx, "coupons", func(db *gorm.DB) error {
		of, err := findCampaign(db, campaign)
		if err != nil {
			return err
		}
		return db.Table(l.backend.byIndex("coupon", "coupon_stored")).
			Where("campaign_id = ? AND id > ?", of.ID, after).Order("id").Limit(limit + 1).Find(&rows).Error
	})
	if err != nil {
		return nil, 0, err
	}
	next := int64(0)
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	coupons := make([]domain.Coupon, len(rows))
	for i, row := range rows {
		coupons[i] = row.coupon(campaign)
	}
	return coupons, next, nil
}

// CouponBySlot gives the coupon that holds a slot. CodeNotFound. CodeUnknownCampaign.
func (l *Ledger) CouponBySlot(ctx context.Context, campaign string, slot domain.Slot) (domain.Coupon, error) {
	var row couponRow
	err := l.read(ctx, "coupon_by_slot", func(db *gorm.DB) error {
		of, err := findCampaign(db, campaign)
		if err != nil {
			return err
		}
		err = db.Where("campaign_id = ? AND slot = ?", of.ID, int64(slot)).Take(&row).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			return domain.Errorf(domain.CodeNotFound, "no coupon holds slot %d", slot)
		}
		return err
	})
	if err != nil {
		return domain.Coupon{}, err
	}
	return row.coupon(campaign), nil
}

// CouponsOfUser gives a user's coupons in all campaigns, newest campaign first. The campaigns' IDs are named, because
// the index on users begins with them.
func (l *Ledger) CouponsOfUser(ctx context.Context, user domain.UserID) ([]domain.Coupon, error) {
	var rows []couponRow
	codes := map[int64]string{}
	err := l.read(ctx, "coupons_of_user", func(db *gorm.DB) error {
		var campaigns []campaignRow
		if err := db.Select("id", "code").Find(&campaigns).Error; err != nil || len(campaigns) == 0 {
			return err
		}
		ids := make([]int64, len(campaigns))
		for i, campaign := range campaigns {
			ids[i], codes[campaign.ID] = campaign.ID, campaign.Code
		}
		return db.Where("campaign_id IN ? AND user_id = ?", ids, int64(user)).
			Order("campaign_id DESC").Limit(domain.MaxPage).Find(&rows).Error
	})
	coupons := make([]domain.Coupon, len(rows))
	for i, row := range rows {
		coupons[i] = row.coupon(codes[row.CampaignID])
	}
	return coupons, err
}

func checkPage(limit int, cursor int64) error {
	if limit < 1 || limit > domain.MaxPage {
		return domain.Invalid("limit", "limit must be 1 to %d", domain.MaxPage)
	}
	if cursor < 0 {
		return domain.Invalid("cursor", "the cursor must not be negative")
	}
	return nil
}
