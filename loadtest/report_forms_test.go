package loadtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openLoop(t *testing.T) Report {
	t.Helper()
	cfg := configFor(newFake().start(t))
	cfg.Rate, cfg.Ramp, cfg.BurstAt, cfg.BurstUsers = 2000, 50*time.Millisecond, 60*time.Millisecond, 100
	var out bytes.Buffer
	report, err := Run(t.Context(), cfg, &out)
	require.NoError(t, err)
	assert.Contains(t, out.String(), "2000/s after 50ms of ramp, 100 at once at 60ms")
	return report
}

func TestTheOpenLoopComparesUserByUserToo(t *testing.T) {
	t.Parallel()
	report := openLoop(t)
	assert.Empty(t, report.Differences)
	assert.True(t, report.Settled)
	assert.Equal(t, map[string]int{"202 accepted": 100, "409 sold-out": 200}, report.Answers)
	assert.GreaterOrEqual(t, report.Elapsed, 100*time.Millisecond, "200 users at 2,000 a second")
}

func TestTheReportAsJSONHasAllOfIt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, openLoop(t).WriteJSON(&out))
	var read struct {
		Answers     map[string]int     `json:"answers"`
		Latency     map[string]float64 `json:"latency_ms"`
		Intervals   []map[string]any   `json:"intervals"`
		Rate        float64            `json:"rate_per_second"`
		Differences []string           `json:"differences"`
		Settled     bool               `json:"settled"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	assert.Equal(t, 100, read.Answers["202 accepted"])
	assert.Positive(t, read.Latency["p99.9"])
	assert.NotEmpty(t, read.Intervals)
	assert.InDelta(t, 2000, read.Rate, 0.1)
	assert.NotNil(t, read.Differences)
	assert.True(t, read.Settled)
}

func TestThePageNeedsNothingElseAndEscapesWhatServersSay(t *testing.T) {
	report := Report{
		Campaign: "<script>alert(1)</script>", Rate: 10, Settled: true, Answers: map[string]int{"409 <b>": 1},
		Comparison: Comparison{Differences: make([]Difference, 70)},
	}
	report.Differences[0].Detail = "<img src=x>"
	var out bytes.Buffer
	require.NoError(t, report.WriteHTML(&out))
	page := out.String()
	for _, bad := range []string{"<script", "<b>409", "<img", "src=\"", "href=\"", "@import", "url("} {
		assert.NotContains(t, page, bad)
	}
	assert.NotContains(t, strings.ReplaceAll(page, `xmlns="http://www.w3.org/2000/svg"`, ""), "http")
	assert.Contains(t, page, "and 20 more")
	assert.Contains(t, page, "prefers-color-scheme:dark")
	assert.Equal(t, 3, strings.Count(page, "<svg"))
}

func TestARunOfEachSecondIsKept(t *testing.T) {
	measured := newRecorder()
	for second, requests := range []int{3, 0, 5} {
		for range requests {
			at := measured.began.Add(time.Duration(second)*time.Second + 500*time.Millisecond)
			measured.record(Answer{Status: 202, Latency: time.Duration(second+1) * time.Millisecond}, at)
		}
	}
	intervals := measured.finish()
	require.Len(t, intervals, 2, "a second without answers has no latency")
	assert.Equal(t, Interval{Start: 0, Requests: 3, P50: time.Millisecond, P99: time.Millisecond}, intervals[0])
	assert.Equal(t, 2*time.Second, intervals[1].Start)
	assert.EqualValues(t, 5, intervals[1].Requests)
	assert.Contains(t, measured.progress().figures(), "202: 8")
}
