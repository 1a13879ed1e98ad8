package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"firstcome/bench/gauge"

	"golang.org/x/sync/errgroup"
)

const (
	// idleSeconds is how long the idle processes are watched, after settleSeconds in which they find their campaigns.
	idleSeconds, settleSeconds = 6, 4
	// Trials of each kind; the table tells their median and the highest.
	changeTrials, lossTrials, firstTrials = 7, 3, 25
	// reopenLimit is how long we watch gates come back after Redis lost them all.
	reopenLimit = 30 * time.Second
)

// measureCampaigns measures an api and a retryer with so many running campaigns in which nothing happens.
func measureCampaigns(ctx context.Context, l *lab) (string, error) {
	lines := []string{
		"| campaigns | CPU when idle, ms a second: api / retryer / Redis / MySQL | Redis calls a second | " +
			"a change reaches its gate, ms | a gate lost alone is open again, ms | first application, ms | all gates lost: open again |",
		"|---|---|---|---|---|---|---|",
	}
	for _, campaigns := range l.campaigns {
		if err := l.makeCampaigns(ctx, campaigns); err != nil {
			return "", fmt.Errorf("making %d campaigns: %w", campaigns, err)
		}
		line, err := l.measureCampaignsAt(ctx, campaigns)
		if err != nil {
			return "", fmt.Errorf("with %d campaigns: %w", campaigns, err)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// makeCampaigns makes so many campaigns, in place of those that there are, with open gates. Rows come one transaction
// each, which is what takes the time.
func (l *lab) makeCampaigns(ctx context.Context, campaigns int) error {
	if _, err := l.database.ExecContext(ctx, "DELETE FROM campaign"); err != nil {
		return err
	}
	if err := l.redis.FlushAll(ctx).Err(); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(16)
	for number := range campaigns {
		group.Go(func() error {
			campaign := campaignOf(number, 1000)
			return errors.Join(l.openGate(ctx, campaign, 0), l.addRow(ctx, campaign))
		})
	}
	return group.Wait()
}

func (l *lab) measureCampaignsAt(ctx context.Context, campaigns int) (string, error) {
	api, err := l.startRole(ctx, "api")
	if err != nil {
		return "", err
	}
	retryer, err := l.startRole(ctx, "retryer")
	if err != nil {
		return "", err
	}
	defer l.stopProcesses()
	err = until(ctx, patience, "all gates are open", func() (bool, error) {
		open, err := l.openGates(ctx, campaigns)
		return open == campaigns, err
	})
	if err != nil {
		return "", err
	}
	gauge.Pause(ctx, settleSeconds*time.Second)
	idle, err := l.measureIdle(ctx, api, retryer)
	if err != nil {
		return "", err
	}
	change, err := trials(changeTrials, func() (time.Duration, error) { return l.changeOne(ctx, rand.IntN(campaigns)) })
	if err != nil {
		return "", err
	}
	first, err := trials(min(firstTrials, campaigns), func() (time.Duration, error) { return firstApplication(ctx, api, campaigns) })
	if err != nil {
		return "", err
	}
	lost, err := trials(lossTrials, func() (time.Duration, error) { return l.loseOne(ctx, rand.IntN(campaigns)) })
	if err != nil {
		return "", err
	}
	all, err := l.loseAll(ctx, campaigns)
	return fmt.Sprintf("| %d | %s | %s | %s | %s | %s |", campaigns, idle, change, lost, first, all), err
}

// measureIdle gives two cells: the processor time by process, and Redis's calls.
func (l *lab) measureIdle(ctx context.Context, api, retryer *process) (string, error) {
	pids := []int{api.pid(), retryer.pid(), serverPID("redis"), serverPID("mysql")}
	var before [4]float64
	for i, pid := range pids {
		before[i] = gauge.CPUSeconds(pid)
	}
	calls, err := l.redisCalls(ctx)
	if err != nil {
		return "", err
	}
	began := time.Now()
	gauge.Pause(ctx, idleSeconds*time.Second)
	took := time.Since(began).Seconds()
	after, err := l.redisCalls(ctx)
	cells := make([]string, len(pids))
	for i, pid := range pids {
		cells[i] = fmt.Sprintf("%.0f", 1000*(gauge.CPUSeconds(pid)-before[i])/took)
	}
	return fmt.Sprintf("%s | %.0f", strings.Join(cells, " / "), float64(after-calls)/took), err
}

// changeOne changes a campaign's row, and waits until its gate shows that.
func (l *lab) changeOne(ctx context.Context, number int) (time.Duration, error) {
	end := time.Now().UTC().Add(48 * time.Hour).Truncate(time.Millisecond)
	statement := "UPDATE campaign SET ends_at = ? WHERE code = ?"
	if _, err := l.database.ExecContext(ctx, statement, end, campaignCode(number)); err != nil {
		return 0, err
	}
	began := time.Now()
	wanted := strconv.FormatInt(end.UnixMilli(), 10)
	return timed(began, until(ctx, patience, "the change has reached the gate", func() (bool, error) {
		shown, err := l.redis.HGet(ctx, metaKey(number), "ends_at_ms").Result()
		return shown == wanted, err
	}))
}

// loseOne removes what one gate is known by, to which nobody applies meanwhile, and waits until it is open again.
func (l *lab) loseOne(ctx context.Context, number int) (time.Duration, error) {
	if err := l.redis.Del(ctx, metaKey(number)).Err(); err != nil {
		return 0, err
	}
	began := time.Now()
	return timed(began, until(ctx, 2*patience, "the lost gate is open again", func() (bool, error) {
		runID, _ := l.redis.HGet(ctx, metaKey(number), "run_id").Result()
		return runID != "", ctx.Err()
	}))
}

// loseAll removes all that Redis holds, and tells how the gates come back.
func (l *lab) loseAll(ctx context.Context, campaigns int) (string, error) {
	if err := l.redis.FlushAll(ctx).Err(); err != nil {
		return "", err
	}
	began := time.Now()
	for {
		open, err := l.openGates(ctx, campaigns)
		took := time.Since(began)
		switch {
		case err != nil:
			return "", err
		case open == campaigns:
			return fmt.Sprintf("all after %.1f s", took.Seconds()), nil
		case took > reopenLimit:
			return fmt.Sprintf("%d after %.0f s (%.0f a second)", open, took.Seconds(), float64(open)/took.Seconds()), nil
		}
		gauge.Pause(ctx, 50*time.Millisecond)
	}
}

var nextApplicant = 50_000_000

// firstApplication applies to a campaign of which the api has heard nothing yet, in all likelihood.
func firstApplication(ctx context.Context, api *process, campaigns int) (time.Duration, error) {
	nextApplicant++
	began := time.Now()
	status, err := api.apply(ctx, campaignCode(rand.IntN(campaigns)), nextApplicant)
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("an application was answered with status %d", status)
	}
	return timed(began, err)
}

func timed(began time.Time, err error) (time.Duration, error) { return time.Since(began), err }

// trials tries several times and gives "median (highest)" in milliseconds.
func trials(count int, try func() (time.Duration, error)) (string, error) {
	var all []time.Duration
	for range count {
		took, err := try()
		if err != nil {
			return "", err
		}
		all = append(all, took)
	}
	slices.Sort(all)
	return fmt.Sprintf("%.3g (%.3g)", milliseconds(all[count/2]), milliseconds(all[count-1])), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
