package loadtest

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPrintIsBoundedAndTheReportHasAll(t *testing.T) {
	facts := Facts{Quota: 200}
	for user := range 120 {
		facts.Answers = append(facts.Answers, accepted(1, 1))
		facts.Answers[user].UserID, facts.Answers[user].AnsweredFor = 0, 0
	}
	report := Report{Settled: true, Comparison: Compare(facts)}
	assert.Len(t, report.Differences, 120)
	var out bytes.Buffer
	report.Print(&out)
	assert.Equal(t, 50, strings.Count(out.String(), "lost-accepted: "))
	assert.Contains(t, out.String(), "differences  120\n")
	assert.Contains(t, out.String(), "and 70 more")
}

func TestPrintStatesMillisecondsAndCounts(t *testing.T) {
	report := Report{
		Campaign: "welcome", Quota: 100, Seed: 7, Users: 3, Concurrency: 2, Requests: 4, PerSecond: 8,
		Elapsed: 500 * time.Millisecond, Answers: map[string]int{"409 sold-out": 2, "202 accepted": 1},
		Latency: Latency{
			P50: 1500 * time.Microsecond, P90: 2 * time.Millisecond, P99: 3 * time.Millisecond, P999: 4 * time.Millisecond, Max: 1234 * time.Millisecond,
		},
	}
	var out bytes.Buffer
	report.Print(&out)
	assert.Equal(t, `campaign     welcome, quota 100
users        3, 2 at a time, order by seed 7
answers             1  202 accepted
                    2  409 sold-out
throughput   4 requests in 0.50 s, 8 per second
latency_ms   p50 1.50  p90 2.00  p99 3.00  p99.9 4.00  max 1234.00
settled      no: promises and coupons were not compared
`, out.String())
}

func TestTheRecorderTakesLatenciesOutOfItsRange(t *testing.T) {
	measured := newRecorder()
	measured.record(Answer{Latency: -time.Second}, time.Now())
	measured.record(Answer{Latency: 24 * time.Hour}, time.Now())
	assert.EqualValues(t, 2, measured.requests)
	assert.InDelta(t, 10*time.Minute, measured.percentiles().Max, float64(time.Second))
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestABrokenOutputEndsNoRun(t *testing.T) {
	t.Parallel()
	cfg := configFor(newFake().start(t))
	cfg.Progress = true
	report, err := Run(t.Context(), cfg, brokenWriter{})
	assert.NoError(t, err)
	assert.True(t, report.Settled)
}

func TestTheBarShowsTheNumberAndEndsItsLine(t *testing.T) {
	var out bytes.Buffer
	stop := watch(newBarDisplay(&out, 200), time.Hour, func() progress { return progress{done: 150, statuses: map[int]int64{202: 150}} })
	stop()
	assert.Contains(t, out.String(), "150/200")
	assert.Contains(t, out.String(), "202: 150")
	assert.True(t, strings.HasSuffix(out.String(), "\n"), "what is printed next must not continue the bar")
}
