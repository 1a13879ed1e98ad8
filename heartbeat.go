package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"firstcome/domain"
)

// heart tells the ledger how this process does, so that operators see all processes wherever they ask.
type heart struct {
	process, host string
	startedAt     time.Time
	warn          rate.Sometimes

	mu sync.Mutex
	// rowsStored and at are of the last beat, and rowsPerSecond is the rate between it and the one before.
	rowsStored    int64
	at            time.Time
	rowsPerSecond float64
}

func newHeart() *heart {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	now := time.Now()
	return &heart{
		process: fmt.Sprintf("%.60s-%d-%.8s", host, os.Getpid(), rand.Text()), host: host, startedAt: now, at: now,
		warn: rate.Sometimes{Interval: time.Minute},
	}
}

// heartbeat says how this process does now.
func (p *program) heartbeat() domain.Heartbeat {
	beat := domain.Heartbeat{
		Process: p.heart.process, Host: p.heart.host, Version: version, Roles: p.config.Roles,
		StartedAt: p.heart.startedAt, SeenAt: time.Now(), Warnings: p.warnings.current(),
	}
	if p.consumer != nil {
		state := p.consumer.State()
		owned, total := p.stores.source.Share()
		beat.Consumer = &domain.ConsumerState{
			Paused: state.Paused, PausedSince: state.PausedSince, Waiting: state.Waiting, RowsStored: state.RowsStored,
			RowsPerSecond: p.heart.rate(), LimitRowsPerSecond: state.RowsPerSecond,
			Partitions: owned, PartitionsTotal: total,
		}
	}
	if p.retryer != nil {
		state := p.retryer.State()
		beat.Retryer = &state
	}
	return beat
}

func (h *heart) rate() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rowsPerSecond
}

// measure notes how many rows were stored until now, and how many a second since the last beat.
func (h *heart) measure(rowsStored int64, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if elapsed := now.Sub(h.at).Seconds(); elapsed > 0 {
		h.rowsPerSecond = float64(rowsStored-h.rowsStored) / elapsed
	}
	h.rowsStored, h.at = rowsStored, now
}

// beat tells the ledger until ctx ends. While the ledger is away nobody is told, and this process counts as silent.
func (p *program) beat(ctx context.Context) {
	ticker := time.NewTicker(domain.HeartbeatEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		p.beatOnce(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (p *program) beatOnce(ctx context.Context) {
	if p.consumer != nil {
		p.heart.measure(p.consumer.State().RowsStored, time.Now())
	}
	ctx, cancel := context.WithTimeout(ctx, domain.HeartbeatEvery)
	defer cancel()
	if err := p.stores.ledger.Beat(ctx, p.heartbeat()); err != nil {
		p.heart.warn.Do(func() { p.tools.logger.Warn("the ledger was not told how this process does", "error", err) })
	}
}
