package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"firstcome/bench/gauge"
	"firstcome/domain"
)

const (
	// winningConnections are shared out among the processes.
	winningConnections, winningSeconds = 256, 6
	// newUsers is the lowest user ID of those who win; each process takes a range of its own.
	newUsers, usersPerProcess = 930_000_000_000, 1_000_000_000
)

// measureProcesses lets the same number of connections win through 1, 2 and 4 api processes on one Redis.
func measureProcesses(ctx context.Context, l *lab) (string, error) {
	lines := []string{
		"| api processes | applications a second | undecided (503 or no answer) | p99, ms, highest | Redis calls an application | CPU an application, µs: all api / Redis / Kafka |",
		"|---|---|---|---|---|---|",
	}
	for number, processes := range []int{1, 2, 4} {
		campaign := campaignOf(number, domain.MaxQuota)
		if err := l.openGate(ctx, campaign, 0); err != nil {
			return "", err
		}
		if err := l.addRow(ctx, campaign); err != nil {
			return "", err
		}
		line, err := l.measureProcessesAt(ctx, campaign.Code, processes)
		if err != nil {
			return "", fmt.Errorf("with %d processes: %w", processes, err)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n") + "\n", nil
}

func (l *lab) measureProcessesAt(ctx context.Context, code string, processes int) (string, error) {
	defer l.stopProcesses()
	for range processes {
		if _, err := l.startRole(ctx, "api"); err != nil {
			return "", err
		}
	}
	if _, err := l.win(ctx, code, 1, newUsers); err != nil { // warms up
		return "", err
	}
	calls, err := l.redisCalls(ctx)
	if err != nil {
		return "", err
	}
	before := [3]float64{l.apiSeconds(), gauge.CPUSeconds(serverPID("redis")), gauge.CPUSeconds(serverPID("kafka"))}
	found, err := l.win(ctx, code, winningSeconds, newUsers+int64(processes)*usersPerProcess)
	if err != nil {
		return "", err
	}
	after := [3]float64{l.apiSeconds(), gauge.CPUSeconds(serverPID("redis")), gauge.CPUSeconds(serverPID("kafka"))}
	callsAfter, err := l.redisCalls(ctx)
	of := func(i int) float64 { return 1e6 * (after[i] - before[i]) / float64(found.Requests) }
	return fmt.Sprintf("| %d | %.0f | %d | %.1f | %.3f | %.1f / %.1f / %.1f |", processes, found.perSecond(), found.Undecided,
		found.LatencyMicros["99"]/1000, float64(callsAfter-calls)/float64(found.Requests), of(0), of(1), of(2)), err
}

// win lets users apply through all processes at the same time, and sums up. An error: more than 1 % did not win.
func (l *lab) win(ctx context.Context, code string, seconds int, firstUser int64) (load, error) {
	loads := make([]load, len(l.processes))
	var group errgroup.Group
	for i, p := range l.processes {
		group.Go(func() (err error) {
			user := firstUser + int64(i)*maxProcesses*usersPerProcess
			loads[i], err = l.runWrk(ctx, p.url(code), winningConnections/len(l.processes), seconds, user)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return load{}, err
	}
	total := load{LatencyMicros: map[string]float64{}}
	for _, one := range loads {
		total.Requests += one.Requests
		total.DurationMicros = max(total.DurationMicros, one.DurationMicros)
		total.LatencyMicros["99"] = max(total.LatencyMicros["99"], one.LatencyMicros["99"])
		total.Undecided += one.Failed + one.Above399
	}
	if total.Undecided*100 > total.Requests {
		return total, fmt.Errorf("of %d applications %d were not accepted", total.Requests, total.Undecided)
	}
	return total, nil
}

// maxProcesses is the most processes that are measured, with room for the warm-up.
const maxProcesses = 5

func (l *lab) apiSeconds() float64 {
	total := 0.0
	for _, p := range l.processes {
		total += gauge.CPUSeconds(p.pid())
	}
	return total
}
