package sqlledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"firstcome/domain"
)

// RecordFailEvent keeps a record that could not be stored. The same record twice is one event; another record at the same
// position, as after the topic was made anew, is another event. An event with a slot is recorded only under its own
// epoch, read under a shared lock: a rebuild would otherwise not see the event, and give its slot away.
// CodeEpochChanged.
func (l *Ledger) RecordFailEvent(ctx context.Context, event domain.FailEvent) error {
	return l.write(ctx, "record_fail_event", func(tx *gorm.DB) error {
		if event.Slot > 0 {
			if err := requireEpoch(tx, event.Campaign, event.Epoch); err != nil {
				return err
			}
		}
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		row := failEventRowOf(event, now)
		known, err := keptBefore(tx, row)
		if err != nil || known {
			return err
		}
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
	})
}

// keptBefore says whether the record is an event that an older program kept, which has no content key.
func keptBefore(tx *gorm.DB, row failEventRow) (bool, error) {
	var ids []int64
	err := tx.Model(&failEventRow{}).
		Where("kafka_topic = ? AND kafka_partition = ? AND kafka_offset = ?", row.KafkaTopic, row.KafkaPartition, row.KafkaOffset).
		Where("content_key = '' AND campaign_code = ? AND user_id = ? AND raw_record = ?", row.CampaignCode, row.UserID, row.RawRecord).
		Limit(1).Pluck("id", &ids).Error
	return len(ids) > 0, err
}

// contentKey says what the event's record was. It is of the whole record, of which the row keeps a part.
func contentKey(event domain.FailEvent) string {
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%q %d %q", event.Campaign, event.UserID, event.Raw) // a hash takes everything
	_, _ = hash.Write(event.Digest[:])
	return hex.EncodeToString(hash.Sum(nil))
}

// requireEpoch holds the campaign at this epoch until the end of the transaction. CodeEpochChanged; for a campaign
// that does not exist as well, because it has no slots.
func requireEpoch(tx *gorm.DB, code string, epoch int64) error {
	campaign, err := lockCampaign(tx, code, lockShared)
	if domain.CodeOf(err) == domain.CodeUnknownCampaign {
		return domain.Wrap(domain.CodeEpochChanged, err, "an event of an unknown campaign holds no slot")
	}
	if err != nil {
		return err
	}
	if campaign.Epoch != epoch {
		return domain.Errorf(domain.CodeEpochChanged,
			"campaign %s is at epoch %d, the event's slot holds under %d", code, campaign.Epoch, epoch)
	}
	return nil
}

// FailEvents lists events, newest first. CodeInvalidRequest: the filter, its limit or its cursor. The IDs are selected
// first, in an index; a row that changes before it is read is shown as it then is.
func (l *Ledger) FailEvents(ctx context.Context, filter domain.FailEventFilter) ([]domain.FailEvent, error) {
	if err := errors.Join(checkPage(filter.Limit, filter.BeforeID), filter.Check()); err != nil {
		return nil, err
	}
	var rows []failEventRow
	err := l.read(ctx, "fail_events", func(db *gorm.DB) error {
		selected, err := l.newSelection(db, filter, false)
		if err != nil {
			return err
		}
		ids, err := selected.ids(db, filter.Limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		return db.Where("id IN ?", ids).Order("id DESC").Find(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	return failEventsOf(rows), nil
}

func failEventsOf(rows []failEventRow) []domain.FailEvent {
	events := make([]domain.FailEvent, len(rows))
	for i, row := range rows {
		events[i] = row.failEvent()
	}
	return events
}

// FailEvent gives one with its attempts, oldest first, at most domain.MaxPage of them. CodeNotFound.
func (l *Ledger) FailEvent(ctx context.Context, id int64) (domain.FailEvent, []domain.FailEventAttempt, error) {
	var row failEventRow
	var rows []attemptRow
	err := l.read(ctx, "fail_event", func(db *gorm.DB) (err error) {
		if row, err = findFailEvent(db, id); err != nil {
			return err
		}
		return db.Where("fail_event_id = ?", id).Order("id").Limit(domain.MaxPage).Find(&rows).Error
	})
	if err != nil {
		return domain.FailEvent{}, nil, err
	}
	attempts := make([]domain.FailEventAttempt, len(rows))
	for i, row := range rows {
		attempts[i] = row.attempt()
	}
	return row.failEvent(), attempts, nil
}

func findFailEvent(db *gorm.DB, id int64) (failEventRow, error) {
	var row failEventRow
	err := db.Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, domain.Errorf(domain.CodeNotFound, "there is no fail event %d", id)
	}
	return row, err
}

// CountFailEvents counts the events of a campaign, or of all, by status and reason, each count stopping at limit, discarded
// ones left out; all in one statement, of which each part reads one range of an index. CodeInvalidRequest: the limit is below 1.
func (l *Ledger) CountFailEvents(ctx context.Context, campaign string, limit int) ([]domain.FailEventCount, error) {
	if limit < 1 {
		return nil, domain.Invalid("limit", "limit must be at least 1")
	}
	var counts []domain.FailEventCount
	err := l.read(ctx, "count_fail_events", func(db *gorm.DB) error {
		var parts []string
		var arguments []any
		for _, status := range domain.FailStatuses {
			for _, reason := range domain.FailReasons {
				cell := selection{ledger: l, filter: domain.FailEventFilter{Campaign: campaign, Status: status, Reason: reason}}
				parts = append(parts, "SELECT ? AS status, ? AS reason, COUNT(*) AS count FROM (?) AS some")
				arguments = append(arguments, status, reason, cell.ranges(db)[0].Where("discarded_at IS NULL").Select("id").Limit(limit))
			}
		}
		return db.Raw(strings.Join(parts, " UNION ALL "), arguments...).Scan(&counts).Error
	})
	return slices.DeleteFunc(counts, func(count domain.FailEventCount) bool { return count.Count == 0 }), err
}
