package retryer

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firstcome/domain"
)

// maxLabelledCampaigns bounds the campaigns that have gauges of their own.
const maxLabelledCampaigns = 100

type metrics struct {
	jobs           *prometheus.CounterVec
	attempts       *prometheus.CounterVec
	rescued        prometheus.Counter
	relayed        prometheus.Counter
	released       prometheus.Counter
	recalled       *prometheus.CounterVec
	rebuilds       *prometheus.CounterVec
	rebuildSeconds prometheus.Histogram
	gateOpen       *prometheus.GaugeVec
	gateEpoch      *prometheus.GaugeVec
	pendingAge     *prometheus.GaugeVec
	withoutSlot    *prometheus.GaugeVec
	audits         *prometheus.CounterVec
	differences    *prometheus.GaugeVec
	auditedAt      *prometheus.GaugeVec

	mu       sync.Mutex
	labelled map[string]bool
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		jobs:     counters("job_runs_total", "Runs of the jobs, by how they ended.", "job", "result"),
		attempts: counters("attempts_total", "Attempts at fail events, by how they ended.", "outcome"),
		rescued:  counter("rescued_total", "Fail events whose lease had run out."),
		relayed:  counter("relayed_total", "Winners sent because nobody had confirmed them in time."),
		released: counter("released_total", "Revoked coupons of which the gate was told."),
		recalled: counters("winners_recalled_total",
			"Winners that a store had lost, by the place that still knew them.", "from"),
		rebuilds: counters("rebuilds_total", "Rebuilds of gates, by how they ended.", "result"),
		rebuildSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "rebuild_seconds", Help: "How long a rebuild took.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 9),
		}),
		gateOpen:    gauges("gate_open", "1 while the campaign's gate is open."),
		gateEpoch:   gauges("gate_epoch", "The epoch that the gate is at."),
		pendingAge:  gauges("pending_oldest_age_seconds", "How long the oldest unconfirmed entry has waited."),
		withoutSlot: gauges("promised_without_slot", "How many users were promised a coupon and have no slot: raise the quota by so many."),
		audits:      counters("audits_total", "Audits of campaigns, by what they found.", "result"),
		differences: gauges("audit_differences", "How many differences the last audit of the campaign found."),
		auditedAt:   gauges("audit_timestamp_seconds", "When the last audit of the campaign ended, in seconds since 1970."),
		labelled:    map[string]bool{},
	}
	for _, collector := range []prometheus.Collector{
		m.jobs, m.attempts, m.rescued, m.relayed, m.released, m.recalled, m.rebuilds, m.rebuildSeconds,
		m.gateOpen, m.gateEpoch, m.pendingAge, m.withoutSlot, m.audits, m.differences, m.auditedAt,
	} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

const prefix = "firstcome_retryer_"

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
}

func gauges(name, help string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, []string{"campaign"})
}

// gate shows what the sweep found of one campaign. Campaigns beyond the bound have no gauges.
func (m *metrics) gate(code string, report domain.GateReport) {
	if !m.mayLabel(code) {
		return
	}
	open := 0.0
	if report.Closed == "" {
		open = 1
	}
	m.gateOpen.WithLabelValues(code).Set(open)
	m.gateEpoch.WithLabelValues(code).Set(float64(report.Epoch))
	m.withoutSlot.WithLabelValues(code).Set(float64(report.WithoutSlot()))
	m.pendingAge.WithLabelValues(code).Set(max(report.OldestPendingAge, 0).Seconds())
}

func (m *metrics) mayLabel(code string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.labelled[code] && len(m.labelled) < maxLabelledCampaigns {
		m.labelled[code] = true
	}
	return m.labelled[code]
}

func (m *metrics) rebuilt(result string, took time.Duration) {
	m.rebuilds.WithLabelValues(result).Inc()
	m.rebuildSeconds.Observe(took.Seconds())
}

// What an audit found, as the metric names it.
const (
	auditClean     = "clean"
	auditDifferent = "different"
	auditFailed    = "failed"
)

// audited counts an audit. One that failed leaves the last one's gauges, whose age then tells.
func (m *metrics) audited(result domain.AuditResult) {
	switch {
	case result.Error != "":
		m.audits.WithLabelValues(auditFailed).Inc()
		return
	case result.Clean():
		m.audits.WithLabelValues(auditClean).Inc()
	default:
		m.audits.WithLabelValues(auditDifferent).Inc()
	}
	if m.mayLabel(result.Campaign) {
		m.differences.WithLabelValues(result.Campaign).Set(float64(result.DifferencesTotal))
		m.auditedAt.WithLabelValues(result.Campaign).Set(float64(result.FinishedAt.Unix()))
	}
}
