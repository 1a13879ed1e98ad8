package sqlledger

import (
	"context"
	"database/sql"
	"math"

	"gorm.io/gorm"

	"firstcome/domain"
)

// holdersPage is how many rows VisitHolders holds in memory at a time.
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

// coupons walks in steps of so many slots: slots are dense, and a range with two ends is the one thing that no
// optimizer reads by another key. What lies between is passed over, so a slot that somebody wrote by hand, however
// wrong, costs one step. Who was revoked has no slot, and comes after.
func (w holderWalk) coupons(ctx context.Context) error {
	after := int64(math.MinInt64)
	for {
		var first sql.NullInt64
		err := w.page(ctx, func(tx *gorm.DB) error {
			return w.ofCampaign(tx.Model(&couponRow{})).Where("slot > ?", after).Select("MIN(slot)").Scan(&first).Error
		})
		if err != nil {
			return err
		}
		if !first.Valid {
			return w.revokedCoupons(ctx)
		}
		after = math.MaxInt64 // the page's last slot, below what would run over
		if first.Int64 <= math.MaxInt64-int64(w.ledger.pageSize) {
			after = first.Int64 + int64(w.ledger.pageSize) - 1
		}
		_, err = w.couponPage(ctx, func(tx *gorm.DB) *gorm.DB {
			return w.ofCampaign(tx).Where("slot BETWEEN ? AND ?", first.Int64, after).Order("slot")
		})
		if err != nil {
			return err
		}
	}
}

// revokedCoupons names the index to walk by; where somebody has dropped it, which an audit must survive to tell what
// came of that, it leaves the choice to the optimizer.
func (w holderWalk) revokedCoupons(ctx context.Context) error {
	table := w.ledger.backend.byIndex("coupon", "coupon_slot")
	for after := int64(0); ; {
		rows, err := w.couponPage(ctx, func(tx *gorm.DB) *gorm.DB {
			return w.ofCampaign(tx.Table(table)).
				Where("slot IS NULL AND id > ?", after).Order("id").Limit(w.ledger.pageSize)
		})
		if isMissingIndex(err) && table != "coupon" {
			table = "coupon"
			continue
		}
		if err != nil || len(rows) < w.ledger.pageSize {
			return err
		}
		after = rows[len(rows)-1].ID
	}
}

func (w holderWalk) ofCampaign(db *gorm.DB) *gorm.DB {
	return db.Where("campaign_id = ?", w.campaign.ID)
}

// couponPage reads and visits one page of coupons.
func (w holderWalk) couponPage(ctx context.Context, wanted func(tx *gorm.DB) *gorm.DB) ([]couponRow, error) {
	var rows []couponRow
	err := w.page(ctx, func(tx *gorm.DB) error {
		return wanted(tx).Select("id", "user_id", "slot", "admitted_at").Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if err := w.visit(holderByCoupon(row)); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (w holderWalk) failEvents(ctx context.Context) error {
	for after := int64(0); ; {
		var rows []failEventRow
		err := w.page(ctx, func(tx *gorm.DB) error {
			events := tx.Table(w.ledger.backend.byIndex("fail_event", "fail_event_unresolved"))
			return withoutRow(unresolvedOf(events, w.campaign.Code), w.campaign.ID).
				Select("id", "user_id", "slot", "admitted_at").
				Where("id > ?", after).Order("id").Limit(w.ledger.pageSize).Find(&rows).Error
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
		if len(rows) < w.ledger.pageSize {
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

// Count counts one campaign's rows as of one moment. Coupons are counted in an index, without reading a row, which
// takes some tenths of a second for a million: all of them and those without a slot, because MySQL 8.0 counts those
// with a slot by reading every row. CodeUnknownCampaign.
func (l *Ledger) Count(ctx context.Context, campaign string) (domain.LedgerCounts, error) {
	var all int64
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
				{coupons(), &all},
				{coupons().Where("slot IS NULL"), &counts.Revoked},
				{users(), &counts.Delayed},
				{users().Where("status = ?", domain.FailStatusDead), &counts.Dead},
			} {
				if err := query.rows.Count(query.count).Error; err != nil {
					return err
				}
			}
			counts.Issued = all - counts.Revoked
			return nil
		})
	})
	return counts, err
}
