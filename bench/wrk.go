package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed load/apply.lua
var applyScript []byte

// load is what wrk reports of one measurement.
type load struct {
	Requests int64 `json:"requests"`
	// DurationMicros is how long it took; Above399 counts answers by their status, and Failed connections and
	// requests without an answer.
	DurationMicros int64              `json:"duration_us"`
	Above399       int64              `json:"above_399"`
	Failed         int64              `json:"failed"`
	LatencyMicros  map[string]float64 `json:"latency_us"`
	// CPUSeconds is what wrk itself used.
	CPUSeconds float64 `json:"-"`
}

func (l load) perSecond() float64 {
	return float64(l.Requests) / (time.Duration(l.DurationMicros) * time.Microsecond).Seconds()
}

// writeScript puts wrk's script into a folder, and gives its path.
func writeScript(folder string) (string, error) {
	path := filepath.Join(folder, "apply.lua")
	return path, os.WriteFile(path, applyScript, 0o600)
}

// target is what wrk is pointed at.
type target struct {
	script, url string
	connections int
	duration    time.Duration
	firstUser   int64
}

// runWrk puts load on a target for a while. The number of threads is that of the spike whose figures are compared.
func runWrk(ctx context.Context, at target) (load, error) {
	ctx, cancel := context.WithTimeout(ctx, at.duration+time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "wrk",
		"--threads", strconv.Itoa(min(2, at.connections)), "--connections", strconv.Itoa(at.connections),
		"--duration", fmt.Sprintf("%.0fs", at.duration.Seconds()), "--timeout", "10s",
		"--script", at.script, at.url, "--", strconv.FormatInt(at.firstUser, 10))
	output, err := command.CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w: %s", err, lastBytes(output, 2000))
	}
	found, err := readLoad(output)
	found.CPUSeconds = (command.ProcessState.UserTime() + command.ProcessState.SystemTime()).Seconds()
	return found, err
}

// readLoad finds the line of the script among what wrk prints itself.
func readLoad(output []byte) (load, error) {
	var found load
	for line := range bytes.Lines(output) {
		if bytes.HasPrefix(line, []byte("{")) {
			err := json.Unmarshal(line, &found)
			return found, err
		}
	}
	return found, fmt.Errorf("wrk has not printed its result: %s", lastBytes(output, 2000))
}
