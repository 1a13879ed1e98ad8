package api

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"firstcome/domain"
)

type metrics struct {
	requests     *prometheus.CounterVec
	durations    *prometheus.HistogramVec
	applications *outcomes
	// routes holds the series of each route that was asked for. It is replaced when one is added.
	mu     sync.Mutex
	routes atomic.Pointer[map[routeKey]*routeMetrics]
}

// outcomes counts applications by what was answered. The series of the outcomes that there can be are looked up once.
type outcomes struct {
	vector *prometheus.CounterVec
	known  map[domain.FunnelOutcome]prometheus.Counter
}

func newOutcomes(vector *prometheus.CounterVec) *outcomes {
	o := &outcomes{vector: vector, known: map[domain.FunnelOutcome]prometheus.Counter{}}
	for _, outcome := range domain.FunnelOutcomes() {
		if outcome != domain.FunnelIssued { // what the consumer did is no answer to an application
			o.known[outcome] = vector.WithLabelValues(string(outcome))
		}
	}
	return o
}

func (o *outcomes) count(outcome domain.FunnelOutcome) {
	counter, ok := o.known[outcome]
	if !ok {
		counter = o.vector.WithLabelValues(string(outcome))
	}
	counter.Inc()
}

// newMetrics registers them; refusalBytes is read by a gauge.
func newMetrics(registerer prometheus.Registerer, refusalBytes func() int64) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_http_requests_total",
			Help: "HTTP requests by route and status; route \"unmatched\" stands for addresses that do not exist.",
		}, []string{"method", "route", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "firstcome_http_request_duration_seconds",
			Help:    "Time from the end of a request's header to its answer, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"method", "route"}),
	}
	applications := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "firstcome_applications_total",
		Help: "Applications by what was answered: accepted, reserved, known (asked again), or the code of the refusal.",
	}, []string{"outcome"})
	m.applications = newOutcomes(applications)
	m.routes.Store(&map[routeKey]*routeMetrics{})
	memory := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firstcome_refusal_memory_bytes",
		Help: "Memory that holds winners, so that others are refused without asking Redis.",
	}, func() float64 { return float64(refusalBytes()) })
	return m, errors.Join(registerer.Register(m.requests), registerer.Register(m.durations), registerer.Register(applications),
		registerer.Register(memory))
}

// observe counts and times every request. Labels come from the route table, never from the request, so that no client
// can make series without end.
func (m *metrics) observe(c *gin.Context) {
	start := time.Now()
	c.Next()
	method, route := c.Request.Method, c.FullPath()
	if route == "" {
		method, route = "any", "unmatched"
	}
	series := m.of(routeKey{method, route})
	series.requests(m, c.Writer.Status()).Inc()
	series.durations.Observe(time.Since(start).Seconds())
}

// routeKey names a route; there are no more of them than stand in the tables of routes.
type routeKey struct{ method, route string }

// routeMetrics are the series of one route. Looking them up by their labels would cost more than counting does.
type routeMetrics struct {
	key       routeKey
	durations prometheus.Observer
	byStatus  [600]atomic.Pointer[prometheus.Counter]
}

func (m *metrics) of(key routeKey) *routeMetrics {
	if found := (*m.routes.Load())[key]; found != nil {
		return found
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	routes := maps.Clone(*m.routes.Load())
	if routes[key] == nil {
		routes[key] = &routeMetrics{key: key, durations: m.durations.WithLabelValues(key.method, key.route)}
		m.routes.Store(&routes)
	}
	return routes[key]
}

func (r *routeMetrics) requests(m *metrics, status int) prometheus.Counter {
	if status < 0 || status >= len(r.byStatus) {
		status = http.StatusInternalServerError
	}
	if counter := r.byStatus[status].Load(); counter != nil {
		return *counter
	}
	counter := m.requests.WithLabelValues(r.key.method, r.key.route, strconv.Itoa(status))
	r.byStatus[status].Store(&counter)
	return counter
}
