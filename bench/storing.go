package main

import (
	"context"
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
)

const (
	// fillSeconds is how long winners are collected before the storing is measured.
	fillConnections = 1000
	// rowsPerInsert is what FIRSTCOME_BATCH_SIZE is by default.
	rowsPerInsert = 500
)

// measureStoring measures, one after the other: the insert alone, the plain design, and firstcome's consumer. Only one
// of them works at a time.
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
	fill := scenario{"filling", apiProcess, fillCampaign, false, "accepted"}
	if _, err := r.measureScenario(ctx, fill, fillConnections); err != nil {
		return err
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
	rate, err := r.rate(ctx, func(ctx context.Context) (rows float64, err error) {
		err = r.database.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) FROM plain_coupon").Scan(&rows)
		return rows, err
	})
	return sample{Scenario: plainStoring, PerSecond: rate}, err
}

// storeOurs starts the consumer and measures it until it has nothing more to do, or for a while.
func (r *round) storeOurs(ctx context.Context) (sample, error) {
	before := gauge.CPUSeconds(r.pid("mysql"))
	if err := r.startRole(ctx, consumerProcess); err != nil {
		return sample{}, err
	}
	p := r.processes[consumerProcess]
	stored := 0.0
	rate, err := r.rate(ctx, func(ctx context.Context) (float64, error) {
		rows, err := counters(ctx, p, "firstcome_consumer_rows_stored_total", "")
		stored = rows[""]
		return stored, err
	})
	if err != nil || stored == 0 {
		return sample{}, err
	}
	return sample{Scenario: storing, PerSecond: rate, CPUMicros: map[string]float64{
		serverCPU: gauge.CPUSeconds(p.pid()) * 1e6 / stored, "mysql": (gauge.CPUSeconds(r.pid("mysql")) - before) * 1e6 / stored,
	}}, nil
}

// rate waits for the first row, and then gives the rows a second for as long as a measurement lasts. It ends early when
// no row comes for a quarter of a second, and that time does not count.
func (r *round) rate(ctx context.Context, read func(context.Context) (float64, error)) (float64, error) {
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
	for time.Since(began) < r.duration && time.Since(latest) < 250*time.Millisecond {
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
