//go:build realservers

package sqlledger

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// millionEvents is how many fail events there are; most are done with, as after a long life.
const millionEvents = 1_000_000

// seedFailEvents writes fail events of every status and reason, by statements of many rows, and then has the server look
// at what there is, as it does by itself after a while.
func seedFailEvents(tb testing.TB, ledger *Ledger, events int) {
	tb.Helper()
	const page = 2000
	statuses := []domain.FailStatus{"SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "DEAD", "DEAD", "FAIL", "PROCESSING"}
	began := time.Now().UTC().Add(-24 * time.Hour)
	for first := 0; first < events; first += page {
		rows := make([]failEventRow, page)
		for i := range rows {
			n := first + i
			at := storedTime(began.Add(time.Duration(n) * 80 * time.Millisecond))
			row := failEventRowOf(domain.FailEvent{
				Winner: domain.Winner{
					Campaign: fmt.Sprintf("sale-%d", n%7), UserID: domain.UserID(n + 1), AdmittedAt: at, Epoch: 1,
				},
				Reason: domain.FailReasons[n/10%len(domain.FailReasons)], ErrorMessage: fmt.Sprintf("event %d was refused by the database", n),
				Raw: fmt.Appendf(nil, "%d", n+1), Position: domain.RecordPosition{Topic: "coupon_create", Offset: int64(n)},
				NextAttemptAt: at,
			}, at)
			row.Status = string(statuses[n%len(statuses)])
			if row.Status == "SUCCESS" {
				row.ResolvedAt = optionalTime(at)
			}
			rows[i] = row
		}
		require.NoError(tb, ledger.db.Create(&rows).Error)
	}
	require.NoError(tb, ledger.db.Exec("ANALYZE TABLE fail_event").Error)
}

// BenchmarkFailEventsMillion measures what operators and retryers ask of a million fail events, and reports the 95th
// percentile of each question:
//
//	go test -tags realservers -run '^$' -bench FailEventsMillion -benchtime 40x ./store/sqlledger
func BenchmarkFailEventsMillion(b *testing.B) {
	ledger := openRealLedger(b, serverSettings(b, servers["MySQL"]))
	seedFailEvents(b, ledger, millionEvents)
	measureQuestions(b, ledger)
	b.Run("bulk-retry-10000", func(b *testing.B) { benchmarkBulk(b, ledger) })
}

// measureQuestions asks everything that is asked of fail events.
func measureQuestions(b *testing.B, ledger *Ledger) {
	b.Helper()
	ctx := context.Background()
	day := time.Now().Add(-24 * time.Hour)
	filters := []struct {
		name   string
		filter domain.FailEventFilter
	}{
		{"first-page", domain.FailEventFilter{}},
		{"status", domain.FailEventFilter{Status: domain.FailStatusDead}},
		{"reason", domain.FailEventFilter{Reason: domain.ReasonSlotTaken}},
		{"campaign", domain.FailEventFilter{Campaign: "sale-3"}},
		{"user", domain.FailEventFilter{UserID: 500_000}},
		{"time", domain.FailEventFilter{From: day.Add(time.Hour), Until: day.Add(2 * time.Hour)}},
		{"status-reason-campaign", domain.FailEventFilter{Status: domain.FailStatusFail, Reason: domain.ReasonSlotTaken, Campaign: "sale-3"}},
		{"status-campaign-time", domain.FailEventFilter{
			Status: domain.FailStatusDead, Campaign: "sale-3", From: day.Add(time.Hour), Until: day.Add(2 * time.Hour),
		}},
		{"nothing-matches", domain.FailEventFilter{Status: domain.FailStatusDead, Campaign: "no-such-sale"}},
		{"text", domain.FailEventFilter{Text: "event 99512"}},
		{"text-found-nowhere", domain.FailEventFilter{Text: "zzz", Status: domain.FailStatusDead}},
	}
	for _, one := range filters {
		one.filter.Limit = 101
		measureP95(b, one.name, func() error { _, err := ledger.FailEvents(ctx, one.filter); return err })
	}
	measureP95(b, "deep-page", func() error {
		_, err := ledger.FailEvents(ctx, domain.FailEventFilter{Status: domain.FailStatusDead, BeforeID: 500_000, Limit: 101})
		return err
	})
	measureP95(b, "counts", func() error { _, err := ledger.CountFailEvents(ctx, "", 1000); return err })
	measureP95(b, "counts-campaign", func() error { _, err := ledger.CountFailEvents(ctx, "sale-3", 1000); return err })
	measureP95(b, "claim", func() error { _, err := ledger.ClaimFailEvents(ctx, 100, time.Hour, 10*time.Minute); return err })
}

// measureP95 runs a question once to warm up, then b.N times.
func measureP95(b *testing.B, name string, ask func() error) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		require.NoError(b, ask())
		var took []time.Duration
		for b.Loop() {
			began := time.Now()
			require.NoError(b, ask())
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
	})
}

// benchmarkBulk retries some ten thousand events once, whatever b.N, and reports how long it took and how often it told.
func benchmarkBulk(b *testing.B, ledger *Ledger) {
	b.Helper()
	ctx := context.Background()
	began := time.Now()
	order := domain.BulkOrder{Action: domain.BulkRetry, Filter: domain.FailEventFilter{Status: domain.FailStatusDead, Campaign: "sale-3"}}
	job, err := ledger.StartBulk(ctx, order, "a benchmark")
	require.NoError(b, err)
	steps := 0
	for job.Status != domain.BulkDone && job.Done < 10_000 {
		job, err = ledger.StepBulk(ctx, job)
		require.NoError(b, err)
		steps++
	}
	b.ReportMetric(time.Since(began).Seconds(), "s")
	b.ReportMetric(float64(job.Done), "events")
	b.ReportMetric(float64(steps), "reports")
}
