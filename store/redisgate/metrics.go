package redisgate

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"firstcome/domain"
)

// The results by which decisions are counted. They are no domain codes: a new and a known winner are told apart.
const (
	resultNew = iota
	resultKnown
	resultSoldOut
	resultNotStarted
	resultPaused
	resultEnded
	resultRevoked
	resultReopening
	resultCount
)

var resultNames = [resultCount]string{
	"new", "known", string(domain.CodeSoldOut), string(domain.CodeNotStarted), string(domain.CodePaused),
	string(domain.CodeEnded), string(domain.CodeRevoked), string(domain.CodeGateClosed),
}

type metrics struct {
	decisions     [resultCount]prometheus.Counter
	batchSize     prometheus.Histogram
	callSeconds   *prometheus.HistogramVec
	closedAnswers prometheus.Counter
}

// newMetrics registers the gate's metrics; a nil registerer keeps them private.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firstcome_gate_decisions_total", Help: "Applications that the gate decided, by result.",
	}, []string{"result"})
	m := &metrics{
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firstcome_gate_batch_size", Help: "Applications decided by one script call.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		}),
		callSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firstcome_gate_call_seconds", Help: "Time of one script call, by script.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 10),
		}, []string{"script"}),
		closedAnswers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firstcome_gate_closed_answers_total", Help: "Script calls that a closed gate answered.",
		}),
	}
	for i, name := range resultNames {
		m.decisions[i] = decisions.WithLabelValues(name)
	}
	if registerer == nil {
		return m, nil
	}
	var errs []error
	for _, collector := range []prometheus.Collector{decisions, m.batchSize, m.callSeconds, m.closedAnswers} {
		errs = append(errs, registerer.Register(collector))
	}
	return m, errors.Join(errs...)
}
