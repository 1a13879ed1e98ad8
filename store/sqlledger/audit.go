package sqlledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"firstcome/domain"
)

// findPage is how many users one query of FindHolders asks for.
const findPage = 500

var (
	_ domain.AuditLedger = (*Ledger)(nil)
	_ domain.AuditStore  = (*Ledger)(nil)
)

// FindHolders is VisitHolders for some users only, each page of them as of one moment. CodeUnknownCampaign.
func (l *Ledger) FindHolders(ctx context.Context, campaign string, users []domain.UserID) ([]domain.Holder, error) {
	var found []domain.Holder
	for len(users) > 0 {
		some := users[:min(len(users), findPage)]
		users = users[len(some):]
		err := l.observe(ctx, "find_holders", func(ctx context.Context) error {
			return l.snapshot(ctx, func(tx *gorm.DB) error {
				holders, err := findHolders(tx, campaign, some)
				found = append(found, holders...)
				return err
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func findHolders(tx *gorm.DB, campaign string, users []domain.UserID) ([]domain.Holder, error) {
	row, err := findCampaign(tx, campaign)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(users))
	for i, user := range users {
		ids[i] = int64(user)
	}
	var coupons []couponRow
	if err := tx.Where("campaign_id = ? AND user_id IN ?", row.ID, ids).Order("id").Find(&coupons).Error; err != nil {
		return nil, err
	}
	var events []failEventRow
	err = withoutRow(unresolvedOf(tx, campaign), row.ID).Select("id", "user_id", "slot", "admitted_at", "epoch").
		Where("user_id IN ?", ids).Order("id").Find(&events).Error
	if err != nil {
		return nil, err
	}
	holders := make([]domain.Holder, 0, len(coupons)+len(events))
	for _, coupon := range coupons {
		holders = append(holders, holderByCoupon(coupon))
	}
	for _, event := range events {
		holders = append(holders, holderByFailEvent(event))
	}
	return holders, nil
}

// CountUnresolved counts a campaign's unresolved fail events by status.
func (l *Ledger) CountUnresolved(ctx context.Context, campaign string) (map[domain.FailStatus]int64, error) {
	var rows []struct {
		Status domain.FailStatus
		Events int64
	}
	err := l.read(ctx, "count_unresolved", func(db *gorm.DB) error {
		return db.Model(&failEventRow{}).Select("status", "COUNT(*) AS events").
			Where("campaign_code = ? AND resolved_at IS NULL", campaign).Group("status").Scan(&rows).Error
	})
	counts := map[domain.FailStatus]int64{}
	for _, row := range rows {
		counts[row.Status] = row.Events
	}
	return counts, err
}

// StuckFailEvents gives up to limit of a campaign's PROCESSING events that have no lease, or one that ended at least
// overdue ago.
func (l *Ledger) StuckFailEvents(
	ctx context.Context, campaign string, overdue time.Duration, limit int,
) ([]domain.FailEvent, error) {
	if err := checkPage(limit, 0); err != nil {
		return nil, err
	}
	var rows []failEventRow
	err := l.readToDecide(ctx, "stuck_fail_events", func(db *gorm.DB) error {
		now, err := l.now(db)
		if err != nil {
			return err
		}
		return db.Where("campaign_code = ? AND status = ?", campaign, domain.FailStatusProcessing).
			Where("lease_until IS NULL OR lease_until <= ?", now.Add(-overdue)).
			Order("id").Limit(limit).Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	return failEventsOf(rows), nil
}

// UntoldRevocations gives up to limit coupons of a campaign that were revoked at least overdue ago, by the ledger's clock,
// and of which the gate was not told, oldest first.
func (l *Ledger) UntoldRevocations(
	ctx context.Context, campaign string, overdue time.Duration, limit int,
) ([]domain.Coupon, error) {
	if err := checkPage(limit, 0); err != nil {
		return nil, err
	}
	var rows []couponRow
	err := l.readToDecide(ctx, "untold_revocations", func(db *gorm.DB) error {
		now, err := l.now(db)
		if err != nil {
			return err
		}
		return db.Where("released_at IS NULL AND revoked_at <= ?", now.Add(-overdue)).
			Where("campaign_id IN (?)", db.Model(&campaignRow{}).Select("id").Where("code = ?", campaign)).
			Order("revoked_at, id").Limit(limit).Find(&rows).Error
	})
	coupons := make([]domain.Coupon, len(rows))
	for i, row := range rows {
		coupons[i] = row.coupon(campaign)
	}
	return coupons, err
}

type auditRow struct {
	CampaignCode string `gorm:"primaryKey"`
	Result       string
	FinishedAt   time.Time
}

// TableName tells gorm the table.
func (auditRow) TableName() string { return "audit_result" }

// SaveAudit replaces the campaign's last result.
func (l *Ledger) SaveAudit(ctx context.Context, result domain.AuditResult) error {
	text, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode the result of an audit: %w", err)
	}
	row := auditRow{CampaignCode: result.Campaign, Result: string(text), FinishedAt: storedTime(result.FinishedAt)}
	return l.write(ctx, "save_audit", func(tx *gorm.DB) error {
		return replacing(tx, "campaign_code", "result", "finished_at").Create(&row).Error
	})
}

// LastAudits gives the last result of every campaign, or of one, in the order of their codes.
func (l *Ledger) LastAudits(ctx context.Context, campaign string) ([]domain.AuditResult, error) {
	var rows []auditRow
	err := l.read(ctx, "last_audits", func(db *gorm.DB) error {
		if campaign != "" {
			db = db.Where("campaign_code = ?", campaign)
		}
		return db.Order("campaign_code").Limit(domain.MaxPage).Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	results := make([]domain.AuditResult, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal([]byte(row.Result), &results[i]); err != nil {
			return nil, domain.Wrap(domain.CodeInternal, err, "the kept result of an audit can't be read")
		}
	}
	return results, nil
}
