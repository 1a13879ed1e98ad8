package consumer

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	w := newWorld(1)
	ports := Ports{Source: w, Coupons: w, Gate: w, Mender: w}
	for name, cfg := range map[string]Config{
		"batch size":       {BatchSize: MaxBatchSize + 1},
		"negative batch":   {BatchSize: -1},
		"linger":           {Linger: MaxLinger + 1},
		"rate":             {RowsPerSecond: domain.Rate{PerSecond: -1}},
		"rate, no number":  {RowsPerSecond: domain.Rate{PerSecond: math.NaN()}},
		"rate, infinite":   {RowsPerSecond: domain.Rate{PerSecond: math.Inf(1)}},
		"backoff":          {MinBackoff: time.Second, MaxBackoff: time.Millisecond},
		"default campaign": {DefaultCampaign: "No Code"},
	} {
		_, err := New(cfg, ports, prometheus.NewRegistry(), slog.Default())
		assert.Error(t, err, name)
	}
	_, err := New(Config{}, Ports{}, prometheus.NewRegistry(), slog.Default())
	require.Error(t, err)
	_, err = New(Config{}, ports, prometheus.NewRegistry(), slog.Default())
	require.NoError(t, err)
}
