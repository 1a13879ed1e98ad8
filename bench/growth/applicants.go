package main

import (
	"context"
	"fmt"
	"strings"

	"firstcome/bench/gauge"
)

const (
	soldOutQuota = 1000
	// Each step lets new users apply for stepSeconds, over so many connections.
	applicantSteps, stepSeconds, applicantConnections = 8, 3, 64
	// lateUsers is the lowest user ID of those who come too late; each step takes a range of its own.
	lateUsers, usersPerStep = 910_000_000_000, 1_000_000_000
)

// measureApplicants lets more and more users apply for what is sold out: neither the rate nor the memory may follow.
func measureApplicants(ctx context.Context, l *lab) (string, error) {
	campaign := campaignOf(0, soldOutQuota)
	if err := l.openGate(ctx, campaign, soldOutQuota); err != nil {
		return "", err
	}
	if err := l.addRow(ctx, campaign); err != nil {
		return "", err
	}
	api, err := l.startRole(ctx, "api")
	if err != nil {
		return "", err
	}
	if _, err := l.runWrk(ctx, api.url(campaign.Code), applicantConnections, 1, lateUsers); err != nil { // warms up
		return "", err
	}
	lines := []string{
		"| refused so far | a second | p99, ms | memory of the api, MiB | memory of Redis, MiB | Redis calls an application |",
		"|---|---|---|---|---|---|",
	}
	total := int64(0)
	for step := range applicantSteps {
		before, err := l.redisCalls(ctx)
		if err != nil {
			return "", err
		}
		found, err := l.runWrk(ctx, api.url(campaign.Code), applicantConnections, stepSeconds, lateUsers+int64(step+1)*usersPerStep)
		if err != nil {
			return "", err
		}
		if found.Failed > 0 || found.Above399 < found.Requests {
			return "", fmt.Errorf("of %d applications %d failed, and %d were refused", found.Requests, found.Failed, found.Above399)
		}
		after, err := l.redisCalls(ctx)
		if err != nil {
			return "", err
		}
		memory, err := l.redisMemory(ctx)
		if err != nil {
			return "", err
		}
		total += found.Requests
		lines = append(lines, fmt.Sprintf("| %d | %.0f | %.2f | %.1f | %.2f | %.5f |", total, found.perSecond(),
			found.LatencyMicros["99"]/1000, gauge.ResidentMiB(api.pid()), float64(memory)/(1<<20), float64(after-before)/float64(found.Requests)))
	}
	return strings.Join(lines, "\n") + "\n", nil
}
