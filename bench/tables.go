package main

import (
	"fmt"
	"strings"
)

// tables gives the tables of the document, by the names of their marks.
func tables(r *results) map[string]string {
	return map[string]string{
		"machine":    machineList(r),
		"goals":      goalTable(r),
		"throughput": throughputTable(r),
		"latency":    latencyTable(r),
		"cost":       costTable(r),
		"storing":    storingTable(r),
		"overload":   overloadTable(r),
	}
}

func machineList(r *results) string {
	if len(r.Machine) == 0 {
		return ""
	}
	return "- " + strings.Join(r.Machine, "\n- ")
}

func perSecond(s sample) float64 { return s.PerSecond }

// goal is a ratio that the project wants to reach.
type goal struct {
	what, name, base string
	connections      int
	least, aim       float64
}

var goals = []goal{
	{"sold-out ÷ a handler that does nothing", soldOut, nothingSoldOut, 64, 0.90, 0.97},
	{"sold-out ÷ a handler that does nothing", soldOut, nothingSoldOut, 1000, 0.90, 0.97},
	{"winning, acknowledged by Kafka ÷ a handler that does nothing", winning, nothingWinning, 64, 0, 0},
	{"winning, acknowledged by Kafka ÷ a handler that does nothing", winning, nothingWinning, 1000, 0.55, 0.75},
	{"winning ÷ winning with one call a request", winning, winningSingle, 1000, 1.4, 0},
	{"firstcome loadtest ÷ wrk, against sold-out", loadtestDriving, soldOut, 64, 0.5, 0},
	{"firstcome loadtest ÷ wrk, against sold-out", loadtestDriving, soldOut, 1000, 0.5, 0},
	{"storing ÷ the plain design's storing", storing, plainStoring, 0, 10, 0},
	{"storing ÷ the bare insert", storing, bareInsert, 0, 0.70, 0},
}

func goalTable(r *results) string {
	var text strings.Builder
	for _, g := range goals {
		found := r.ratio(g.name, g.base, g.connections, perSecond)
		if found.Rounds == 0 {
			continue
		}
		fmt.Fprintf(&text, "| %s | %s | %.2f (%.2f–%.2f) | %s |\n", g.what, connectionsCell(g.connections), found.Median, found.Low, found.High, g.wanted())
	}
	calls := r.of(winning, 1000, func(s sample) float64 { return s.RedisCalls })
	if calls.Rounds > 0 {
		fmt.Fprintf(&text, "| Redis calls an application, winning | 1000 | %.3f (%.3f–%.3f) | ≤ 0.15 |\n", calls.Median, calls.Low, calls.High)
	}
	if text.Len() == 0 {
		return ""
	}
	return "| ratio, medians of the rounds' own ratios | connections | measured (lowest–highest) | wanted |\n|---|---|---|---|\n" + text.String()
}

func (g goal) wanted() string {
	switch {
	case g.least == 0:
		return "–"
	case g.aim == 0:
		return fmt.Sprintf("≥ %.4g", g.least)
	}
	return fmt.Sprintf("≥ %.2f, aim %.2f", g.least, g.aim)
}

func connectionsCell(n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprint(n)
}

// byConnections makes a table with a line for each scenario and a column for each number of connections.
func byConnections(head string, cell func(name string, connections int) string) string {
	var text strings.Builder
	for _, s := range scenarios {
		cells := make([]string, len(connections))
		for i, n := range connections {
			if cells[i] = cell(s.name, n); cells[i] == "" {
				return ""
			}
		}
		fmt.Fprintf(&text, "| %s | %s |\n", s.name, strings.Join(cells, " | "))
	}
	return "| " + head + " | 1 connection | 64 | 1000 |\n|---|---|---|---|\n" + text.String()
}

func throughputTable(r *results) string {
	return byConnections("thousand applications a second", func(name string, n int) string {
		found := r.of(name, n, perSecond)
		if found.Rounds == 0 {
			return ""
		}
		cell := fmt.Sprintf("**%.1f** (%.1f–%.1f)", found.Median/1000, found.Low/1000, found.High/1000)
		if other := r.of(name, n, func(s sample) float64 { return s.Other }); other.High > 0 {
			cell += fmt.Sprintf("; undecided %.2f %%", 100*other.Median)
		}
		return cell
	})
}

func latencyTable(r *results) string {
	return byConnections("milliseconds, p50 / p99 / p99.9", func(name string, n int) string {
		var cells []string
		for _, percentile := range []string{"50", "99", "99.9"} {
			found := r.of(name, n, func(s sample) float64 { return s.LatencyMicros[percentile] })
			if found.Rounds == 0 {
				return ""
			}
			cells = append(cells, fmt.Sprintf("%.3g", found.Median/1000))
		}
		return strings.Join(cells, " / ")
	})
}

func costTable(r *results) string {
	return byConnections("Redis calls; µs of CPU: server + Redis + Kafka (wrk)", func(name string, n int) string {
		calls := r.of(name, n, func(s sample) float64 { return s.RedisCalls })
		if calls.Rounds == 0 {
			return ""
		}
		cpu := func(process string) float64 {
			return r.of(name, n, func(s sample) float64 { return s.CPUMicros[process] }).Median
		}
		return fmt.Sprintf("%.3f; %.1f + %.1f + %.1f (%.1f)", calls.Median, cpu(serverCPU), cpu("redis"), cpu("kafka"), cpu(wrkCPU))
	})
}

func storingTable(r *results) string {
	var text strings.Builder
	for _, name := range []string{bareInsert, storing, plainStoring, throttled} {
		found := r.of(name, 0, perSecond)
		if found.Rounds == 0 {
			return ""
		}
		fmt.Fprintf(&text, "| %s | **%.2f** (%.2f–%.2f) |\n", name, found.Median/1000, found.Low/1000, found.High/1000)
	}
	return "| thousand rows a second | median (lowest–highest) |\n|---|---|\n" + text.String()
}

func overloadTable(r *results) string {
	var text strings.Builder
	for _, load := range []struct {
		name, what  string
		connections int
	}{
		{crowded, "closed loop, 1,000 connections", peakConnections},
		{crowded, "closed loop, 8,000 connections", crowdConnections},
		{flooded, "a slowed server, kept busy", slowedConnections},
		{flooded, "a slowed server, ten times as many as it can serve", floodConnections},
	} {
		won := r.of(load.name, load.connections, perSecond)
		if won.Rounds == 0 {
			return ""
		}
		figure := func(read func(sample) float64) float64 { return r.of(load.name, load.connections, read).Median }
		fmt.Fprintf(&text, "| %s | **%.2f** (%.2f–%.2f) | %s | %.1f %% | %.3g / %.3g / %.3g | %.0f | %.0f |\n", load.what,
			won.Median/1000, won.Low/1000, won.High/1000, r.shareOfPeak(load.name, load.connections),
			100*figure(func(s sample) float64 { return s.Other }),
			figure(func(s sample) float64 { return s.LatencyMicros["50"] / 1000 }),
			figure(func(s sample) float64 { return s.LatencyMicros["99"] / 1000 }),
			figure(func(s sample) float64 { return s.LatencyMicros["99.9"] / 1000 }),
			figure(func(s sample) float64 { return s.ResidentMiB }), figure(func(s sample) float64 { return s.More["recovery_ms"] }))
	}
	return "| load | thousand winners a second | ÷ peak | told to ask again | ms, p50 / p99 / p99.9 | MiB at most | ms until a lone applicant is answered as before |\n" +
		"|---|---|---|---|---|---|---|\n" + text.String()
}

// overloadPeaks are the numbers of connections at which the peak was measured.
var overloadPeaks = map[string]int{crowded: peakConnections, flooded: slowedConnections}

// shareOfPeak compares the throughput of winners with that of the same round without overload.
func (r *results) shareOfPeak(name string, connections int) string {
	if connections == overloadPeaks[name] {
		return "1"
	}
	peaks := map[int]float64{}
	for _, s := range r.Samples {
		if s.Scenario == name && s.Connections == overloadPeaks[name] {
			peaks[s.Round] = s.PerSecond
		}
	}
	var shares []float64
	for _, s := range r.Samples {
		if peak := peaks[s.Round]; s.Scenario == name && s.Connections == connections && peak > 0 {
			shares = append(shares, s.PerSecond/peak)
		}
	}
	found := spreadOf(shares)
	return fmt.Sprintf("**%.2f** (%.2f–%.2f)", found.Median, found.Low, found.High)
}
