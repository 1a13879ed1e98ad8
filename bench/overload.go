package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"firstcome/bench/gauge"
	"firstcome/loadtest"
)

// The scenarios of overload: many more connections than are of use, and many more arrivals than can be served.
const (
	crowded = "crowd"
	flooded = "flood"
)

const (
	// peakConnections are enough for the highest throughput of firstcome, crowdConnections near the most that it takes.
	peakConnections  = 1000
	crowdConnections = 8000
	// slowedConnections keep the slowed server busy, and no more.
	slowedConnections = 50
	// floodFactor is how many times more come than the slowed server can do, on floodConnections.
	floodFactor      = 10
	floodConnections = 9000
	// overloadRounds are the rounds of a run in which overload is measured beside other things: it takes half a minute.
	overloadRounds = 2
	// settling is how long a load lasts before it counts: connections are made, and queues fill.
	settling = 2 * time.Second
)

func (r *round) measureOverload(ctx context.Context) error {
	if err := r.measureCrowd(ctx); err != nil {
		return err
	}
	return r.measureFlood(ctx)
}

// measureCrowd measures winning at the usual number of connections and at eight times as many. wrk's closed loop keeps
// each connection busy, so there are never more applications under way than connections.
func (r *round) measureCrowd(ctx context.Context) error {
	s := scenario{crowded, apiProcess, fillCampaign, false, "accepted"}
	alone, err := r.askAlone(ctx, s, 20)
	if err != nil {
		return err
	}
	for _, connections := range []int{peakConnections, crowdConnections} {
		began, watching := time.Now(), watchProcess(ctx, r.processes[s.process])
		measured, err := r.measureFor(ctx, s, connections, settling+r.duration)
		ended := began.Add(settling + r.duration)
		seen := watching.end()
		if err != nil {
			return err
		}
		recovered, err := r.awaitRecovery(ctx, s, alone)
		if err != nil {
			return err
		}
		measured.PerSecond, measured.ResidentMiB = seen.winnersPerSecond(began.Add(settling), ended), seen.peakMiB()
		measured.More = map[string]float64{"recovery_ms": millis(recovered)}
		r.keep(measured)
	}
	return nil
}

// measureFlood finds what the slowed server can do, and then lets ten times as many come, whether or not those before
// them were answered.
func (r *round) measureFlood(ctx context.Context) error {
	if err := r.startServer(ctx, slowedProcess); err != nil {
		return err
	}
	s := scenario{flooded, slowedProcess, slowedCampaign, false, "accepted"}
	alone, err := r.askAlone(ctx, s, 20)
	if err != nil {
		return err
	}
	usual, err := r.measureFor(ctx, s, slowedConnections, settling+r.duration)
	if err != nil {
		return err
	}
	r.keep(usual)
	flood, err := r.flood(ctx, s, floodFactor*usual.PerSecond, alone)
	if err != nil {
		return err
	}
	r.keep(flood)
	r.processes[slowedProcess].stop()
	delete(r.processes, slowedProcess)
	return nil
}

// flood lets users come at a rate for a while, and asks how soon after the last of them a lone applicant is answered as
// before.
func (r *round) flood(ctx context.Context, s scenario, perSecond float64, alone time.Duration) (sample, error) {
	p, length := r.processes[s.process], settling+r.duration
	before, err := r.readCosts(ctx, p)
	if err != nil {
		return sample{}, err
	}
	began, watching := time.Now(), watchProcess(ctx, p)
	arriving := loadtest.Config{
		BaseURL: "http://" + p.address, AdminToken: operatorToken, Campaign: s.campaign, FirstUserID: r.users(),
		Users: int(perSecond * length.Seconds()), Rate: perSecond, Concurrency: floodConnections, Once: true,
	}
	var report loadtest.Report
	loaded := make(chan error, 1)
	go func() {
		var err error
		report, err = loadtest.Run(ctx, arriving, io.Discard)
		loaded <- err
	}()
	gauge.Pause(ctx, length)
	recovered, err := r.awaitRecovery(ctx, s, alone)
	if err := errors.Join(err, <-loaded); err != nil {
		return sample{}, err
	}
	seen := watching.end()
	outcomes, err := r.outcomesSince(ctx, p, before)
	if err != nil {
		return sample{}, err
	}
	r.promised[s.campaign] += int64(report.Answers["202 accepted"] + report.Answers["202 reserved"])
	r.perhaps[s.campaign] += int64(report.Users - report.Answers["202 accepted"] - report.Answers["202 reserved"] - report.Answers["503 overloaded"])
	measured := sample{
		Scenario: s.name, Connections: floodConnections, ResidentMiB: seen.peakMiB(),
		PerSecond: seen.winnersPerSecond(began.Add(settling), began.Add(length)),
		LatencyMicros: map[string]float64{
			"50": micros(report.WinnerLatency.P50), "99": micros(report.WinnerLatency.P99), "99.9": micros(report.WinnerLatency.P999),
		},
		More: map[string]float64{
			"recovery_ms": millis(recovered), "offered_per_second": perSecond, "sent_late_ms": millis(report.Latest),
		},
	}
	measured.Other, err = otherAnswers(s, load{Requests: report.Requests}, outcomes)
	return measured, err
}

// outcomesSince gives how often each outcome was answered.
func (r *round) outcomesSince(ctx context.Context, p *process, before costs) (map[string]float64, error) {
	after, err := r.readCosts(ctx, p)
	for name := range after.outcomes {
		after.outcomes[name] -= before.outcomes[name]
	}
	return after.outcomes, err
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// awaitRecovery lets a lone applicant ask every tenth of a second, whether or not those before were answered, and says
// when the first of them came who was answered as before.
func (r *round) awaitRecovery(ctx context.Context, s scenario, alone time.Duration) (time.Duration, error) {
	began, first, asking := time.Now(), r.users(), newOperator(r.processes[s.process].address)
	type asked struct{ came, took time.Duration }
	answers := make(chan asked, recoveryProbes)
	for i := range int64(recoveryProbes) {
		go func() {
			came := time.Duration(i) * probeInterval
			gauge.Pause(ctx, time.Until(began.Add(came)))
			given, err := asking.apply(ctx, s.campaign, first+i)
			took := time.Since(began) - came
			if err != nil || given.Status != http.StatusAccepted {
				took = startPatience
			}
			answers <- asked{came, took}
		}()
	}
	r.perhaps[s.campaign] += recoveryProbes
	earliest := startPatience
	for range recoveryProbes {
		if answer := <-answers; answer.took <= max(3*alone, shortWait) {
			earliest = min(earliest, answer.came)
		}
	}
	if earliest == startPatience {
		return 0, fmt.Errorf("a lone applicant was not answered as before, in %s, within %s of the load", alone, recoveryProbes*probeInterval)
	}
	return earliest, nil
}

// recoveryProbes applicants come one after the other, probeInterval apart.
const (
	recoveryProbes = 20
	probeInterval  = 100 * time.Millisecond
)

// shortWait is too short for anybody to notice.
const shortWait = 20 * time.Millisecond

// askAlone lets some users win one after the other, and gives the median of their waits.
func (r *round) askAlone(ctx context.Context, s scenario, users int) (time.Duration, error) {
	first, asking := r.users(), newOperator(r.processes[s.process].address)
	waits := make([]time.Duration, users)
	for i := range waits {
		began := time.Now()
		given, err := asking.apply(ctx, s.campaign, first+int64(i))
		if err != nil {
			return 0, err
		}
		if waits[i] = time.Since(began); given.Status != http.StatusAccepted {
			r.perhaps[s.campaign]++
			return 0, fmt.Errorf("status %d: %s", given.Status, given.Body)
		}
		r.promised[s.campaign]++
	}
	slices.Sort(waits)
	return waits[users/2], nil
}
