package sqlledger

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"firstcome/domain"
)

type funnelBucketRow struct {
	CampaignCode string `gorm:"primaryKey"`
	BucketUnixS  int64  `gorm:"primaryKey;autoIncrement:false"`
	Outcome      string `gorm:"primaryKey"`
	Total        int64
}

// TableName tells gorm the table.
func (funnelBucketRow) TableName() string { return "funnel_bucket" }

type funnelTotalRow struct {
	CampaignCode string `gorm:"primaryKey"`
	Outcome      string `gorm:"primaryKey"`
	Total        int64
}

// TableName tells gorm the table.
func (funnelTotalRow) TableName() string { return "funnel_total" }

// AddFunnel adds the counts to the bucket of the moment and to the totals, in one transaction. The rows are written in
// one order, so that processes that flush at the same moment wait for each other and don't deadlock.
func (l *Ledger) AddFunnel(ctx context.Context, at time.Time, counts []domain.FunnelCount) error {
	if len(counts) == 0 {
		return nil
	}
	counts = slices.Clone(counts)
	slices.SortFunc(counts, func(a, b domain.FunnelCount) int {
		return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), cmp.Compare(a.Outcome, b.Outcome))
	})
	bucket := at.Truncate(domain.FunnelBucket).Unix()
	buckets, totals := make([]funnelBucketRow, len(counts)), make([]funnelTotalRow, len(counts))
	for i, count := range counts {
		buckets[i] = funnelBucketRow{CampaignCode: count.Campaign, BucketUnixS: bucket, Outcome: string(count.Outcome), Total: count.Count}
		totals[i] = funnelTotalRow{CampaignCode: count.Campaign, Outcome: string(count.Outcome), Total: count.Count}
	}
	return l.write(ctx, "add_funnel", func(tx *gorm.DB) error {
		if err := l.addTo(tx, "funnel_bucket", "campaign_code", "bucket_unix_s", "outcome").Create(&buckets).Error; err != nil {
			return err
		}
		return l.addTo(tx, "funnel_total", "campaign_code", "outcome").Create(&totals).Error
	})
}

// addTo adds the total of each new row to the one that has the same key.
func (l *Ledger) addTo(tx *gorm.DB, table string, key ...string) *gorm.DB {
	columns := make([]clause.Column, len(key))
	for i, name := range key {
		columns[i] = clause.Column{Name: name}
	}
	return tx.Clauses(clause.OnConflict{
		Columns:   columns,
		DoUpdates: clause.Assignments(map[string]any{"total": gorm.Expr(table + ".total + " + l.backend.inserted("total"))}),
	})
}

// PurgeFunnel deletes up to limit rows of buckets from before the moment, and says how many. The totals stay.
func (l *Ledger) PurgeFunnel(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := checkPage(limit, 0); err != nil {
		return 0, err
	}
	purged := 0
	err := l.write(ctx, "purge_funnel", func(tx *gorm.DB) error {
		purged = 0
		var rows []funnelBucketRow
		err := tx.Where("bucket_unix_s < ?", before.Unix()).Order("bucket_unix_s").Limit(limit).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		deleted := tx.Delete(&rows)
		purged = int(deleted.RowsAffected)
		return deleted.Error
	})
	return purged, err
}

// FunnelTotals gives the totals of every campaign.
func (l *Ledger) FunnelTotals(ctx context.Context) ([]domain.FunnelCount, error) {
	var rows []funnelTotalRow
	err := l.read(ctx, "funnel_totals", func(db *gorm.DB) error { return db.Order("campaign_code, outcome").Find(&rows).Error })
	counts := make([]domain.FunnelCount, len(rows))
	for i, row := range rows {
		counts[i] = domain.FunnelCount{Campaign: row.CampaignCode, Outcome: domain.FunnelOutcome(row.Outcome), Count: row.Total}
	}
	return counts, err
}

// FunnelSeries gives the points of a curve in which something was counted, oldest first. The first point is of the
// step in which From lies: steps begin at multiples of their length, so that curves drawn at different times agree.
func (l *Ledger) FunnelSeries(ctx context.Context, query domain.FunnelQuery) ([]domain.FunnelPoint, error) {
	if err := query.Check(); err != nil {
		return nil, err
	}
	step := int64(query.Step / time.Second)
	from := query.From.Unix() - query.From.Unix()%step
	var rows []struct {
		StepUnixS int64
		Outcome   domain.FunnelOutcome
		Events    int64
	}
	err := l.read(ctx, "funnel_series", func(db *gorm.DB) error {
		counted := db.Model(&funnelBucketRow{}).
			Select("bucket_unix_s - bucket_unix_s % ? AS step_unix_s, outcome, SUM(total) AS events", step).
			Where("bucket_unix_s >= ? AND bucket_unix_s < ?", from, query.Until.Unix())
		if query.Campaign != "" {
			counted = counted.Where("campaign_code = ?", query.Campaign)
		}
		return counted.Group("step_unix_s, outcome").Order("step_unix_s").Scan(&rows).Error
	})
	var points []domain.FunnelPoint
	for _, row := range rows {
		at := time.Unix(row.StepUnixS, 0).UTC()
		if len(points) == 0 || !points[len(points)-1].At.Equal(at) {
			points = append(points, domain.FunnelPoint{At: at, Counts: map[domain.FunnelOutcome]int64{}})
		}
		points[len(points)-1].Counts[row.Outcome] = row.Events
	}
	return points, err
}
