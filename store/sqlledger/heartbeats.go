package sqlledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"firstcome/domain"
)

// heartbeatRetention is after how long a process that is gone is forgotten.
const heartbeatRetention = 24 * time.Hour

type heartbeatRow struct {
	Process string `gorm:"primaryKey"`
	Beat    string
	SeenAt  time.Time
}

// TableName tells gorm the table.
func (heartbeatRow) TableName() string { return "heartbeat" }

// Beat replaces what the process said, and drops processes that were last seen a day ago. The moment is the ledger's.
func (l *Ledger) Beat(ctx context.Context, beat domain.Heartbeat) error {
	beat.SeenAt = l.config.processNow()
	text, err := json.Marshal(beat)
	if err != nil {
		return fmt.Errorf("encode a heartbeat: %w", err)
	}
	row := heartbeatRow{Process: beat.Process, Beat: string(text), SeenAt: beat.SeenAt}
	return l.write(ctx, "beat", func(tx *gorm.DB) error {
		err := replacing(tx, "process", "beat", "seen_at").Create(&row).Error
		if err != nil {
			return err
		}
		var gone []string
		err = tx.Model(&heartbeatRow{}).Where("seen_at < ?", beat.SeenAt.Add(-heartbeatRetention)).
			Order("seen_at").Limit(domain.MaxPage).Pluck("process", &gone).Error
		if err != nil || len(gone) == 0 {
			return err
		}
		return tx.Where("process IN ?", gone).Delete(&heartbeatRow{}).Error
	})
}

// Heartbeats gives those of processes seen at or after the moment, in the order of their names.
func (l *Ledger) Heartbeats(ctx context.Context, since time.Time) ([]domain.Heartbeat, error) {
	var rows []heartbeatRow
	err := l.read(ctx, "heartbeats", func(db *gorm.DB) error {
		return db.Where("seen_at >= ?", storedTime(since)).Order("process").Limit(domain.MaxPage).Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	beats := make([]domain.Heartbeat, len(rows))
	for i, row := range rows {
		if err := decodeKept(row.Beat, &beats[i]); err != nil {
			return nil, domain.Wrap(domain.CodeInternal, err, "a kept heartbeat can't be read")
		}
	}
	return beats, nil
}
