package sqlledger

import (
	"context"

	"gorm.io/gorm"

	"firstcome/domain"
)

// WakeFailEvents makes up to limit FAIL events of the campaign due now that wait for a slot, in the order of their users'
// admission, and says how many. The condition is repeated at the update: who claimed one meanwhile goes on with it.
func (l *Ledger) WakeFailEvents(ctx context.Context, campaign string, limit int) (int, error) {
	if err := checkPage(limit, 0); err != nil {
		return 0, err
	}
	woken := 0
	err := l.write(ctx, "wake_fail_events", func(tx *gorm.DB) error {
		woken = 0
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		waiting := func() *gorm.DB {
			return tx.Model(&failEventRow{}).Where("campaign_code = ? AND status = ? AND reason = ? AND next_attempt_at > ?",
				campaign, domain.FailStatusFail, domain.ReasonNoSlotLeft, now)
		}
		var ids []int64
		err = waiting().Order("admitted_at, id").Limit(limit).Pluck("id", &ids).Error
		if err != nil || len(ids) == 0 {
			return err
		}
		updated := waiting().Where("id IN ?", ids).Updates(map[string]any{"next_attempt_at": now, "updated_at": now})
		woken = int(updated.RowsAffected)
		return updated.Error
	})
	return woken, err
}
