package sqlledger

import (
	"context"

	"gorm.io/gorm"

	"firstcome/domain"
)

// holdersPage is how many rows VisitHolders and the like hold in memory at a time.
const holdersPage = 1000

// VisitHolders calls visit for every coupon, and then for every unresolved fail event whose user has none, as of one
// moment: all pages are read in one transaction that sees nothing of what commits after its first query. It holds one
// page in memory. CallTimeout bounds each page, the context the whole. CodeUnknownCampaign.
func (l *Ledger) VisitHolders(ctx context.Context, campaign string, visit func(domain.Holder) error) error {
	var visited error
	err := l.count("visit_holders", func() error {
		return l.snapshot(ctx, func(tx *gorm.DB) error {
			row, err := findCampaign(tx, campaign)
			if err != nil {
				return err
			}
			walk := holderWalk{ledger: l, tx: tx, campaign: row, visit: func(holder domain.Holder) error {
				visited = visit(holder)
				return visited
			}}
			if err := walk.coupons(ctx); err != nil {
				return err
			}
			return walk.failEvents(ctx)
		})
	})
	if visited != nil {
		return visited
	}
	return err
}

// holderWalk is one run of VisitHolders.
type holderWalk struct {
	ledger   *Ledger
	tx       *gorm.DB
	campaign campaignRow
	visit    func(domain.Holder) error
}

func (w holderWalk) coupons(ctx context.Context) error {
	for after := int64(0); ; {
		var rows []couponRow
		err := w.page(ctx, func(tx *gorm.DB) error {
			return couponPage(tx, w.campaign.ID, after, holdersPage).
				Select("id", "user_id", "slot", "admitted_at").Find(&rows).Error
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			after = row.ID
			if err := w.visit(holderByCoupon(row)); err != nil {
				return err
			}
		}
		if len(rows) < holdersPage {
			return nil
		}
	}
}

func (w holderWalk) failEvents(ctx context.Context) error {
	for after := int64(0); ; {
		var rows []failEventRow
		err := w.page(ctx, func(tx *gorm.DB) error {
			return withoutRow(unresolvedOf(tx, w.campaign.Code), w.campaign.ID).
				Select("id", "user_id", "slot", "admitted_at").
				Where("id > ?", after).Order("id").Limit(holdersPage).Find(&rows).Error
		})
		if err != nil {
			return err
		}
		for _, row := range rows {
			after = row.ID
			if err := w.visit(holderByFailEvent(row)); err != nil {
				return err
			}
		}
		if len(rows) < holdersPage {
			return nil
		}
	}
}

func (w holderWalk) page(ctx context.Context, query func(tx *gorm.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, w.ledger.config.CallTimeout)
	defer cancel()
	return query(w.tx.WithContext(ctx))
}

func holderByCoupon(row couponRow) domain.Holder {
	return domain.Holder{
		UserID: domain.UserID(row.UserID), Slot: domain.Slot(row.Slot.Int64), AdmittedAt: row.AdmittedAt.UTC(),
	}
}

func holderByFailEvent(row failEventRow) domain.Holder {
	holder := domain.Holder{
		UserID: domain.UserID(row.UserID), Slot: domain.Slot(row.Slot), AdmittedAt: timeOf(row.AdmittedAt), ByFailEvent: true,
	}
	if holder.Slot < 1 {
		holder.Slot = domain.SlotOwed
	}
	return holder
}

// unresolvedOf selects a campaign's unresolved fail events that name a user.
func unresolvedOf(db *gorm.DB, campaign string) *gorm.DB {
	return db.Model(&failEventRow{}).Where("campaign_code = ? AND resolved_at IS NULL AND user_id > 0", campaign)
}

// withoutRow leaves those fail events whose user has no coupon, not even a revoked one.
func withoutRow(events *gorm.DB, campaignID int64) *gorm.DB {
	rows := events.Session(&gorm.Session{NewDB: true}).Model(&couponRow{}).Select("1").
		Where("coupon.campaign_id = ? AND coupon.user_id = fail_event.user_id", campaignID)
	return events.Where("NOT EXISTS (?)", rows)
}

// Count counts one campaign's rows as of one moment. The coupons are counted in the unique key of the slots, without
// reading a row: about 0.1 s for a million. CodeUnknownCampaign.
func (l *Ledger) Count(ctx context.Context, campaign string) (domain.LedgerCounts, error) {
	var counts domain.LedgerCounts
	err := l.observe(ctx, "count", func(ctx context.Context) error {
		return l.snapshot(ctx, func(tx *gorm.DB) error {
			row, err := findCampaign(tx, campaign)
			if err != nil {
				return err
			}
			coupons := func() *gorm.DB { return tx.Model(&couponRow{}).Where("campaign_id = ?", row.ID) }
			users := func() *gorm.DB { return withoutRow(unresolvedOf(tx, campaign), row.ID).Distinct("user_id") }
			for _, query := range []struct {
				rows  *gorm.DB
				count *int64
			}{
				{coupons().Where("slot IS NOT NULL"), &counts.Issued},
				{coupons().Where("slot IS NULL"), &counts.Revoked},
				{users(), &counts.Delayed},
				{users().Where("status = ?", domain.FailStatusDead), &counts.Dead},
			} {
				if err := query.rows.Count(query.count).Error; err != nil {
					return err
				}
			}
			return nil
		})
	})
	return counts, err
}
