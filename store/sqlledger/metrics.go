package sqlledger

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"firstcome/domain"
)

type metrics struct {
	calls   *prometheus.HistogramVec
	errors  *prometheus.CounterVec
	retries *prometheus.CounterVec
}

// newMetrics registers the metrics; a nil registerer leaves them unregistered.
func newMetrics(registerer prometheus.Registerer, pool *sql.DB) (*metrics, error) {
	m := &metrics{
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firstcome_ledger_call_seconds", Help: "How long calls to the database took, repetitions included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}, []string{"operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_ledger_errors_total", Help: "Calls to the database that failed or were refused, by code.",
		}, []string{"operation", "code"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_ledger_retries_total", Help: "Transactions that were undone by a conflict and tried again.",
		}, []string{"operation"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, collector := range []prometheus.Collector{
		m.calls, m.errors, m.retries, collectors.NewDBStatsCollector(pool, "ledger"),
	} {
		if err := registerer.Register(collector); err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(operation string, started time.Time, err error) {
	m.calls.WithLabelValues(operation).Observe(time.Since(started).Seconds())
	if err != nil {
		m.errors.WithLabelValues(operation, string(domain.CodeOf(err))).Inc()
	}
}
