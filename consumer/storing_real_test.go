//go:build realservers

package consumer

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/store/kafkaqueue"
	"firstcome/store/sqlledger"
)

const (
	// storingRows is how many rows each round of BenchmarkStoring stores in batches, plainRows how many one by one.
	storingRows = 200_000
	plainRows   = 10_000
	storingSize = 500
)

// BenchmarkStoring measures, in each round on tables of their own: the same multi-row inserts alone; the consumer that
// drains a topic which holds as many records; and the plain design, one row a commit. The ratios are what counts.
func BenchmarkStoring(b *testing.B) {
	var bare, consumed, plain time.Duration
	rounds := 0
	for b.Loop() {
		rounds++
		bare += insertBatches(b, newStoring(b))
		consumed += drainTopic(b, newStoring(b))
		plain += insertOneByOne(b, newStoring(b))
	}
	perSecond := func(rows int, took time.Duration) float64 { return float64(rows*rounds) / took.Seconds() }
	b.ReportMetric(perSecond(storingRows, bare), "bare-rows/s")
	b.ReportMetric(perSecond(storingRows, consumed), "consumer-rows/s")
	b.ReportMetric(perSecond(plainRows, plain), "plain-rows/s")
	b.ReportMetric(perSecond(storingRows, consumed)/perSecond(storingRows, bare), "consumer/bare")
	b.ReportMetric(perSecond(storingRows, consumed)/perSecond(plainRows, plain), "consumer/plain")
}

// storing is a database of its own with one campaign, at epoch 1.
type storing struct {
	dsn    string
	pool   *sql.DB
	ledger *sqlledger.Ledger
}

func newStoring(tb testing.TB) storing {
	tb.Helper()
	settings, err := mysql.ParseDSN(os.Getenv("FIRSTCOME_TEST_DATABASE_DSN"))
	require.NoError(tb, err, "run make test-real")
	server, err := sql.Open("mysql", settings.FormatDSN())
	require.NoError(tb, err)
	settings.DBName = "firstcome_test_" + strings.ToLower(rand.Text())
	_, err = server.ExecContext(tb.Context(), "CREATE DATABASE "+settings.DBName)
	require.NoError(tb, err)
	s := storing{dsn: settings.FormatDSN()}
	s.ledger, err = sqlledger.Open(sqlledger.Config{Dialect: sqlledger.DialectMySQL, DSN: s.dsn},
		prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.NoError(tb, err)
	require.NoError(tb, s.ledger.Migrate(tb.Context()))
	s.pool, err = sql.Open("mysql", s.dsn)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_, err := server.ExecContext(context.Background(), "DROP DATABASE "+settings.DBName)
		require.NoError(tb, err)
		require.NoError(tb, s.ledger.Close())
		require.NoError(tb, s.pool.Close())
		require.NoError(tb, server.Close())
	})
	_, err = s.ledger.CreateCampaign(tb.Context(), domain.Campaign{
		Code: sale, Quota: domain.MaxQuota, State: domain.CampaignOpen, StartsAt: time.Now(), EndsAt: domain.NoEnd,
	}, "benchmark")
	require.NoError(tb, err)
	_, err = s.ledger.BeginRebuild(tb.Context(), sale, 0)
	require.NoError(tb, err)
	return s
}

// storedWinner gives the n-th winner; users come in no order, as they do in a sale.
func storedWinner(n int) domain.Winner {
	return domain.Winner{
		Campaign: sale, UserID: domain.UserID(uint64(n)*0x9E3779B97F4A7C15>>1) + 1, Slot: domain.Slot(n), Epoch: 1,
		AdmittedAt: time.UnixMilli(1_700_000_000_000 + int64(n/10)).UTC(),
	}
}

// insertBatches is what the database can do alone: statements made before, one connection, one statement a commit.
func insertBatches(tb testing.TB, s storing) time.Duration {
	tb.Helper()
	var statements []string
	for first := 1; first <= storingRows; first += storingSize {
		var text strings.Builder
		text.WriteString("INSERT INTO coupon (campaign_id, user_id, slot, admitted_at, issued_at) VALUES ")
		for n := first; n < first+storingSize; n++ {
			at := storedWinner(n).AdmittedAt.Format("2006-01-02 15:04:05.000000")
			fmt.Fprintf(&text, "(1,%d,%d,'%s','%s'),", storedWinner(n).UserID, n, at, at)
		}
		statements = append(statements, strings.TrimSuffix(text.String(), ","))
	}
	started := time.Now()
	for _, statement := range statements {
		_, err := s.pool.ExecContext(tb.Context(), statement)
		require.NoError(tb, err)
	}
	return time.Since(started)
}

func insertOneByOne(tb testing.TB, s storing) time.Duration {
	tb.Helper()
	insert, err := s.pool.PrepareContext(tb.Context(),
		"INSERT INTO coupon (campaign_id, user_id, slot, admitted_at, issued_at) VALUES (1, ?, ?, ?, ?)")
	require.NoError(tb, err)
	defer insert.Close()
	started := time.Now()
	for n := 1; n <= plainRows; n++ {
		winner := storedWinner(n)
		_, err := insert.ExecContext(tb.Context(), int64(winner.UserID), n, winner.AdmittedAt, winner.AdmittedAt)
		require.NoError(tb, err)
	}
	return time.Since(started)
}

// drainTopic fills a topic of its own, and measures from the first poll until the last row.
func drainTopic(tb testing.TB, s storing) time.Duration {
	tb.Helper()
	logger := slog.New(slog.DiscardHandler)
	name := "storing-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	queue := kafkaqueue.Config{
		Brokers: strings.Split(os.Getenv("FIRSTCOME_TEST_KAFKA_BROKERS"), ","), Topic: name, Group: name,
		PublishTimeout: time.Minute,
	}
	require.NoError(tb, kafkaqueue.EnsureTopic(tb.Context(), queue))
	publisher, err := kafkaqueue.OpenPublisher(queue, prometheus.NewRegistry(), logger)
	require.NoError(tb, err)
	for first := 1; first <= storingRows; first += 5000 {
		winners := make([]domain.Winner, 5000)
		for i := range winners {
			winners[i] = storedWinner(first + i)
		}
		require.NoError(tb, publisher.PublishAll(tb.Context(), winners))
	}
	require.NoError(tb, publisher.Close())

	source, err := kafkaqueue.OpenSource(queue, prometheus.NewRegistry(), logger)
	require.NoError(tb, err)
	defer source.Close()
	w := newWorld(1) // its gate is never asked
	steps := &stepTimes{Source: source, CouponStore: s.ledger}
	consumer, err := New(Config{BatchSize: storingSize}, Ports{Source: steps, Coupons: steps, Gate: w, Mender: w},
		prometheus.NewRegistry(), logger)
	require.NoError(tb, err)
	require.Eventually(tb, func() bool { return source.Ready(tb.Context()) == nil }, time.Minute, time.Millisecond)
	started := time.Now()
	stop := consumer.start()
	for consumer.State().RowsStored < storingRows {
		require.Less(tb, time.Since(started), 2*time.Minute)
		time.Sleep(time.Millisecond)
	}
	took := time.Since(started)
	require.NoError(tb, stop())
	tb.Logf("%v: %v polling, %v storing, %v committing", took,
		time.Duration(steps.poll.Load()), time.Duration(steps.store.Load()), time.Duration(steps.commit.Load()))
	return took
}

// stepTimes sums up what each step of the consumer waited for.
type stepTimes struct {
	domain.Source
	domain.CouponStore
	poll, store, commit atomic.Int64
}

func timed[T any](total *atomic.Int64, call func() (T, error)) (T, error) {
	started := time.Now()
	defer func() { total.Add(int64(time.Since(started))) }()
	return call()
}

func (s *stepTimes) Poll(ctx context.Context, limit int, linger time.Duration) ([]domain.Delivery, error) {
	return timed(&s.poll, func() ([]domain.Delivery, error) { return s.Source.Poll(ctx, limit, linger) })
}

func (s *stepTimes) Commit(ctx context.Context, deliveries []domain.Delivery) error {
	_, err := timed(&s.commit, func() (struct{}, error) { return struct{}{}, s.Source.Commit(ctx, deliveries) })
	return err
}

func (s *stepTimes) StoreCoupons(ctx context.Context, campaign string, winners []domain.Winner) ([]domain.StoreResult, error) {
	return timed(&s.store, func() ([]domain.StoreResult, error) { return s.CouponStore.StoreCoupons(ctx, campaign, winners) })
}
