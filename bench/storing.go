package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"firstcome/bench/gauge"
)

// Names of the storing scenarios.
const (
	storing      = "storing"
	bareInsert   = "bare insert"
	plainStoring = "plain design, storing"
	throttled    = "storing, throttled to 2,000"
)

const (
	// fillConnections collect winners before the storing is measured.
	fillConnections = 1000
	// rowsPerInsert is what FIRSTCOME_BATCH_SIZE is by default.
	rowsPerInsert = 500
	// fillWinners are enough to measure the consumer with, without a throttle and with one; mostFills bounds the loads
	// that collect them.
	fillWinners = 150_000
	mostFills   = 6
	// throttle is the rows a second at which the throttle is measured.
	throttle = 2000
)

// measureStoring measures, one after the other: the insert alone, the plain design, and firstcome's consumer, first with
// a throttle. Only one of them works at a time.
func (r *round) measureStoring(ctx context.Context) error {
	if err := r.fillTopics(ctx); err != nil {
		return err
	}
	bare, err := r.storeBare(ctx)
	if err != nil {
		return err
	}
	r.keep(bare)
	plain, err := r.storePlain(ctx)
	if err != nil {
		return err
	}
	r.keep(plain)
	slow, err := r.storeThrottled(ctx)
	if err != nil {
		return err
	}
	r.keep(slow)
	stored, err := r.storeOurs(ctx)
	if err != nil {
		return err
	}
	r.keep(stored)
	return nil
}

// fillTopics lets winners pile up in Kafka, while no consumer runs.
func (r *round) fillTopics(ctx context.Context) error {
	if _, running := r.processes[plainProcess]; !running {
		if err := makePlainTopic(r.kafka, r.name); err != nil {
			return err
		}
		if err := r.startServer(ctx, plainProcess); err != nil {
			return err
		}
	}
	won := 0.0
	for loads := 0; won < fillWinners && loads < mostFills; loads++ {
		load, err := r.measureScenario(ctx, scenario{"filling", apiProcess, fillCampaign, false, "accepted"}, fillConnections)
		if err != nil {
			return err
		}
		won += load.PerSecond * r.duration.Seconds()
	}
	_, err := r.measureScenario(ctx, scenario{"filling", plainProcess, fillCampaign, false, ""}, fillConnections)
	return err
}

// storeBare stores rows as fast as one connection can by the insert that the consumer uses, and nothing else: no Kafka,
// no lock on the campaign's row, no look at what is there.
func (r *round) storeBare(ctx context.Context) (sample, error) {
	const campaign = 1 << 40 // nobody's
	connection, err := r.database.Conn(ctx)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = connection.Close() }()
	statement := "INSERT INTO coupon (campaign_id, user_id, slot, admitted_at, issued_at) VALUES " +
		strings.TrimSuffix(strings.Repeat("(?,?,?,?,?),", rowsPerInsert), ",") + " ON DUPLICATE KEY UPDATE id = id"
	rows, began := int64(0), time.Now()
	for time.Since(began) < r.duration {
		values, now := make([]any, 0, 5*rowsPerInsert), time.Now().UTC()
		for range rowsPerInsert {
			rows++
			values = append(values, campaign, firstUser+rows, rows, now, now)
		}
		transaction, err := connection.BeginTx(ctx, nil)
		if err != nil {
			return sample{}, err
		}
		if _, err := transaction.ExecContext(ctx, statement, values...); err != nil {
			return sample{}, err
		}
		if err := transaction.Commit(); err != nil {
			return sample{}, err
		}
	}
	perSecond := float64(rows) / time.Since(began).Seconds()
	_, err = connection.ExecContext(ctx, "DELETE FROM coupon WHERE campaign_id = ?", int64(campaign))
	return sample{Scenario: bareInsert, PerSecond: perSecond}, err
}

// storePlain measures the plain design's consumer for a while; what it has not stored then is left.
func (r *round) storePlain(ctx context.Context) (sample, error) {
	if _, err := r.database.ExecContext(ctx, plainTable); err != nil {
		return sample{}, err
	}
	if err := r.startServer(ctx, plainConsumerProcess); err != nil {
		return sample{}, err
	}
	defer func() {
		r.processes[plainConsumerProcess].stop()
		delete(r.processes, plainConsumerProcess)
	}()
	rate, err := rate(ctx, r.duration, func(ctx context.Context) (rows float64, err error) {
		err = r.database.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) FROM plain_coupon").Scan(&rows)
		return rows, err
	})
	return sample{Scenario: plainStoring, PerSecond: rate}, err
}

// storeThrottled measures what an operator's throttle makes of the consumer, and lifts it.
func (r *round) storeThrottled(ctx context.Context) (_ sample, err error) {
	if err := r.operator.throttle(ctx, throttle); err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, r.operator.throttle(ctx, 0)) }()
	if err := r.startRole(ctx, consumerProcess); err != nil {
		return sample{}, err
	}
	p := r.processes[consumerProcess]
	defer func() {
		p.stop()
		delete(r.processes, consumerProcess)
	}()
	rate, err := rate(ctx, r.duration, func(ctx context.Context) (float64, error) { return rowsStored(ctx, p) })
	return sample{Scenario: throttled, PerSecond: rate}, err
}

// rowsStored counts the rows that a consumer has stored.
func rowsStored(ctx context.Context, consumer *process) (float64, error) {
	rows, err := counters(ctx, consumer, "firstcome_consumer_rows_stored_total", "")
	return rows[""], err
}

// storeOurs starts the consumer and measures it until it has nothing more to do, or for a while.
func (r *round) storeOurs(ctx context.Context) (sample, error) {
	before := gauge.CPUSeconds(r.pid("mysql"))
	if err := r.startRole(ctx, consumerProcess); err != nil {
		return sample{}, err
	}
	p := r.processes[consumerProcess]
	stored := 0.0
	rate, err := rate(ctx, r.duration, func(ctx context.Context) (_ float64, err error) {
		stored, err = rowsStored(ctx, p)
		return stored, err
	})
	if err != nil || stored == 0 {
		return sample{}, err
	}
	return sample{Scenario: storing, PerSecond: rate, CPUMicros: map[string]float64{
		serverCPU: gauge.CPUSeconds(p.pid()) * 1e6 / stored, "mysql": (gauge.CPUSeconds(r.pid("mysql")) - before) * 1e6 / stored,
	}}, nil
}

// idleAfter is how long no row comes when all are stored; a throttled batch of 500 rows comes every quarter of a second.
const idleAfter = time.Second

// rate waits for the first row, and then gives the rows a second for as long as stated. It ends early when all are
// stored. The time after the last row does not count.
func rate(ctx context.Context, duration time.Duration, read func(context.Context) (float64, error)) (float64, error) {
	var first, last float64
	err := eventually(ctx, startPatience, "the first row is stored", func(ctx context.Context) (err error) {
		if first, err = read(ctx); err == nil && first == 0 {
			err = fmt.Errorf("none is")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	latest := began
	last = first
	for time.Since(began) < duration && time.Since(latest) < idleAfter {
		gauge.Pause(ctx, 20*time.Millisecond)
		rows, err := read(ctx)
		if err != nil {
			return 0, err
		}
		if rows > last {
			last, latest = rows, time.Now()
		}
	}
	if latest.Equal(began) {
		return 0, fmt.Errorf("after the first %.0f rows none was stored", first)
	}
	return (last - first) / latest.Sub(began).Seconds(), nil
}
