package sqlledger

import (
	"context"
	"math"

	"gorm.io/gorm"

	"firstcome/domain"
)

// holdersPage is how many rows VisitHolders holds in memory at a time.
const holdersPage = 5000

// VisitHolders calls visit for every coupon, and then for every unresolved fail event whose user has none, as of one
// moment: all pages are read in one transaction that sees nothing of what commits after its first query. It holds one
// page in memory. CallTimeout bounds each page, the context the whole. The campaign's row is read in the same transaction:
// a server that has this epoch has all rows of the epochs before. CodeOvertaken: it is another epoch or fencing number.
// CodeUnknownCampaign.
func (l *Ledger) VisitHolders(ctx context.Context, campaign domain.Campaign, visit func(domain.Holder) error) error {
	var visited error
	err := l.count("visit_holders", func() error {
		return l.snapshot(ctx, func(tx *gorm.DB) error {
			row, err := findCampaign(tx, campaign.Code)
			if err != nil {
				return err
			}
			if row.Epoch != campaign.Epoch || row.Fencing != campaign.Fencing {
				return domain.Errorf(domain.CodeOvertaken, "campaign %s is at epoch %d and fencing number %d, not at %d and %d",
					row.Code, row.Epoch, row.Fencing, campaign.Epoch, campaign.Fencing)
			}
			walk := &holderWalk{ledger: l, tx: tx, campaign: row, visit: func(holder domain.Holder) error {
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
	// rows is the page of coupons; each is read into the memory of the one before.
	rows []heldCoupon
}

type heldCoupon struct {
	id     int64
	holder domain.Holder
}

// sparseness is how many rows may be read for one that is wanted before an index is worth its detour: MySQL takes
// about four times as long for a row that it finds by an index as for the next one of the table.
const sparseness = 4

// coupons walks in the order of storing, in which the rows of one sale lie mostly side by side. A page is read by the
// index, which passes over the rows of other campaigns. Where few of those lay among its own, what follows is read
// straight from the table, as long as enough of it is the campaign's.
func (w *holderWalk) coupons(ctx context.Context) error {
	size := int64(w.ledger.pageSize)
	for after := int64(math.MinInt64); ; {
		if err := w.byIndex(ctx, after); err != nil || int64(len(w.rows)) < size {
			return err
		}
		after = w.rows[size-1].id
		dense := after-w.rows[0].id < size*sparseness
		for ; dense && after <= math.MaxInt64-size; after += size {
			err := w.couponPage(ctx, after, func(tx *gorm.DB) *gorm.DB {
				return tx.Table(w.ledger.backend.byIndex("coupon", primaryKey)).Where("id <= ?", after+size)
			})
			if err != nil {
				return err
			}
			dense = int64(len(w.rows))*sparseness >= size
		}
	}
}

// byIndex leaves the choice to the optimizer where somebody has dropped the index: a rebuild must not fail for that.
func (w *holderWalk) byIndex(ctx context.Context, after int64) error {
	limited := func(table string) error {
		return w.couponPage(ctx, after, func(tx *gorm.DB) *gorm.DB { return tx.Table(table).Limit(w.ledger.pageSize) })
	}
	err := limited(w.ledger.backend.byIndex("coupon", "coupon_stored"))
	if isMissingIndex(err) {
		return limited("coupon")
	}
	return err
}

// couponPage reads and visits one page of coupons after an ID. The rows go past gorm, whose reflection on every field
// took about a quarter of this process's time for a rebuild.
func (w *holderWalk) couponPage(ctx context.Context, after int64, from func(tx *gorm.DB) *gorm.DB) error {
	w.rows = w.rows[:0]
	err := w.page(ctx, func(tx *gorm.DB) error {
		rows, err := from(tx).Where("campaign_id = ? AND id > ?", w.campaign.ID, after).Order("id").
			Select("id", "user_id", "slot", "admitted_at").Rows()
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // what it would say, rows.Err says
		for rows.Next() {
			var row couponRow
			if err := rows.Scan(&row.ID, &row.UserID, &row.Slot, &row.AdmittedAt); err != nil {
				return err
			}
			w.rows = append(w.rows, heldCoupon{row.ID, holderByCoupon(row)})
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for _, row := range w.rows {
		if err := w.visit(row.holder); err != nil {
			return err
		}
	}
	return nil
}

func (w *holderWalk) failEvents(ctx context.Context) error {
	for after := int64(0); ; {
		var rows []failEventRow
		err := w.page(ctx, func(tx *gorm.DB) error {
			events := tx.Table(w.ledger.backend.byIndex("fail_event", "fail_event_unresolved"))
			return withoutRow(unresolvedOf(events, w.campaign.Code), w.campaign.ID).
				Select("id", "user_id", "slot", "admitted_at", "epoch").
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

func (w *holderWalk) page(ctx context.Context, query func(tx *gorm.DB) error) error {
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
		Epoch: row.Epoch,
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
