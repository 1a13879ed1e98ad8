package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firstcome/domain"
)

// Faults of this group are no faults but what operators do during a sale.
var operatorFaults = []fault{
	{momentary("raise quota", "campaign"), raiseQuota},
	{momentary("lower quota", "campaign"), lowerQuota},
	{lasting("pause campaign", 300*time.Millisecond, 3*time.Second, "campaign"), pauseCampaign},
	{lasting("throttle", time.Second, 6*time.Second, "throttle"), throttle},
	{momentary("revoke coupons", "coupons"), revokeCoupons},
	{lasting("rows refused until dead", 7*time.Second, 10*time.Second, mysqlServer), refuseUntilDead},
}

func raiseQuota(ctx context.Context, w *world, s step) (healing, error) {
	view, err := w.operator.campaign(ctx)
	if err != nil {
		return nil, err
	}
	return nil, w.operator.setQuota(ctx, max(view.Quota, view.WantedQuota)+int64(s.between(10, 1000)))
}

// lowerQuota asks for something near the slots in use: it is granted, or stays a wish until the holders fit.
func lowerQuota(ctx context.Context, w *world, s step) (healing, error) {
	view, err := w.operator.campaign(ctx)
	if err != nil {
		return nil, err
	}
	if view.Gate == nil {
		return nil, errors.New("Redis's numbers are not known") //nolint:staticcheck // a name
	}
	inUse := view.Gate.Count - view.Gate.Free
	quota := min(view.Quota-1, inUse+int64(s.between(-5, 60)))
	return nil, w.operator.setQuota(ctx, max(quota, 1))
}

func pauseCampaign(ctx context.Context, w *world, _ step) (healing, error) {
	return func(ctx context.Context) error {
		return eventually(ctx, time.Minute, "the campaign is resumed", func(ctx context.Context) error { return w.operator.setState(ctx, "resume") })
	}, w.operator.setState(ctx, "pause")
}

// unthrottled is fast enough for the load and everything that an outage has left over.
const unthrottled = 20_000

func throttle(ctx context.Context, w *world, s step) (healing, error) {
	return func(ctx context.Context) error {
		return eventually(ctx, time.Minute, "the throttle is lifted", func(ctx context.Context) error { return w.operator.throttle(ctx, unthrottled) })
	}, w.operator.throttle(ctx, s.between(1, 100))
}

// revokeCoupons takes a few coupons back; the retryers tell Redis.
func revokeCoupons(ctx context.Context, w *world, s step) (healing, error) {
	rows, err := w.readRows(ctx)
	if err != nil {
		return nil, err
	}
	const most = 5
	revoked := 0
	for i := s.between(0, 20); i < len(rows) && revoked < most; i += 1 + len(rows)/most {
		if rows[i].revoked {
			continue
		}
		w.giveUp(rows[i].user)
		if err := w.operator.revoke(ctx, rows[i].user); err != nil {
			return nil, err
		}
		revoked++
	}
	if revoked == 0 {
		return nil, errors.New("there is no coupon to revoke")
	}
	return nil, nil
}

func (w *world) giveUp(user domain.UserID) {
	w.record.change(func(r *record) { r.givenUp[user] = true })
}

// refuseUntilDead makes the database refuse the coupons of many users for so long that their fail events end as dead;
// then operators discard some of them and retry the others.
func refuseUntilDead(ctx context.Context, w *world, s step) (healing, error) {
	accept, err := w.refuseUsers(ctx, 3, s.between(0, 2))
	return func(ctx context.Context) error { return errors.Join(accept(ctx), w.decideDeadEvents(ctx)) }, err
}

func (w *world) decideDeadEvents(ctx context.Context) error {
	events, err := w.readEvents(ctx)
	if err != nil {
		return err
	}
	const most = 20
	decided := 0
	for _, event := range events {
		if event.status != domain.FailStatusDead || event.resolved || decided == most {
			continue
		}
		decided++
		decide := w.operator.retryEvent
		if decided%2 == 0 {
			w.giveUp(event.user)
			decide = w.operator.discardEvent
		}
		if failed := decide(ctx, event.id); failed != nil {
			err = errors.Join(err, fmt.Errorf("fail event %d: %w", event.id, failed))
		}
	}
	w.timeline.add("%d dead fail events: every other one discarded, the rest retried", decided)
	return err
}
