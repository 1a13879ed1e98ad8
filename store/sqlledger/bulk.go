package sqlledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"

	"firstcome/crashpoint"
	"firstcome/domain"
)

type bulkRow struct {
	ID                   int64
	Action, Reason       string
	Filter               string
	Actor                string
	Matched, Done        int64
	FloorID, NextID      int64
	LeaseToken           string
	LeaseUntil           sql.NullTime
	CreatedAt, UpdatedAt time.Time `gorm:"autoCreateTime:false;autoUpdateTime:false"`
	FinishedAt           sql.NullTime
}

// TableName tells gorm the table.
func (bulkRow) TableName() string { return "bulk_job" }

func (r bulkRow) job(now time.Time) (domain.BulkJob, error) {
	job := domain.BulkJob{
		ID: r.ID, BulkOrder: domain.BulkOrder{Action: domain.BulkAction(r.Action), Reason: r.Reason}, Actor: r.Actor,
		Status: domain.BulkRunning, Matched: r.Matched, Done: r.Done, LeaseToken: r.LeaseToken,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), FinishedAt: timeOf(r.FinishedAt),
	}
	switch {
	case r.FinishedAt.Valid:
		job.Status = domain.BulkDone
	case !r.LeaseUntil.Valid || isOver(r.LeaseUntil.Time, now, domain.BulkLease):
		job.Status = domain.BulkAbandoned
	}
	var kept filterState
	if err := decodeKept(r.Filter, &kept); err != nil {
		return job, fmt.Errorf("the filter of bulk job %d can't be read: %w", r.ID, err)
	}
	job.Filter = kept.filter()
	return job, nil
}

func bulkTarget(id int64) string { return "bulk job " + strconv.FormatInt(id, 10) }

// CountBulk says how many events an order selects now, up to limit. CodeInvalidRequest.
func (l *Ledger) CountBulk(ctx context.Context, order domain.BulkOrder, limit int) (int64, error) {
	if err := errors.Join(order.Check(), order.Filter.Check()); err != nil {
		return 0, err
	}
	var count int64
	err := l.read(ctx, "count_bulk", func(db *gorm.DB) error {
		selected, err := l.newSelection(db, forBulk(order.Filter), true)
		if err != nil {
			return err
		}
		count, err = selected.count(db, limit)
		return err
	})
	return count, err
}

// forBulk is the filter without what belongs to a list.
func forBulk(filter domain.FailEventFilter) domain.FailEventFilter {
	filter.BeforeID, filter.Limit = 0, 0
	return filter
}

// StartBulk makes a job for the events that the order selects now. Their bounds are kept with it: what fails later, and
// what comes into the reach of a search by text because other events have left it, is no part of the job.
func (l *Ledger) StartBulk(ctx context.Context, order domain.BulkOrder, actor string) (domain.BulkJob, error) {
	if err := errors.Join(order.Check(), order.Filter.Check()); err != nil {
		return domain.BulkJob{}, err
	}
	order.Filter = forBulk(order.Filter)
	filter, err := json.Marshal(filterStateOf(order.Filter))
	if err != nil {
		return domain.BulkJob{}, fmt.Errorf("encode a filter: %w", err)
	}
	var job domain.BulkJob
	err = l.write(ctx, "start_bulk", func(tx *gorm.DB) error {
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		row := bulkRow{
			Action: string(order.Action), Reason: order.Reason, Filter: string(filter), Actor: cutText(actor, maxActorBytes),
			LeaseToken: rand.Text(), LeaseUntil: sql.NullTime{Time: now.Add(domain.BulkLease), Valid: true},
			CreatedAt: now, UpdatedAt: now,
		}
		if err := l.boundBulk(tx, order.Filter, &row); err != nil {
			return err
		}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		if job, err = row.job(now); err != nil {
			return err
		}
		return l.recordAction(tx, action{actor, "bulk " + string(order.Action), bulkTarget(row.ID), nil, map[string]any{
			"filter": filterStateOf(order.Filter), "reason": order.Reason, "matched": row.Matched,
		}})
	})
	return job, err
}

// boundBulk notes how many events there are, and between which IDs they lie.
func (l *Ledger) boundBulk(tx *gorm.DB, filter domain.FailEventFilter, row *bulkRow) error {
	selected, err := l.newSelection(tx, filter, true)
	if err != nil {
		return err
	}
	if err := selected.limitTo(tx, domain.MaxBulkEvents); err != nil {
		return err
	}
	if row.Matched, err = selected.count(tx, domain.MaxBulkEvents); err != nil {
		return err
	}
	newest, err := selected.ids(tx, 1)
	if err != nil || len(newest) == 0 {
		return err
	}
	row.FloorID, row.NextID = selected.floor, newest[0]+1
	return nil
}

// BulkJob gives one. CodeNotFound.
func (l *Ledger) BulkJob(ctx context.Context, id int64) (domain.BulkJob, error) {
	var job domain.BulkJob
	err := l.read(ctx, "bulk_job", func(db *gorm.DB) error {
		row, err := findBulk(db, id)
		if err != nil {
			return err
		}
		now, err := l.now(db)
		if err != nil {
			return err
		}
		job, err = row.job(now)
		return err
	})
	return job, err
}

func findBulk(db *gorm.DB, id int64) (bulkRow, error) {
	var row bulkRow
	err := db.Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, domain.Errorf(domain.CodeNotFound, "there is no bulk job %d", id)
	}
	return row, err
}

// BulkJobs lists jobs, newest first. CodeInvalidRequest: the limit or the cursor.
func (l *Ledger) BulkJobs(ctx context.Context, beforeID int64, limit int) ([]domain.BulkJob, error) {
	if err := checkPage(limit, beforeID); err != nil {
		return nil, err
	}
	var jobs []domain.BulkJob
	err := l.read(ctx, "bulk_jobs", func(db *gorm.DB) error {
		if beforeID > 0 {
			db = db.Where("id < ?", beforeID)
		}
		var rows []bulkRow
		if err := db.Order("id DESC").Limit(limit).Find(&rows).Error; err != nil {
			return err
		}
		now, err := l.now(db)
		if err != nil {
			return err
		}
		jobs = make([]domain.BulkJob, len(rows))
		for i, row := range rows {
			if jobs[i], err = row.job(now); err != nil {
				return err
			}
		}
		return nil
	})
	return jobs, err
}

// TakeBulk takes an abandoned job up, with a new lease. CodeNotFound. CodeConflict: it is running, or done.
func (l *Ledger) TakeBulk(ctx context.Context, id int64, actor string) (domain.BulkJob, error) {
	var job domain.BulkJob
	err := l.write(ctx, "take_bulk", func(tx *gorm.DB) error {
		row, err := findBulk(tx.Clauses(lockingForUpdate), id)
		if err != nil {
			return err
		}
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		if job, err = row.job(now); err != nil {
			return err
		}
		if job.Status != domain.BulkAbandoned {
			return domain.Errorf(domain.CodeConflict, "bulk job %d is %s", id, job.Status)
		}
		row.LeaseToken, row.UpdatedAt = rand.Text(), now
		row.LeaseUntil = sql.NullTime{Time: now.Add(domain.BulkLease), Valid: true}
		if err := saveBulk(tx, row); err != nil {
			return err
		}
		if job, err = row.job(now); err != nil {
			return err
		}
		return l.recordAction(tx, action{actor, "resume", bulkTarget(id), nil, map[string]any{"done": job.Done}})
	})
	return job, err
}

func saveBulk(tx *gorm.DB, row bulkRow) error {
	return tx.Model(&bulkRow{}).Where("id = ?", row.ID).Updates(map[string]any{
		"done": row.Done, "next_id": row.NextID, "lease_token": row.LeaseToken, "lease_until": row.LeaseUntil,
		"updated_at": row.UpdatedAt, "finished_at": row.FinishedAt,
	}).Error
}

// StepBulk handles up to BulkPage events, in one short transaction:
//
//  1. Lock the job, which must carry the caller's lease.
//  2. Select the next events below the job's place, lock them in the order of their IDs, and leave out those that a
//     retryer or another operator has come to meanwhile.
//  3. Change them, each with an entry in its history.
//  4. Note the new place and the progress, and prolong the lease.
//
// A crash leaves all of it or nothing. CodeLeaseLost: somebody else has taken the job up; nothing is changed.
func (l *Ledger) StepBulk(ctx context.Context, job domain.BulkJob) (domain.BulkJob, error) {
	var after domain.BulkJob
	err := l.write(ctx, "step_bulk", func(tx *gorm.DB) error {
		row, err := findBulk(tx.Clauses(lockingForUpdate), job.ID)
		if err != nil {
			return err
		}
		if row.LeaseToken != job.LeaseToken || row.LeaseToken == "" || row.FinishedAt.Valid {
			return domain.Errorf(domain.CodeLeaseLost, "bulk job %d is no longer this one's", job.ID)
		}
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		if after, err = row.job(now); err != nil {
			return err
		}
		if err := l.stepBulk(tx, after, bulkStep{&row, now}); err != nil {
			return err
		}
		crashpoint.Reach(crashpoint.LedgerBulkChanged)
		if err := saveBulk(tx, row); err != nil {
			return err
		}
		after, err = row.job(now)
		return err
	})
	return after, err
}

// bulkStep is a step of a job at one moment.
type bulkStep struct {
	*bulkRow
	now time.Time
}

func (l *Ledger) stepBulk(tx *gorm.DB, job domain.BulkJob, row bulkStep) error {
	now := row.now
	row.UpdatedAt = now
	row.LeaseUntil = sql.NullTime{Time: now.Add(domain.BulkLease), Valid: true}
	selected := selection{ledger: l, filter: job.Filter, idle: true, floor: row.FloorID, below: row.NextID}
	var ids []int64
	var err error
	if row.NextID > 0 {
		if ids, err = selected.ids(tx, domain.BulkPage); err != nil {
			return err
		}
	}
	if len(ids) < domain.BulkPage {
		row.FinishedAt = sql.NullTime{Time: now, Valid: true}
		row.LeaseToken, row.LeaseUntil = "", sql.NullTime{}
	}
	if len(ids) == 0 {
		return nil
	}
	row.NextID = ids[len(ids)-1]
	var events []failEventRow
	if err := tx.Clauses(lockingForUpdate).Where("id IN ?", ids).Order("id").Find(&events).Error; err != nil {
		return err
	}
	changed, err := l.changeEvents(tx, job, events, now)
	row.Done += int64(changed)
	return err
}

// changeEvents retries or discards those of the locked events that are neither being processed nor resolved, nor such
// that the database refuses the revoked row of.
func (l *Ledger) changeEvents(tx *gorm.DB, job domain.BulkJob, events []failEventRow, now time.Time) (int, error) {
	var ids []int64
	var history []attemptRow
	outcome := outcomeRetry
	if job.Action == domain.BulkDiscard {
		outcome = outcomeDiscard
	}
	for _, event := range events {
		if requireIdle(event) != nil {
			continue
		}
		if job.Action == domain.BulkDiscard {
			err := storeRevoked(tx, event, now)
			if domain.CodeOf(err) == domain.CodeConflict {
				l.logger.Warn("a bulk job passes over a fail event", "bulk_job", job.ID, "fail_event", event.ID, "error", err)
				continue
			}
			if err != nil {
				return 0, err
			}
		}
		ids = append(ids, event.ID)
		history = append(history, attemptRow{
			FailEventID: event.ID, Number: event.Attempts, StartedAt: now, FinishedAt: now, Outcome: outcome,
			ErrorMessage: job.Reason, Actor: job.Actor,
		})
	}
	if len(ids) == 0 {
		return 0, nil
	}
	changes := map[string]any{"status": domain.FailStatusFail, "next_attempt_at": now, "updated_at": now}
	if job.Action == domain.BulkDiscard {
		changes = map[string]any{"status": domain.FailStatusDead, "discarded_at": now, "resolved_at": now, "updated_at": now}
	}
	if err := tx.Model(&failEventRow{}).Where("id IN ?", ids).Updates(changes).Error; err != nil {
		return 0, err
	}
	if err := tx.Create(&history).Error; err != nil {
		return 0, err
	}
	if job.Action == domain.BulkRetry {
		return len(ids), nil
	}
	return len(ids), tx.Model(&attemptRow{}).Where("fail_event_id IN ?", ids).
		Update("resolved_at", sql.NullTime{Time: now, Valid: true}).Error
}
