package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResultsAreReadBackAsTheyWereWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results")
	all := []report{
		{
			Seed: 7, Commit: "abc", Began: time.Unix(1_800_000_000, 0).UTC(), Faults: seconds(90 * time.Second), Took: seconds(100 * time.Second),
			Struck: map[string]int{"flush all": 2}, Missed: map[string]int{"disk full": 1}, Answers: map[outcome]int{accepted: 3, unknown: 1},
			Rows: 3, Ordered: 2, Repairs: map[string]int{"winner_lost": 1}, Differences: []string{"user 1 has two rows"}, Folder: "/kept",
		},
		{Seed: 8},
	}
	for _, r := range all {
		require.NoError(t, r.appendTo(path))
	}
	read, err := readReports(path)
	require.NoError(t, err)
	assert.Equal(t, all, read)
}

func TestRunsAreSummedUp(t *testing.T) {
	run := report{
		Seed: 7, Commit: "abc", Faults: seconds(time.Minute), Took: seconds(2 * time.Minute), Struck: map[string]int{"flush all": 2, "disk full": 1},
		Missed: map[string]int{"deadlocks": 1}, Answers: map[outcome]int{accepted: 3, unknown: 1}, Rows: 3, Ordered: 2,
		Repairs: map[string]int{"winner_lost": 1}, Differences: []string{"user 1 has two rows"},
	}
	others := []report{run, run, run}
	others[0].Seed, others[1].Seed, others[1].Commit, others[2].Seed = 8, 1, "def", 9
	text := summary(append(others, run))
	for _, line := range []string{
		"| chaos runs | 4 |", "| seeds | 1, 7–9 |", "| commits | abc, def |", "| minutes | 4 under faults, 8 in all |",
		"| faults | 12 of 2 kinds struck, 4 could not strike |", "| applications | 16 |", "| answers | 12 accepted, 4 unknown |",
		"| coupons | 12; of 8 the order of slots could be compared |", "| repairs by `audit --repair` | 4 winner_lost |",
		"| differences | 4 |", "| flush all | 8 | 0 |", "| deadlocks | 0 | 4 |",
	} {
		assert.Contains(t, text, line+"\n")
	}
}

func TestNothingIsSummedUpToo(t *testing.T) {
	assert.Contains(t, summary(nil), "| repairs by `audit --repair` | none |")
}
