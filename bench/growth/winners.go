package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firstcome/bench/gauge"
	"firstcome/domain"
	"firstcome/store/sqlledger"
)

const (
	// insertBatch is how many rows a transaction stores: FIRSTCOME_BATCH_SIZE by default.
	insertBatch = 500
	// sampleRows are stored while the rate is measured.
	sampleRows = 10_000
	// admissions are made one after the other, each in a call of its own.
	admissions = 2000
	// rebuildPatience is for the largest campaign.
	rebuildPatience = 3 * time.Minute
)

// measureWinners lets one campaign grow, in Redis and in the coupon table.
func measureWinners(ctx context.Context, l *lab) (string, error) {
	campaign := campaignOf(0, 2*maxSize)
	if err := l.addRow(ctx, campaign); err != nil {
		return "", err
	}
	memory, err := l.redisMemory(ctx)
	if err != nil {
		return "", err
	}
	ledger, err := sqlledger.Open(sqlledger.Config{Dialect: sqlledger.DialectMySQL, DSN: l.dsn(l.name)},
		prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	defer func() { _ = ledger.Close() }()
	into := &storer{ledger: ledger, campaign: campaign}
	lines := []string{
		"| winners | Redis: bytes a winner, all keys | MEMORY USAGE of the users, MiB | Redis: one admission alone, µs | rows a second, one writer, at that size | gate rebuilt after the loss of Redis, s (retryer's memory, MiB) |",
		"|---|---|---|---|---|---|",
	}
	for _, winners := range l.winners {
		line, err := l.measureWinnersAt(ctx, into, winners, memory)
		if err != nil {
			return "", fmt.Errorf("with %d winners: %w", winners, err)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n") + "\n", nil
}

func (l *lab) measureWinnersAt(ctx context.Context, into *storer, winners int, memoryBefore int64) (string, error) {
	if err := l.redis.FlushAll(ctx).Err(); err != nil {
		return "", err
	}
	if err := l.openGate(ctx, into.campaign, winners); err != nil {
		return "", err
	}
	memory, err := l.redisMemory(ctx)
	if err != nil {
		return "", err
	}
	users, err := l.redis.MemoryUsage(ctx, "coupon:{"+into.campaign.Code+"}:users", 0).Result() // 0: it looks at every one
	if err != nil {
		return "", err
	}
	admission, err := l.timeAdmissions(ctx, into.campaign.Code)
	if err != nil {
		return "", err
	}
	rate, err := into.storeUpTo(ctx, winners)
	if err != nil {
		return "", err
	}
	rebuild, err := l.rebuild(ctx, &into.campaign)
	return fmt.Sprintf("| %d | %.0f | %.1f | %.0f | %.0f | %s |",
		winners, float64(memory-memoryBefore)/float64(winners), float64(users)/(1<<20), admission, rate, rebuild), err
}

// rebuild takes everything from Redis while a retryer runs, and gives a cell: the seconds until the gate of the stored
// winners is open again, and the most memory that the retryer had. The campaign is at the rebuilt epoch then.
func (l *lab) rebuild(ctx context.Context, campaign *domain.Campaign) (string, error) {
	if _, err := l.startRole(ctx, "api"); err != nil { // makes the topic
		return "", err
	}
	retryer, err := l.startRole(ctx, "retryer")
	if err != nil {
		return "", err
	}
	defer l.stopProcesses()
	if err := l.redis.FlushAll(ctx).Err(); err != nil {
		return "", err
	}
	began, memory := time.Now(), 0.0
	err = until(ctx, rebuildPatience, "the gate is rebuilt", func() (bool, error) {
		memory = max(memory, gauge.ResidentMiB(retryer.pid()))
		open, err := l.openGates(ctx, 1)
		return open == 1, err
	})
	took := time.Since(began)
	if err != nil {
		return "", err
	}
	row := l.database.QueryRowContext(ctx, "SELECT epoch FROM campaign WHERE code = ?", campaign.Code)
	return fmt.Sprintf("%.1f (%.0f)", took.Seconds(), memory), row.Scan(&campaign.Epoch)
}

// timeAdmissions admits users one after the other, and gives the microseconds that one takes.
func (l *lab) timeAdmissions(ctx context.Context, code string) (float64, error) {
	admit := func() error {
		nextApplicant++
		_, err := domain.Admit(ctx, l.gate, code, userOf(nextApplicant))
		return err
	}
	// A gate that was made after a loss admits nobody new for two seconds.
	err := until(ctx, patience, "the gate admits", func() (bool, error) {
		err := admit()
		if domain.CodeOf(err) == domain.CodeGateClosed {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for range admissions {
		if err := admit(); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(began).Microseconds()) / admissions, nil
}

// storer stores winners as the consumer does.
type storer struct {
	ledger   *sqlledger.Ledger
	campaign domain.Campaign
	rows     int
}

// storeUpTo stores rows until there are so many, and gives the rate of those that follow then.
func (s *storer) storeUpTo(ctx context.Context, rows int) (float64, error) {
	if _, err := s.store(ctx, rows); err != nil {
		return 0, err
	}
	return s.store(ctx, rows+sampleRows)
}

// store stores rows until there are so many, and gives the rate.
func (s *storer) store(ctx context.Context, rows int) (float64, error) {
	began, before := time.Now(), s.rows
	for s.rows < rows {
		batch := make([]domain.Winner, 0, insertBatch)
		for range insertBatch {
			s.rows++
			batch = append(batch, domain.Winner{
				Campaign: s.campaign.Code, Epoch: s.campaign.Epoch,
				UserID: userOf(s.rows), Slot: domain.Slot(s.rows), AdmittedAt: began.UTC(),
			})
		}
		if _, err := s.ledger.StoreCoupons(ctx, s.campaign.Code, batch); err != nil {
			return 0, err
		}
	}
	return float64(s.rows-before) / time.Since(began).Seconds(), nil
}
