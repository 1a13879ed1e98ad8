package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firstcome/bench/gauge"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatWrkPrintsIsRead(t *testing.T) {
	found, err := readLoad([]byte("Running 1s test\n" +
		`{"requests":1200,"duration_us":2000000,"above_399":3,"failed":1,"latency_us":{"50":10,"99.9":700}}` + "\nRequests/sec: 1\n"))
	require.NoError(t, err)
	assert.InDelta(t, 600, found.perSecond(), 0.001)
	assert.EqualValues(t, 3, found.Above399)
	assert.InDelta(t, 700, found.LatencyMicros["99.9"], 0.001)
	_, err = readLoad([]byte("unable to connect"))
	require.ErrorContains(t, err, "unable to connect")
}

func TestOnlyCallsOfClientsAreCounted(t *testing.T) {
	stats := "# Commandstats\r\ncmdstat_evalsha:calls=7,usec=1\r\ncmdstat_hget:calls=900,usec=1\r\ncmdstat_incr:calls=5,usec=1\r\ncmdstat_info:calls=2,usec=3\r\n"
	assert.EqualValues(t, 12, countCalls(stats))
}

func TestAWrongAnswerEndsTheMeasurement(t *testing.T) {
	win := scenario{name: winning, outcome: "accepted"}
	lose := scenario{name: soldOut, refused: true, outcome: "sold-out"}
	for name, test := range map[string]struct {
		scenario scenario
		got      load
		outcomes map[string]float64
		share    float64
		problem  string
	}{
		"all won":                {win, load{Requests: 10}, map[string]float64{"accepted": 12}, 0, ""},
		"one undecided":          {win, load{Requests: 10, Above399: 1}, map[string]float64{"accepted": 9, "overloaded": 1}, 0.1, ""},
		"reserved":               {win, load{Requests: 10}, map[string]float64{"accepted": 5, "reserved": 5}, 0.5, ""},
		"a false sold-out":       {win, load{Requests: 10, Above399: 1}, map[string]float64{"accepted": 9, "sold-out": 1}, 0, "sold-out"},
		"won twice":              {win, load{Requests: 10}, map[string]float64{"accepted": 9, "known": 1}, 0, "known"},
		"refused, not by us":     {win, load{Requests: 10, Above399: 1}, map[string]float64{"accepted": 10}, 0, "did not win"},
		"no answer":              {win, load{Requests: 10, Failed: 1}, map[string]float64{"accepted": 10}, 0, "failed"},
		"all refused":            {lose, load{Requests: 10, Above399: 10}, map[string]float64{"sold-out": 10}, 0, ""},
		"somebody won after all": {lose, load{Requests: 10, Above399: 9}, map[string]float64{"sold-out": 9, "accepted": 1}, 0, "accepted"},
		"no counters":            {scenario{refused: true}, load{Requests: 10, Above399: 9}, nil, 0, "were not refused"},
	} {
		t.Run(name, func(t *testing.T) {
			share, err := otherAnswers(test.scenario, test.got, test.outcomes)
			if test.problem != "" {
				require.ErrorContains(t, err, test.problem)
				return
			}
			require.NoError(t, err)
			assert.InDelta(t, test.share, share, 1e-9)
		})
	}
}

func TestRatiosAreMadeRoundByRound(t *testing.T) {
	found := &results{Samples: []sample{
		{Scenario: "a", Round: 1, PerSecond: 50}, {Scenario: "b", Round: 1, PerSecond: 100},
		{Scenario: "a", Round: 2, PerSecond: 30}, {Scenario: "b", Round: 2, PerSecond: 40},
		{Scenario: "a", Round: 3, PerSecond: 9000}, // its counterpart is missing
	}}
	assert.Equal(t, spread{Median: 0.625, Low: 0.5, High: 0.75, Rounds: 2}, found.ratio("a", "b", 0, perSecond))
	assert.Equal(t, spread{Median: 50, Low: 30, High: 9000, Rounds: 3}, found.of("a", 0, perSecond))
}

func TestResultsAreReadAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "results.json")
	none, err := readResults(path)
	require.NoError(t, err)
	assert.Equal(t, 0, none.lastRound())
	written := &results{Machine: []string{"2 cores"}, Samples: []sample{{Scenario: winning, Round: 4, Connections: 64, PerSecond: 1.5}}}
	require.NoError(t, written.write(path))
	again, err := readResults(path)
	require.NoError(t, err)
	assert.Equal(t, written, again)
	assert.Equal(t, 4, again.lastRound())
}

func TestTheDocumentKeepsWhatStandsOutsideOfTheMarks(t *testing.T) {
	document := []byte("before\n<!-- x -->\nold\n<!-- end of x -->\nafter\n")
	replaced, err := gauge.ReplaceMarked(document, "x", "new\n")
	require.NoError(t, err)
	assert.Equal(t, "before\n<!-- x -->\nnew\n<!-- end of x -->\nafter\n", string(replaced))
	unchanged, err := gauge.ReplaceMarked(document, "x", "")
	require.NoError(t, err)
	assert.Equal(t, document, unchanged)
	_, err = gauge.ReplaceMarked(document, "y", "new")
	require.Error(t, err)
}

// The document in the repository must have a place for every table.
func TestTheDocumentHasAllMarks(t *testing.T) {
	document, err := os.ReadFile("../docs/performance.md")
	require.NoError(t, err)
	for name := range tables(&results{}) {
		_, err := gauge.ReplaceMarked(document, name, "table")
		require.NoError(t, err)
	}
}

func TestFlags(t *testing.T) {
	o, err := parseOptions(strings.Fields("-rounds 2 -seconds 2 -only storing,http"))
	require.NoError(t, err)
	assert.Equal(t, []string{"storing", "http"}, o.only)
	for _, wrong := range []string{"-rounds 0", "-rounds 51", "-seconds 0", "-seconds 61", "-only winning"} {
		_, err := parseOptions(strings.Fields(wrong))
		require.Error(t, err, wrong)
	}
}

func TestWinnersAreCountedBetweenTwoMoments(t *testing.T) {
	began := time.Now()
	at := func(seconds int, accepted, resident float64) watched {
		return watched{began.Add(time.Duration(seconds) * time.Second), accepted, resident}
	}
	seen := looks{at(0, 0, 10), at(1, 5, 90), at(2, 100, 20), at(4, 300, 30), at(9, 1000, 5)}
	from, to := began.Add(2*time.Second), began.Add(5*time.Second)
	assert.InDelta(t, 100, seen.winnersPerSecond(from, to), 1e-9)
	assert.InDelta(t, 90, seen.peakMiB(), 1e-9)
	assert.Zero(t, seen.winnersPerSecond(to, to.Add(time.Second)), "no look, no figure")
}

func TestAnOverloadIsComparedWithItsOwnRoundsPeak(t *testing.T) {
	r := &results{}
	for round, rates := range [][2]float64{{1000, 900}, {100, 80}, {10, 10}} {
		r.Samples = append(r.Samples,
			sample{Scenario: crowded, Round: round, Connections: peakConnections, PerSecond: rates[0]},
			sample{Scenario: crowded, Round: round, Connections: crowdConnections, PerSecond: rates[1]})
	}
	assert.Equal(t, "**0.90** (0.80–1.00)", r.shareOfPeak(crowded, crowdConnections))
	assert.Equal(t, "1", r.shareOfPeak(crowded, peakConnections))
}

func TestAProfileTellsNothingOfTheMachine(t *testing.T) {
	printed := "File: firstcome\nTime: 2026-01-02\nShowing nodes accounting for 1s\n 1s 50% github.com/redis/go-redis/v9@v9.1.0/internal.Read\n"
	assert.Equal(t, "Showing nodes accounting for 1s\n 1s 50% github.com/redis/go-redis/v9/internal.Read\n", tidyRows(printed))
}
