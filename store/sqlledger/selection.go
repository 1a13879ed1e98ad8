package sqlledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"firstcome/domain"
)

// clockSlack is how far the clocks of the processes that record fail events may be apart for a selection by time to
// find everything.
const clockSlack = time.Minute

// selection is a filter of fail events, newest first, as ranges of IDs in an index: whatever the filter, a page reads
// no more rows than it gives, or than a search by text may look at. IDs grow with time, so a time becomes an ID as well.
type selection struct {
	ledger *Ledger
	filter domain.FailEventFilter
	// floor <= id < below; 0 is no limit.
	floor, below int64
	// idle selects only events that an operator may retry or discard.
	idle bool
}

// newSelection looks up the bounds that the filter's times and text amount to.
func (l *Ledger) newSelection(db *gorm.DB, filter domain.FailEventFilter, idle bool) (selection, error) {
	s := selection{ledger: l, filter: filter, idle: idle}
	if err := s.boundByTime(db); err != nil {
		return s, err
	}
	if filter.Text != "" {
		if err := s.limitTo(db, domain.MaxTextSearch); err != nil {
			return s, err
		}
	}
	if filter.BeforeID > 0 && (s.below == 0 || filter.BeforeID < s.below) {
		s.below = filter.BeforeID
	}
	return s, nil
}

// boundByTime takes the last event before the span and the first after it as bounds.
func (s *selection) boundByTime(db *gorm.DB) error {
	table := s.ledger.backend.byIndex("fail_event", "fail_event_created")
	nearest := func(bound *int64, condition string, at time.Time, order string) error {
		if !holdsTime(at) { // no limit
			return nil
		}
		var ids []int64
		err := db.Table(table).Where(condition, storedTime(at)).Order(order).Limit(1).Pluck("id", &ids).Error
		if len(ids) == 1 {
			*bound = ids[0]
		}
		return err
	}
	err := nearest(&s.floor, "created_at < ?", s.filter.From.Add(-clockSlack), "created_at DESC, id DESC")
	if err != nil {
		return err
	}
	return nearest(&s.below, "created_at >= ?", s.filter.Until.Add(clockSlack), "created_at, id")
}

// limitTo raises the floor such that no more than count events are left, whatever their text.
func (s *selection) limitTo(db *gorm.DB, count int) error {
	all := *s
	all.filter.Text = ""
	var ids []int64
	if err := all.newest(db, count).Offset(count-1).Limit(1).Pluck("id", &ids).Error; err != nil {
		return err
	}
	if len(ids) == 1 {
		s.floor = max(s.floor, ids[0])
	}
	return nil
}

// ids gives the IDs of up to limit events, newest first.
func (s selection) ids(db *gorm.DB, limit int) ([]int64, error) {
	var ids []int64
	return ids, s.newest(db, limit).Limit(limit).Pluck("id", &ids).Error
}

// count counts the events, up to limit.
func (s selection) count(db *gorm.DB, limit int) (int64, error) {
	var count int64
	return count, db.Table("(?) AS some", s.newest(db, limit).Select("id").Limit(limit)).Count(&count).Error
}

// newest is a query of up to limit IDs from each range, newest first.
func (s selection) newest(db *gorm.DB, limit int) *gorm.DB {
	ranges := s.ranges(db)
	if len(ranges) == 1 {
		return ranges[0].Order("id DESC")
	}
	parts, all := make([]string, len(ranges)), make([]any, len(ranges))
	for i, one := range ranges {
		parts[i] = fmt.Sprintf("SELECT id FROM (?) AS range_%d", i)
		all[i] = one.Select("id").Order("id DESC").Limit(limit)
	}
	return db.Table("(?) AS ranges", db.Raw(strings.Join(parts, " UNION ALL "), all...)).Order("id DESC")
}

// ranges are queries that each read one range of an index, in the order of the IDs.
func (s selection) ranges(db *gorm.DB) []*gorm.DB {
	byIndex := s.ledger.backend.byIndex
	switch {
	case s.filter.UserID != 0:
		return []*gorm.DB{s.cells(s.conditions(db.Table(byIndex("fail_event", "fail_event_user"))))}
	case s.filter.Status != "" || s.filter.Reason != "" || s.idle:
		return s.cellRanges(db)
	case s.filter.Campaign != "":
		return []*gorm.DB{s.conditions(db.Table(byIndex("fail_event", "fail_event_campaign")))}
	}
	return []*gorm.DB{s.conditions(db.Table("fail_event"))}
}

func (s selection) cellRanges(db *gorm.DB) []*gorm.DB {
	index := "fail_event_cell"
	if s.filter.Campaign != "" {
		index = "fail_event_campaign_cell"
	}
	table := s.ledger.backend.byIndex("fail_event", index)
	var ranges []*gorm.DB
	for _, status := range s.statuses() {
		for _, reason := range s.reasons() {
			ranges = append(ranges, s.conditions(db.Table(table)).Where("status = ? AND reason = ?", status, reason))
		}
	}
	return ranges
}

// statuses are those that the selection may find; one that none can have stands for none.
func (s selection) statuses() []domain.FailStatus {
	all := domain.FailStatuses
	if s.idle {
		all = []domain.FailStatus{domain.FailStatusFail, domain.FailStatusDead}
	}
	switch {
	case s.filter.Status == "":
		return all
	case slices.Contains(all, s.filter.Status):
		return []domain.FailStatus{s.filter.Status}
	}
	return []domain.FailStatus{""}
}

func (s selection) reasons() []domain.FailReason {
	if s.filter.Reason == "" {
		return domain.FailReasons
	}
	return []domain.FailReason{s.filter.Reason}
}

// cells are the conditions on status and reason for a query that does not read their index.
func (s selection) cells(query *gorm.DB) *gorm.DB {
	if s.filter.Status != "" || s.idle {
		query = query.Where("status IN ?", s.statuses())
	}
	if s.filter.Reason != "" {
		query = query.Where("reason = ?", s.filter.Reason)
	}
	return query
}

// conditions are all but those on status and reason.
func (s selection) conditions(query *gorm.DB) *gorm.DB {
	if s.filter.Campaign != "" {
		query = query.Where("campaign_code = ?", s.filter.Campaign)
	}
	if s.filter.UserID != 0 {
		query = query.Where("user_id = ?", int64(s.filter.UserID))
	}
	if s.floor > 0 {
		query = query.Where("id >= ?", s.floor)
	}
	if s.below > 0 {
		query = query.Where("id < ?", s.below)
	}
	if holdsTime(s.filter.From) {
		query = query.Where("created_at >= ?", storedTime(s.filter.From))
	}
	if holdsTime(s.filter.Until) {
		query = query.Where("created_at < ?", storedTime(s.filter.Until))
	}
	if s.idle {
		query = query.Where("resolved_at IS NULL")
	}
	if text := s.filter.Text; text != "" {
		query = query.Where("(INSTR(LOWER(error_message), ?) > 0 OR INSTR(raw_record, ?) > 0)", strings.ToLower(text), []byte(text))
	}
	return query
}
