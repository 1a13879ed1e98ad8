package api

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

// fakeOperations is what operators see and do in addition, in memory. It shares the ledger's lock and its absence.
type fakeOperations struct {
	*fakeLedger
	totals    []domain.FunnelCount
	points    []domain.FunnelPoint
	lastQuery domain.FunnelQuery
	jobs      []domain.BulkJob // oldest first
	matched   int64
	// stepping is called by each step of a bulk job.
	stepping   func(job *domain.BulkJob) error
	beats      []domain.Heartbeat
	actions    []domain.OperatorAction // newest first
	lastAction domain.ActionFilter
	counted    atomic.Int64
}

func (o *fakeOperations) Count(string, domain.FunnelOutcome, int64) { o.counted.Add(1) }

func (o *fakeOperations) FunnelTotals(context.Context) ([]domain.FunnelCount, error) {
	unlock, err := o.lock()
	defer unlock()
	return o.totals, err
}

func (o *fakeOperations) FunnelSeries(_ context.Context, query domain.FunnelQuery) ([]domain.FunnelPoint, error) {
	unlock, err := o.lock()
	defer unlock()
	o.lastQuery = query
	if err == nil {
		err = query.Check()
	}
	return o.points, err
}

func (o *fakeOperations) CouponBySlot(_ context.Context, campaign string, slot domain.Slot) (domain.Coupon, error) {
	unlock, err := o.lock()
	defer unlock()
	if err != nil {
		return domain.Coupon{}, err
	}
	if campaign != "spring" {
		return domain.Coupon{}, errUnknownCampaign
	}
	for _, coupon := range o.coupons {
		if coupon.Slot == slot {
			return coupon, nil
		}
	}
	return domain.Coupon{}, domain.Errorf(domain.CodeNotFound, "no coupon holds slot %d", slot)
}

func (o *fakeOperations) CouponsOfUser(_ context.Context, user domain.UserID) ([]domain.Coupon, error) {
	unlock, err := o.lock()
	defer unlock()
	var found []domain.Coupon
	for _, coupon := range o.coupons {
		if coupon.UserID == user {
			found = append(found, coupon)
		}
	}
	return found, err
}

func (o *fakeOperations) RevokeCoupon(_ context.Context, campaign string, user domain.UserID, reason, actor string) (domain.Coupon, error) {
	unlock, err := o.lock()
	defer unlock()
	if err != nil {
		return domain.Coupon{}, err
	}
	if err := domain.CheckDiscardReason(reason); err != nil {
		return domain.Coupon{}, err
	}
	if campaign != "spring" {
		return domain.Coupon{}, errUnknownCampaign
	}
	for i, coupon := range o.coupons {
		if coupon.UserID != user {
			continue
		}
		if !coupon.RevokedAt.IsZero() {
			return domain.Coupon{}, domain.Errorf(domain.CodeConflict, "it is revoked already")
		}
		coupon.RevokedAt, coupon.RevokedSlot, coupon.Slot = admissiontest.AdmittedAt, coupon.Slot, domain.NoSlot
		o.coupons[i], o.actors, o.discardReason = coupon, append(o.actors, actor), reason
		return coupon, nil
	}
	return domain.Coupon{}, domain.Errorf(domain.CodeNotFound, "user %s has no coupon", user)
}

func (o *fakeOperations) CountBulk(_ context.Context, order domain.BulkOrder, limit int) (int64, error) {
	unlock, err := o.lock()
	defer unlock()
	if err == nil {
		err = order.Check()
	}
	o.lastFilter = order.Filter
	return min(o.matched, int64(limit)), err
}

func (o *fakeOperations) BulkJob(_ context.Context, id int64) (domain.BulkJob, error) {
	unlock, err := o.lock()
	defer unlock()
	if err != nil {
		return domain.BulkJob{}, err
	}
	if id < 1 || id > int64(len(o.jobs)) {
		return domain.BulkJob{}, domain.Errorf(domain.CodeNotFound, "there is no bulk job %d", id)
	}
	return o.jobs[id-1], nil
}

func (o *fakeOperations) BulkJobs(_ context.Context, beforeID int64, limit int) ([]domain.BulkJob, error) {
	unlock, err := o.lock()
	defer unlock()
	var jobs []domain.BulkJob
	for _, job := range slices.Backward(o.jobs) {
		if beforeID == 0 || job.ID < beforeID {
			jobs = append(jobs, job)
		}
	}
	return jobs[:min(len(jobs), limit)], err
}

func (o *fakeOperations) StartBulk(_ context.Context, order domain.BulkOrder, actor string) (domain.BulkJob, error) {
	unlock, err := o.lock()
	defer unlock()
	if err == nil {
		err = order.Check()
	}
	if err != nil {
		return domain.BulkJob{}, err
	}
	job := domain.BulkJob{
		ID: int64(len(o.jobs) + 1), BulkOrder: order, Actor: actor, Status: domain.BulkRunning, Matched: o.matched,
		CreatedAt: admissiontest.AdmittedAt, UpdatedAt: admissiontest.AdmittedAt, LeaseToken: "lease",
	}
	o.jobs, o.actors = append(o.jobs, job), append(o.actors, actor)
	return job, nil
}

func (o *fakeOperations) TakeBulk(ctx context.Context, id int64, actor string) (domain.BulkJob, error) {
	job, err := o.BulkJob(ctx, id)
	unlock, _ := o.lock()
	defer unlock()
	if err != nil {
		return domain.BulkJob{}, err
	}
	if job.Status != domain.BulkAbandoned {
		return domain.BulkJob{}, domain.Errorf(domain.CodeConflict, "bulk job %d is %s", id, job.Status)
	}
	o.jobs[id-1].Status, o.actors = domain.BulkRunning, append(o.actors, actor)
	return o.jobs[id-1], nil
}

func (o *fakeOperations) StepBulk(_ context.Context, job domain.BulkJob) (domain.BulkJob, error) {
	unlock, err := o.lock()
	defer unlock()
	if err != nil {
		return domain.BulkJob{}, err
	}
	kept := &o.jobs[job.ID-1]
	if o.stepping != nil {
		if err := o.stepping(kept); err != nil {
			return domain.BulkJob{}, err
		}
		return *kept, nil
	}
	kept.Done, kept.Status, kept.FinishedAt = kept.Matched, domain.BulkDone, admissiontest.AdmittedAt
	return *kept, nil
}

func (o *fakeOperations) Beat(_ context.Context, beat domain.Heartbeat) error {
	unlock, err := o.lock()
	defer unlock()
	o.beats = append(o.beats, beat)
	return err
}

func (o *fakeOperations) Heartbeats(_ context.Context, since time.Time) ([]domain.Heartbeat, error) {
	unlock, err := o.lock()
	defer unlock()
	var beats []domain.Heartbeat
	for _, beat := range o.beats {
		if !beat.SeenAt.Before(since) {
			beats = append(beats, beat)
		}
	}
	return beats, err
}

func (o *fakeOperations) OperatorActions(_ context.Context, filter domain.ActionFilter) ([]domain.OperatorAction, error) {
	unlock, err := o.lock()
	defer unlock()
	o.lastAction = filter
	var found []domain.OperatorAction
	for _, action := range o.actions {
		if filter.BeforeID == 0 || action.ID < filter.BeforeID {
			found = append(found, action)
		}
	}
	return found[:min(len(found), filter.Limit)], err
}

func (o *fakeOperations) RecordAction(_ context.Context, action domain.OperatorAction) error {
	unlock, err := o.lock()
	defer unlock()
	action.ID = int64(len(o.actions) + 1)
	o.actions, o.actors = append([]domain.OperatorAction{action}, o.actions...), append(o.actors, action.Actor)
	return err
}
