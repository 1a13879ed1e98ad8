package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"firstcome/domain"
)

// readFacts reads the stores themselves, past firstcome's own reports.
func (w *world) readFacts(ctx context.Context) (facts, error) {
	var f facts
	if err := w.database.QueryRowContext(ctx, "SELECT quota, GREATEST(quota, slot_limit) FROM campaign WHERE code = ?", campaignCode).
		Scan(&f.quota, &f.highestSlot); err != nil {
		return f, err
	}
	var err error
	if f.rows, err = w.readRows(ctx); err != nil {
		return f, err
	}
	if f.events, err = w.readEvents(ctx); err != nil {
		return f, err
	}
	err = w.readGate(ctx, &f)
	return f, err
}

func (w *world) readRows(ctx context.Context) ([]row, error) {
	return query(ctx, w.database, func(rows *sql.Rows) (row, error) {
		var one row
		var slot, revokedSlot sql.NullInt64
		var admitted time.Time
		err := rows.Scan(&one.user, &slot, &revokedSlot, &one.revoked, &admitted)
		one.slot, one.revokedSlot = domain.Slot(slot.Int64), domain.Slot(revokedSlot.Int64)
		one.admitted = admitted.Sub(w.timeline.began)
		return one, err
	}, "SELECT user_id, slot, revoked_slot, revoked_at IS NOT NULL, admitted_at FROM coupon")
}

// readEvents gives the fail events that name a user of the campaign.
func (w *world) readEvents(ctx context.Context) ([]event, error) {
	return query(ctx, w.database, func(rows *sql.Rows) (event, error) {
		var one event
		return one, rows.Scan(&one.id, &one.user, &one.slot, &one.status, &one.resolved)
	}, "SELECT id, user_id, slot, status, resolved_at IS NOT NULL FROM fail_event WHERE campaign_code = ? AND user_id > 0", campaignCode)
}

func query[T any](ctx context.Context, database *sql.DB, read func(*sql.Rows) (T, error), text string, arguments ...any) ([]T, error) {
	rows, err := database.QueryContext(ctx, text, arguments...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		one, err := read(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// key names one of the campaign's keys in Redis.
func key(name string) string { return "coupon:{" + campaignCode + "}:" + name }

// mark notes how far Redis has come, for the verdict on the order of slots. Before the first winner there is no count.
func (w *world) mark(ctx context.Context) error {
	count, err := w.redis.Get(ctx, key("count")).Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	w.record.change(func(r *record) { r.marks = append(r.marks, mark{w.timeline.now(), count}) })
	return nil
}

func (w *world) readGate(ctx context.Context, f *facts) error {
	var err error
	if f.count, err = w.redis.Get(ctx, key("count")).Int64(); err != nil {
		return fmt.Errorf("%s: %w", key("count"), err)
	}
	free, err := w.redis.ZRange(ctx, key("free"), 0, -1).Result()
	if err != nil {
		return err
	}
	for _, slot := range free {
		number, err := strconv.ParseInt(slot, 10, 64)
		if err != nil {
			return err
		}
		f.free = append(f.free, domain.Slot(number))
	}
	users, err := w.redis.HGetAll(ctx, key("users")).Result()
	if err != nil {
		return err
	}
	f.holders = make(map[domain.UserID]domain.Slot, len(users))
	for user, value := range users {
		id, err := strconv.ParseInt(user, 10, 64)
		if err != nil {
			return err
		}
		text, _, _ := strings.Cut(value, ":")
		slot, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		f.holders[domain.UserID(id)] = domain.Slot(slot)
	}
	return nil
}
