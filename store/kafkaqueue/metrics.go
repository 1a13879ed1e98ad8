package kafkaqueue

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "firstcome"

// collected is a set of metrics that is registered and given back together.
type collected struct {
	registerer prometheus.Registerer
	collectors []prometheus.Collector
}

func register(registerer prometheus.Registerer, collectors ...prometheus.Collector) (collected, error) {
	set := collected{registerer: registerer}
	for _, collector := range collectors {
		if err := registerer.Register(collector); err != nil {
			set.unregister()
			return collected{}, errors.Join(errors.New("the metrics of the queue could not be registered"), err)
		}
		set.collectors = append(set.collectors, collector)
	}
	return set, nil
}

func (c collected) unregister() {
	for _, collector := range c.collectors {
		c.registerer.Unregister(collector)
	}
}

// Results of a publish, as its counter's label.
const (
	resultAcknowledged = "acknowledged"
	resultFailed       = "failed"
	resultTimedOut     = "timed_out"
)

type publisherMetrics struct {
	collected
	records    *prometheus.CounterVec
	ackSeconds prometheus.Histogram
	inFlight   prometheus.Gauge
	connected  prometheus.Gauge
}

func newPublisherMetrics(registerer prometheus.Registerer) (publisherMetrics, error) {
	m := publisherMetrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "kafka_publish_total",
			Help: "Records published, by result: acknowledged, failed (Kafka gave up on it) or timed_out (nobody waits any more; its end is counted as well).",
		}, []string{"result"}),
		ackSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "kafka_publish_ack_seconds",
			Help:    "Time from handing records over to their last acknowledgement by all in-sync replicas.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "kafka_publish_in_flight", Help: "Records that wait for their acknowledgement.",
		}),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "kafka_publisher_connected", Help: "1 while the publisher has a connection to Kafka.",
		}),
	}
	var err error
	m.collected, err = register(registerer, m.records, m.ackSeconds, m.inFlight, m.connected)
	return m, err
}

type sourceMetrics struct {
	collected
	lag        *prometheus.GaugeVec
	owned      prometheus.Gauge
	rebalances prometheus.Counter
	commits    *prometheus.CounterVec
	passedOver prometheus.Counter
	expired    prometheus.Counter
}

func newSourceMetrics(registerer prometheus.Registerer) (sourceMetrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	}
	m := sourceMetrics{
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "kafka_consumer_lag",
			Help: "Records on a partition of this process's that are not committed yet.",
		}, []string{"partition"}),
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Name: "kafka_consumer_partitions", Help: "Partitions that are this process's now.",
		}),
		rebalances: counter("kafka_consumer_rebalances_total", "Times that this process was given partitions anew."),
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "kafka_consumer_commits_total", Help: "Commits of offsets, by result: done, fenced or failed.",
		}, []string{"result"}),
		passedOver: counter("kafka_consumer_passed_over_total",
			"Records not committed because their partition was taken away; its new owner gets them again."),
		expired: counter("kafka_consumer_expired_total", "Uncommitted records that retention deleted before they were read."),
	}
	var err error
	m.collected, err = register(registerer, m.lag, m.owned, m.rebalances, m.commits, m.passedOver, m.expired)
	return m, err
}

func label(partition int32) string { return strconv.Itoa(int(partition)) }
