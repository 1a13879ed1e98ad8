package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// loadtestDriving is the load of `firstcome loadtest` on what soldOut measures by wrk.
const loadtestDriving = "sold-out, driven by loadtest"

// loadtestConnections are the numbers at which the two are compared.
var loadtestConnections = []int{64, 1000}

// measureLoadtest lets loadtest drive the same requests at the same campaign as wrk has in this round. It judges each
// answer, which wrk does not, and sends a stated number of users: as many as wrk sends in the time.
func (r *round) measureLoadtest(ctx context.Context) error {
	for _, n := range loadtestConnections {
		users := int(r.perSecond(soldOut, n) * r.duration.Seconds())
		driven, err := r.driveLoadtest(ctx, n, max(users, 1))
		if err != nil {
			return fmt.Errorf("loadtest at %d connections: %w", n, err)
		}
		r.keep(driven)
	}
	return nil
}

// perSecond is what this round has measured of a scenario.
func (r *round) perSecond(name string, connections int) float64 {
	for _, s := range r.samples {
		if s.Scenario == name && s.Connections == connections {
			return s.PerSecond
		}
	}
	return 0
}

func (r *round) driveLoadtest(ctx context.Context, connections, users int) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, r.program, "loadtest", "--json",
		"--url", "http://"+r.processes[apiProcess].address, "--campaign", soldOutCampaign,
		"--users", strconv.Itoa(users), "--first-user-id", strconv.FormatInt(r.users(), 10),
		"--concurrency", strconv.Itoa(connections), "--settle-timeout", "10ms")
	command.Env = r.variables()
	// It fails for what is not stored, and no consumer runs: the report tells.
	output, failed := command.Output()
	var report struct {
		PerSecond   float64            `json:"per_second"`
		Answers     map[string]int     `json:"answers"`
		Latency     map[string]float64 `json:"latency_ms"`
		Differences []string           `json:"differences"`
	}
	if err := json.Unmarshal(output, &report); err != nil || len(report.Differences) > 0 {
		return sample{}, fmt.Errorf("%w: %s", errors.Join(err, failed), lastBytes(output, 2000))
	}
	if refused := report.Answers["409 sold-out"]; refused != users {
		return sample{}, fmt.Errorf("%d of %d users were told that it is sold out: %v", refused, users, report.Answers)
	}
	return sample{
		Scenario: loadtestDriving, Connections: connections, PerSecond: report.PerSecond,
		More: map[string]float64{"p99_ms": report.Latency["p99"]},
	}, nil
}
