package sqlledger

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"firstcome/domain"
)

// whoseFault looks at an error that blames a row. A trigger that refuses everybody, or a column that nobody fills, says
// the same of every row, and each would become a fail event that ends dead. So one row that must be taken is tried,
// and undone: where that is refused as well, the row is not to blame. CodeUnavailable then.
func (l *Ledger) whoseFault(ctx context.Context, err error) error {
	if domain.CodeOf(err) != domain.CodeRowRefused || errors.Is(err, errImpossible) {
		return err
	}
	plain := l.observe(ctx, "plain_row", func(ctx context.Context) error { return l.undone(ctx, l.insertPlainRow) })
	switch domain.CodeOf(plain) {
	case "":
		return err
	case domain.CodeRowRefused:
		return domain.Wrap(domain.CodeUnavailable, err, messageEachRow)
	}
	return plain
}

// insertPlainRow inserts the coupon that was stored last once more, which is passed over as a redelivery is; where there
// is none, one of a user that nobody is.
func (l *Ledger) insertPlainRow(tx *gorm.DB) error {
	var last []couponRow
	if err := tx.Where("slot IS NOT NULL").Order("id DESC").Limit(1).Find(&last).Error; err != nil {
		return err
	}
	var campaign campaignRow
	if len(last) > 0 {
		campaign.ID = last[0].CampaignID
		return l.insertPlain(tx, campaign, freshCoupon{
			domain.UserID(last[0].UserID), domain.Slot(last[0].Slot.Int64), last[0].AdmittedAt,
		})
	}
	if err := tx.Order("id DESC").Limit(1).Take(&campaign).Error; err != nil {
		return err
	}
	return l.insertPlain(tx, campaign, freshCoupon{nobody, 1, storedTime(time.Unix(0, 0))})
}

// nobody is the highest prime user ID: no rule that picks some of the users by a remainder is likely to pick it.
const nobody domain.UserID = 1<<63 - 25

// insertPlain takes a conflict with a row that is there for a success.
func (l *Ledger) insertPlain(tx *gorm.DB, campaign campaignRow, row freshCoupon) error {
	err := l.insertCoupons(tx, campaign, []freshCoupon{row})
	if errors.Is(err, errConflict) {
		return nil
	}
	return err
}
