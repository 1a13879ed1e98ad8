package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"firstcome/bench/gauge"
)

// scenario is what is measured by wrk.
type scenario struct {
	name string
	// process answers, for campaign; the nothing server answers what that campaign's applicants hear.
	process, campaign string
	// refused is true where everybody must be refused, and outcome is what firstcome's metrics must call all answers; ""
	// where there are no such metrics.
	refused bool
	outcome string
}

// Names of the scenarios. Each "nothing" has the bytes of what it is compared with.
const (
	nothingSoldOut = "nothing, answering sold-out"
	nothingWinning = "nothing, answering a winner"
	soldOut        = "sold-out"
	winning        = "winning"
	winningSingle  = "winning, one call a request"
	plainWinning   = "plain design, winning"
	plainRefusing  = "plain design, sold-out"
)

var scenarios = []scenario{
	{nothingSoldOut, nothingProcess, soldOutCampaign, true, ""},
	{soldOut, apiProcess, soldOutCampaign, true, "sold-out"},
	{plainRefusing, plainProcess, plainSoldOut, true, ""},
	{nothingWinning, nothingProcess, winningCampaign, false, ""},
	{winning, apiProcess, winningCampaign, false, "accepted"},
	{winningSingle, singleProcess, singleCampaign, false, "accepted"},
	{plainWinning, plainProcess, winningCampaign, false, ""},
}

// connections are the numbers at which each scenario is measured.
var connections = []int{1, 64, 1000}

// measureRound makes one round, and gives all samples of it.
func measureRound(ctx context.Context, o options, at servers, number int) (samples []sample, err error) {
	w, err := newWorld(ctx, o, at)
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w%s", err, w.logs())
		}
		err = errors.Join(err, w.close(ctx))
	}()
	if err != nil {
		return nil, err
	}
	r := &round{world: w, number: number}
	err = errors.Join(r.run(ctx), ctx.Err())
	return r.samples, err
}

// round is what the sections of one round share.
type round struct {
	*world
	number  int
	samples []sample
	// promised counts, by campaign, the applications that must end as coupons; perhaps those that may.
	promised, perhaps map[string]int64
}

func (r *round) keep(s sample) {
	s.Round = r.number
	r.samples = append(r.samples, s)
	fmt.Println(s)
}

func (r *round) wants(section string) bool {
	for _, name := range r.only {
		if name == section {
			return true
		}
	}
	return false
}

func (r *round) run(ctx context.Context) error {
	r.promised, r.perhaps = map[string]int64{}, map[string]int64{}
	for _, section := range []struct {
		name    string
		measure func(context.Context) error
	}{{sectionHTTP, r.measureHTTP}, {sectionStoring, r.measureStoring}, {sectionOverload, r.measureOverload}} {
		if !r.wants(section.name) {
			continue
		}
		if err := section.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", section.name, err)
		}
	}
	return r.verify(ctx)
}

// measureHTTP measures all scenarios at all numbers of connections. The first scenario is another one in each round.
func (r *round) measureHTTP(ctx context.Context) error {
	if err := r.prepareHTTP(ctx); err != nil {
		return err
	}
	if err := r.warmUp(ctx); err != nil {
		return err
	}
	for _, n := range connections {
		for i := range scenarios {
			s := scenarios[(i+r.number)%len(scenarios)]
			measured, err := r.measureScenario(ctx, s, n)
			if err != nil {
				return fmt.Errorf("%s at %d connections: %w", s.name, n, err)
			}
			r.keep(measured)
		}
	}
	return r.measureLoadtest(ctx)
}

// warmUp puts load on everything once, and forgets what it measures.
func (r *round) warmUp(ctx context.Context) error {
	for _, s := range scenarios {
		if _, err := r.measureFor(ctx, s, 64, time.Second); err != nil {
			return fmt.Errorf("warming up %s: %w", s.name, err)
		}
	}
	return nil
}

// prepareHTTP gives away the coupons of the campaign that is sold out, and starts the servers to compare with.
func (r *round) prepareHTTP(ctx context.Context) error {
	if err := r.sellOut(ctx); err != nil {
		return err
	}
	answers := map[string]answer{}
	for code, status := range map[string]int{soldOutCampaign: http.StatusConflict, winningCampaign: http.StatusAccepted} {
		given, err := r.operator.apply(ctx, code, r.users())
		if err != nil {
			return err
		}
		if given.Status != status {
			return fmt.Errorf("%s answered %d in place of %d: %s", code, given.Status, status, given.Body)
		}
		answers[code] = given
	}
	r.promised[winningCampaign]++
	encoded, err := json.Marshal(answers)
	if err != nil {
		return err
	}
	file := filepath.Join(r.folder, "answers.json")
	if err := os.WriteFile(file, encoded, 0o600); err != nil {
		return err
	}
	if err := makePlainTopic(r.kafka, r.name); err != nil {
		return err
	}
	for _, name := range []string{singleProcess, plainProcess} {
		if err := r.startServer(ctx, name); err != nil {
			return err
		}
	}
	return r.startServer(ctx, nothingProcess, "-answers", file)
}

// sellOut applies for all coupons of the campaign that is then sold out.
func (r *round) sellOut(ctx context.Context) error {
	first := r.users()
	errs := make([]error, 32)
	var workers sync.WaitGroup
	for worker := range errs {
		workers.Go(func() {
			for i := worker; i < soldOutQuota && errs[worker] == nil; i += len(errs) {
				given, err := r.operator.apply(ctx, soldOutCampaign, first+int64(i))
				if err == nil && given.Status != http.StatusAccepted {
					err = fmt.Errorf("status %d: %s", given.Status, given.Body)
				}
				errs[worker] = err
			}
		})
	}
	workers.Wait()
	r.promised[soldOutCampaign] = soldOutQuota
	return errors.Join(errs...)
}

// measureScenario lets wrk run once, checks that all answers were what they must be, and counts what an application
// has cost.
func (r *round) measureScenario(ctx context.Context, s scenario, connections int) (sample, error) {
	return r.measureFor(ctx, s, connections, r.duration)
}

func (r *round) measureFor(ctx context.Context, s scenario, connections int, duration time.Duration) (sample, error) {
	p := r.processes[s.process]
	before, err := r.readCosts(ctx, p)
	if err != nil {
		return sample{}, err
	}
	got, err := runWrk(ctx, target{
		script: r.script, url: r.url(s.process, s.campaign), connections: connections, duration: duration, firstUser: r.users(),
	})
	if err != nil {
		return sample{}, err
	}
	outcomes, err := r.awaitAnswers(ctx, s, before, got)
	if err != nil {
		return sample{}, err
	}
	r.promise(s.campaign, outcomes)
	after, err := r.readCosts(ctx, p)
	if err != nil {
		return sample{}, err
	}
	measured := newSample(s, connections, got, before, after)
	measured.Other, err = otherAnswers(s, got, outcomes)
	measured.PerSecond *= 1 - measured.Other
	return measured, err
}

// awaitAnswers gives how often each outcome was answered. What wrk has left without waiting is still being decided for
// a moment.
func (r *round) awaitAnswers(ctx context.Context, s scenario, before costs, got load) (map[string]float64, error) {
	if s.outcome == "" {
		return nil, nil
	}
	counted := map[string]float64{}
	err := eventually(ctx, 10*time.Second, "all applications are answered", func(ctx context.Context) error {
		if s.process == slowedProcess {
			gauge.Pause(ctx, time.Second) // it answers a batch now and then
		}
		now, err := counters(ctx, r.processes[s.process], "firstcome_applications_total", "outcome")
		if err != nil {
			return err
		}
		steady, total := true, 0.0
		for name, value := range now {
			steady = steady && counted[name] == value-before.outcomes[name]
			counted[name] = value - before.outcomes[name]
			total += counted[name]
		}
		if !steady || total < float64(got.Requests) {
			return fmt.Errorf("%v after %d requests", counted, got.Requests)
		}
		return nil
	})
	return counted, err
}

// undecided are the answers that promise nothing and refuse nothing. They are no mistakes, but a machine that has too
// much to do gives them: their share is told beside the figure, and they do not count as throughput.
var undecided = map[string]bool{"outcome-unknown": true, "overloaded": true, "gate-closed": true, "unavailable": true, "reserved": true}

// otherAnswers gives the share of undecided answers, and refuses a measurement in which somebody heard what nobody
// must hear.
func otherAnswers(s scenario, got load, outcomes map[string]float64) (share float64, err error) {
	total, other := 0.0, 0.0
	for name, count := range outcomes {
		total += count
		switch {
		case undecided[name]:
			other += count
		case name != s.outcome && count > 0:
			return 0, fmt.Errorf("%.0f were answered %q, not %q", count, name, s.outcome)
		}
	}
	switch {
	case got.Failed > 0 && s.name != crowded: // a crowd may wait longer than wrk does
		return 0, fmt.Errorf("%d requests failed", got.Failed)
	case s.refused && got.Above399 < got.Requests:
		return 0, fmt.Errorf("%d of %d were not refused", got.Requests-got.Above399, got.Requests)
	case !s.refused && float64(got.Above399) > other:
		return 0, fmt.Errorf("%d of %d did not win", got.Above399, got.Requests)
	}
	return other / max(total, 1), nil
}

// verify stores what was won, and compares what was promised with what was issued.
func (r *round) verify(ctx context.Context) error {
	if _, running := r.processes[consumerProcess]; !running {
		if err := r.startRole(ctx, consumerProcess); err != nil {
			return err
		}
	}
	for code := range r.promised {
		if err := r.awaitCoupons(ctx, code); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := r.audit(ctx); err != nil {
		return err
	}
	fmt.Printf("checked in %.0f s: no differences, and a coupon for each promise %v\n", time.Since(began).Seconds(), r.promised)
	return nil
}

// promise counts what the answers of one load have promised.
func (r *round) promise(campaign string, outcomes map[string]float64) {
	r.promised[campaign] += int64(outcomes["accepted"] + outcomes["reserved"])
	r.perhaps[campaign] += int64(outcomes["outcome-unknown"])
}

// awaitCoupons waits until as many coupons are stored as were promised, and no more.
func (r *round) awaitCoupons(ctx context.Context, code string) error {
	least, most := r.promised[code], r.promised[code]+r.perhaps[code]
	what := fmt.Sprintf("%d coupons of %s are stored", least, code)
	return eventually(ctx, 2*time.Minute, what, func(ctx context.Context) error {
		var stored int64
		err := r.database.QueryRowContext(ctx,
			"SELECT COUNT(*) FROM coupon c JOIN campaign g ON g.id = c.campaign_id WHERE g.code = ?", code).Scan(&stored)
		if err == nil && stored > most {
			return final{fmt.Errorf("%d coupons of %s were stored, and %d promised", stored, code, most)}
		}
		if err == nil && stored < least {
			err = fmt.Errorf("%d are stored", stored)
			gauge.Pause(ctx, 300*time.Millisecond) // counting is not free
		}
		return err
	})
}
