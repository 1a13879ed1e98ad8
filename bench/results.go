package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firstcome/bench/gauge"
)

// costs are counters that only grow, read before and after a measurement.
type costs struct {
	redisCalls int64
	// cpu is seconds by name of the process.
	cpu      map[string]float64
	outcomes map[string]float64
	resident float64
}

// readCosts reads the counters of a process and of the servers behind it.
func (r *round) readCosts(ctx context.Context, p *process) (costs, error) {
	calls, err := redisCalls(ctx, r.redis)
	if err != nil {
		return costs{}, err
	}
	found := costs{redisCalls: calls, resident: gauge.ResidentMiB(p.pid()), cpu: map[string]float64{
		serverCPU: gauge.CPUSeconds(p.pid()), "redis": gauge.CPUSeconds(r.pid("redis")), "kafka": gauge.CPUSeconds(r.pid("kafka")),
	}}
	if p.name == apiProcess || p.name == singleProcess || p.name == slowedProcess {
		found.outcomes, err = counters(ctx, p, "firstcome_applications_total", "outcome")
	}
	return found, err
}

// Names in sample.CPUMicros, beside those of the servers.
const (
	serverCPU = "server"
	wrkCPU    = "wrk"
)

// sample is one measurement.
type sample struct {
	Scenario    string  `json:"scenario"`
	Round       int     `json:"round"`
	Connections int     `json:"connections,omitempty"`
	PerSecond   float64 `json:"per_second"`
	// LatencyMicros is by percentile ("99.9").
	LatencyMicros map[string]float64 `json:"latency_us,omitempty"`
	// RedisCalls and CPUMicros are what one application cost.
	RedisCalls  float64            `json:"redis_calls,omitempty"`
	CPUMicros   map[string]float64 `json:"cpu_us,omitempty"`
	ResidentMiB float64            `json:"resident_mib,omitempty"`
	// Other is the share of answers that were neither what was asked for nor wrong (503, or "reserved").
	Other float64 `json:"other,omitempty"`
	// More is what only some scenarios have, by name with the unit last.
	More map[string]float64 `json:"more,omitempty"`
}

func newSample(s scenario, connections int, got load, before, after costs) sample {
	each := float64(max(got.Requests, 1))
	cpu := map[string]float64{wrkCPU: got.CPUSeconds * 1e6 / each}
	for name, seconds := range after.cpu {
		cpu[name] = (seconds - before.cpu[name]) * 1e6 / each
	}
	return sample{
		Scenario: s.name, Connections: connections, PerSecond: got.perSecond(), LatencyMicros: got.LatencyMicros,
		RedisCalls: float64(after.redisCalls-before.redisCalls) / each, CPUMicros: cpu, ResidentMiB: after.resident,
	}
}

// String is the line that is printed while the benchmark runs.
func (s sample) String() string {
	line := fmt.Sprintf("round %d  %-28s %5d connections %9.0f/s", s.Round, s.Scenario, s.Connections, s.PerSecond)
	if p99, measured := s.LatencyMicros["99"]; measured {
		line += fmt.Sprintf("  p99 %7.2f ms  %.3f Redis calls  %5.1f us of CPU", p99/1000, s.RedisCalls, s.CPUMicros[serverCPU])
	}
	if s.Other > 0 {
		line += fmt.Sprintf("  %.2f %% undecided", 100*s.Other)
	}
	for _, name := range slices.Sorted(maps.Keys(s.More)) {
		line += fmt.Sprintf("  %s %.1f", name, s.More[name])
	}
	return line
}

// results is the file that the document is made of.
type results struct {
	Machine []string `json:"machine"`
	Samples []sample `json:"samples"`
}

// readResults gives none where there is no file yet.
func readResults(path string) (*results, error) {
	found := &results{}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(content, found)
	return found, err
}

// write puts one sample on a line, so that a change of the figures can be read.
func (r *results) write(path string) error {
	var text strings.Builder
	machine, err := json.Marshal(r.Machine)
	if err != nil {
		return err
	}
	fmt.Fprintf(&text, "{\"machine\": %s,\n\"samples\": [", machine)
	for i, s := range r.Samples {
		line, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if i > 0 {
			text.WriteString(",")
		}
		fmt.Fprintf(&text, "\n%s", line)
	}
	text.WriteString("\n]}\n")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text.String()), 0o644) //nolint:gosec // it is part of the repository
}

func (r *results) lastRound() int {
	last := 0
	for _, s := range r.Samples {
		last = max(last, s.Round)
	}
	return last
}

// spread is what several rounds have measured.
type spread struct {
	Median, Low, High float64
	Rounds            int
}

// of gives the spread of one figure of a scenario; its Rounds is 0 when it was not measured.
func (r *results) of(name string, connections int, figure func(sample) float64) spread {
	var values []float64
	for _, s := range r.Samples {
		if s.Scenario == name && s.Connections == connections {
			values = append(values, figure(s))
		}
	}
	return spreadOf(values)
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	middle := len(values) / 2
	median := values[middle]
	if len(values)%2 == 0 {
		median = (values[middle-1] + values[middle]) / 2
	}
	return spread{Median: median, Low: values[0], High: values[len(values)-1], Rounds: len(values)}
}

// ratio compares two scenarios round by round, so that what slowed the machine down in one round slows both.
func (r *results) ratio(name, base string, connections int, figure func(sample) float64) spread {
	bases := map[int]float64{}
	for _, s := range r.Samples {
		if s.Scenario == base && s.Connections == connections {
			bases[s.Round] = figure(s)
		}
	}
	var values []float64
	for _, s := range r.Samples {
		if against := bases[s.Round]; s.Scenario == name && s.Connections == connections && against > 0 {
			values = append(values, figure(s)/against)
		}
	}
	return spreadOf(values)
}
