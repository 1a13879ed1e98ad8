package consumer

import (
	"github.com/prometheus/client_golang/prometheus"

	"firstcome/domain"
)

type metrics struct {
	rowsStored      prometheus.Counter
	batchSize       prometheus.Histogram
	outcomes        *prometheus.CounterVec
	failEvents      *prometheus.CounterVec
	paused          prometheus.Gauge
	pauses          *prometheus.CounterVec
	held            prometheus.Gauge
	throttleWait    prometheus.Histogram
	externalRefused *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		rowsStored: prometheus.NewCounter(opts("rows_stored_total", "New coupon rows.")),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "batch_records", Help: "Records in a batch.", Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		}),
		outcomes: prometheus.NewCounterVec(opts("outcomes_total",
			"What the ledger answered for the rows it was given."), []string{"outcome"}),
		failEvents: prometheus.NewCounterVec(opts("fail_events_total",
			"Records kept as fail events, redeliveries included."), []string{"reason"}),
		paused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "paused", Help: "1 while nothing gets done of what waits in hand.",
		}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "held_records",
			Help: "Records in hand that wait: for their campaign's gate or row, or for a store.",
		}),
		pauses: prometheus.NewCounterVec(opts("pauses_total", "Waits begun, of all or of one campaign, by the cause."), []string{"cause"}),
		throttleWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "throttle_wait_seconds", Help: "How long a batch waited for the throttle.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}),
		externalRefused: prometheus.NewCounterVec(opts("external_refused_total",
			"Records from outside that the gate refused."), []string{"code"}),
	}
	for _, collector := range []prometheus.Collector{
		m.rowsStored, m.batchSize, m.outcomes, m.failEvents, m.paused, m.pauses, m.held, m.throttleWait, m.externalRefused,
	} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

const prefix = "firstcome_consumer_"

func opts(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Name: prefix + name, Help: help}
}

var outcomeNames = map[domain.StoreOutcome]string{
	domain.Stored:          "stored",
	domain.AlreadyStored:   "already_stored",
	domain.AlreadyRevoked:  "already_revoked",
	domain.HasOtherSlot:    "has_other_slot",
	domain.SlotTaken:       "slot_taken",
	domain.OverQuota:       "over_quota",
	domain.OtherEpoch:      "other_epoch",
	domain.UnknownCampaign: "unknown_campaign",
}

func outcomeName(outcome domain.StoreOutcome) string {
	if name, known := outcomeNames[outcome]; known {
		return name
	}
	return "unknown"
}
