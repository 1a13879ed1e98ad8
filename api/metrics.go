package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests     *prometheus.CounterVec
	durations    *prometheus.HistogramVec
	applications *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
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
		applications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firstcome_applications_total",
			Help: "Applications by what was answered: accepted, reserved, known (asked again), or the code of the refusal.",
		}, []string{"outcome"}),
	}
	return m, errors.Join(registerer.Register(m.requests), registerer.Register(m.durations), registerer.Register(m.applications))
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
	m.requests.WithLabelValues(method, route, statusText(c.Writer.Status())).Inc()
	m.durations.WithLabelValues(method, route).Observe(time.Since(start).Seconds())
}

// statusTexts spares the hot path the making of a text a request.
var statusTexts = func() (texts [600]string) {
	for status := range texts {
		texts[status] = strconv.Itoa(status)
	}
	return texts
}()

func statusText(status int) string {
	if status < 0 || status >= len(statusTexts) {
		return statusTexts[http.StatusInternalServerError]
	}
	return statusTexts[status]
}
