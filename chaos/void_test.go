package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const brokenDictionary = `2026-11-24T08:00:00.0Z 0 [System] [MY-010116] [Server] mysqld starting
2026-11-24T08:00:01.0Z 1 [ERROR] [MY-010334] [Server] Failed to initialize DD Storage Engine
2026-11-24T08:00:01.1Z 0 [ERROR] [MY-010020] [Server] Data Dictionary initialization failed.
2026-11-24T08:00:02.0Z 0 [System] [MY-010910] [Server] Shutdown complete
`

func TestARunIsVoidOnlyIfTheDatabaseDoesNotComeBack(t *testing.T) {
	assert.Empty(t, voidReason(nil, brokenDictionary), "it has come back, whatever it said before")
	reason := voidReason(errors.New("servers.sh start: exit status 1\nmore"), brokenDictionary)
	assert.Equal(t, "void: MySQL does not come back: servers.sh start: exit status 1; its log ends with: "+
		"2026-11-24T08:00:01.1Z 0 [ERROR] [MY-010020] [Server] Data Dictionary initialization failed.", reason)
	assert.Equal(t, "void: MySQL does not come back: refused", voidReason(errors.New("refused"), "no such line"))
	assert.Less(t, len(voidReason(errors.New(strings.Repeat("x", 9000)), "[ERROR] "+strings.Repeat("y", 9000))), 700)
}

func TestAVoidRunIsNeitherADifferenceNorASuccess(t *testing.T) {
	void := report{Seed: 5, Commit: "abc", Void: "void: MySQL does not come back", Struck: map[string]int{"disk full": 3}, Rows: 7}
	good := report{Seed: 6, Commit: "abc", Struck: map[string]int{"disk full": 1}, Rows: 2}
	assert.Contains(t, void.line(), "seed 5: void: MySQL does not come back in 0s")
	text := summary([]report{void, good})
	for _, line := range []string{
		"| chaos runs | 1 |", "| seeds | 6 |", "| faults | 1 of 1 kinds struck, 0 could not strike |", "| differences | 0 |",
		"| void runs, which count nowhere above | 1: seed 5 (void: MySQL does not come back) |", "| disk full | 1 | 0 |",
	} {
		assert.Contains(t, text, line+"\n")
	}
	assert.NotContains(t, summary([]report{good}), "void")

	var out bytes.Buffer
	folder := t.TempDir()
	void.Folder = folder
	assert.False(t, void.tell(&out))
	assert.DirExists(t, folder, "timeline and logs are kept, so that a person can look")
	assert.Contains(t, out.String(), folder)
}

func TestTheExitCodeOfVoidRuns(t *testing.T) {
	void, good, bad := report{Void: "void: x"}, report{}, report{Differences: []string{"x"}}
	assert.Equal(t, 0, exitCode([]report{good, void}))
	assert.Equal(t, 1, exitCode([]report{good, void, bad}))
	assert.Equal(t, 2, exitCode([]report{void}), "nothing was shown")
	assert.Equal(t, 0, exitCode(nil))
}
