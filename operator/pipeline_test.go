package operator

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

type fakeSettings []string

func (f *fakeSettings) SetSetting(_ context.Context, name, value, actor string) error {
	*f = append(*f, actor+": "+name+" "+value)
	return nil
}

func TestThePipelineIsSetByWhoIsNamed(t *testing.T) {
	rate, paused, other := domain.Rate{PerSecond: 250}, domain.ConsumersPaused, "stopped"
	set := &fakeSettings{}
	pipeline := NewPipeline(set)
	require.NoError(t, pipeline.Change(t.Context(), PipelineChange{RowsPerSecond: &rate, Consumers: &paused}, "ann"))
	assert.Equal(t, fakeSettings{"ann: rows_per_second 250", "ann: consumers paused"}, *set)
	for _, change := range []PipelineChange{{}, {RowsPerSecond: &rate, Consumers: &other}} {
		err := pipeline.Change(t.Context(), change, "ann")
		assert.Equal(t, domain.CodeInvalidRequest, domain.CodeOf(err))
	}
	assert.Len(t, *set, 2, "nothing of a change that is refused is set")
}
