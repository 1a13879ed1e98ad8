package sqlledger

import (
	"context"
	"errors"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"firstcome/domain"
)

// Limits of a setting, in bytes.
const (
	maxSettingNameBytes  = 63
	maxSettingValueBytes = 1024
)

// Setting gives a setting's value, "" when it was never set.
func (l *Ledger) Setting(ctx context.Context, name string) (string, error) {
	var row settingRow
	err := l.readToDecide(ctx, "setting", func(db *gorm.DB) error { return findSetting(db, name, &row) })
	return row.Value, err
}

func findSetting(db *gorm.DB, name string, row *settingRow) error {
	err := db.Where("name = ?", name).Take(row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil
	}
	return err
}

// SetSetting changes a setting, and records who did. CodeInvalidRequest: the name or the value is too long.
func (l *Ledger) SetSetting(ctx context.Context, name, value, actor string) error {
	if name == "" || len(name) > maxSettingNameBytes || !utf8.ValidString(name) {
		return domain.Invalid("name", "the name of a setting must be 1 to %d bytes of UTF-8", maxSettingNameBytes)
	}
	if len(value) > maxSettingValueBytes || !utf8.ValidString(value) {
		return domain.Invalid("value", "the value of a setting must be at most %d bytes of UTF-8", maxSettingValueBytes)
	}
	return l.write(ctx, "set_setting", func(tx *gorm.DB) error {
		var before settingRow
		if err := findSetting(tx.Clauses(clause.Locking{Strength: lockExclusive}), name, &before); err != nil {
			return err
		}
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		row := settingRow{Name: name, Value: value, UpdatedAt: now}
		err = replacing(tx, "name", "value", "updated_at").Create(&row).Error
		if err != nil {
			return err
		}
		return l.recordAction(tx, action{actor, "set", "setting " + name, before.Value, value})
	})
}

// replacing lets Create replace the columns of the row that has the same key.
func replacing(tx *gorm.DB, key string, columns ...string) *gorm.DB {
	return tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: key}}, DoUpdates: clause.AssignmentColumns(columns),
	})
}
