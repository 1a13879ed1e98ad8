package operator

import (
	"context"
	"time"

	"firstcome/domain"
)

// SettingWriter changes settings, and records who did; part of domain.SettingStore.
type SettingWriter interface {
	SetSetting(ctx context.Context, name, value, actor string) error
}

// Pipeline is what operators do to all consumers and retryers. Each of them follows within a second or two, and also after
// a restart.
type Pipeline struct{ settings SettingWriter }

// NewPipeline makes it.
func NewPipeline(settings SettingWriter) *Pipeline { return &Pipeline{settings: settings} }

// PipelineChange says what to set; nil stays as it is.
type PipelineChange struct {
	RowsPerSecond *domain.Rate
	// Consumers is domain.ConsumersPaused or domain.ConsumersRunning.
	Consumers *string
}

func (c PipelineChange) check() error {
	switch {
	case c == PipelineChange{}:
		return domain.Invalid("body", "the body must say rows_per_second or consumers")
	case c.Consumers != nil && *c.Consumers != domain.ConsumersPaused && *c.Consumers != domain.ConsumersRunning:
		return domain.Invalid("consumers", "consumers must be %s or %s", domain.ConsumersPaused, domain.ConsumersRunning)
	}
	return nil
}

// Change sets the throttle, the hold, or one after the other. Crash between them: the throttle alone is set.
// CodeInvalidRequest: nothing is to be set, or consumers is none of the two. CodeUnavailable.
func (p *Pipeline) Change(ctx context.Context, change PipelineChange, actor string) error {
	if err := change.check(); err != nil {
		return err
	}
	if change.RowsPerSecond != nil {
		err := p.settings.SetSetting(ctx, domain.SettingRowsPerSecond, change.RowsPerSecond.String(), actor)
		if err != nil {
			return err
		}
	}
	if change.Consumers == nil {
		return nil
	}
	return p.settings.SetSetting(ctx, domain.SettingConsumers, *change.Consumers, actor)
}

// RunRetryers has every retryer run its jobs now. CodeUnavailable.
func (p *Pipeline) RunRetryers(ctx context.Context, actor string) error {
	return p.settings.SetSetting(ctx, domain.SettingRetryerRun, time.Now().UTC().Format(time.RFC3339Nano), actor)
}
