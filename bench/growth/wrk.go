package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// load is what wrk's script reports.
type load struct {
	Requests       int64 `json:"requests"`
	DurationMicros int64 `json:"duration_us"`
	Above399       int64 `json:"above_399"`
	Failed         int64 `json:"failed"`
	// Undecided sums up Above399 and Failed where everybody should win.
	Undecided int64 `json:"-"`
	// LatencyMicros is by percentile.
	LatencyMicros map[string]float64 `json:"latency_us"`
}

func (l load) perSecond() float64 { return float64(l.Requests) * 1e6 / float64(l.DurationMicros) }

// runWrk applies to a URL for a while, for users from firstUser on.
func (l *lab) runWrk(ctx context.Context, url string, connections, seconds int, firstUser int64) (load, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, "wrk", "--threads", "1", "--connections", strconv.Itoa(connections),
		"--duration", fmt.Sprintf("%ds", seconds), "--timeout", "10s", "--script", l.script, url,
		"--", strconv.FormatInt(firstUser, 10)).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, output)
	}
	var found load
	for line := range bytes.Lines(output) {
		if bytes.HasPrefix(line, []byte("{")) {
			err = json.Unmarshal(line, &found)
			return found, err
		}
	}
	return found, fmt.Errorf("wrk has not printed its result: %s", output)
}
