package api

import (
	"context"
	"math"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
	"firstcome/operator"
)

// pipelineState is how the consumers and retryers do, as the admin API tells it, with the lag that is kept over time.
type pipelineState struct {
	pipelineView
	Lag lagReading
	// LagKnown is false before the first reading, and while Kafka does not answer.
	LagKnown bool
}

// pipelineState asks the ledger, and takes the lag from what was read last.
func (k *console) pipelineState(ctx context.Context) pipelineState {
	s := k.server
	var state pipelineState
	lag, seen := k.lags.newest()
	state.Lag, state.LagKnown = lag, seen && lag.Error == ""
	half, cancel := context.WithTimeout(ctx, storeTimeout/2)
	defer cancel()
	if err := s.addLedgersPart(half, &state.pipelineView); err != nil {
		state.LedgerError = harmless(err)
	}
	s.addSelf(&state.pipelineView)
	return state
}

// Held says that an operator has paused all consumers.
func (p pipelineState) Held() bool { return p.pipelineView.Consumers == domain.ConsumersPaused }

// WithConsumer gives the processes that run a consumer and are not silent.
func (p pipelineState) WithConsumer() []processView {
	return p.running(func(process processView) bool { return process.Consumer != nil })
}

// WithRetryer gives the processes that run the retryer's jobs and are not silent.
func (p pipelineState) WithRetryer() []processView {
	return p.running(func(process processView) bool { return len(process.Jobs) > 0 })
}

func (p pipelineState) running(has func(processView) bool) []processView {
	var found []processView
	for _, process := range p.Processes {
		if !process.Silent && has(process) {
			found = append(found, process)
		}
	}
	return found
}

// Rate is what all consumers store a second.
func (p pipelineState) Rate() float64 {
	sum := 0.0
	for _, process := range p.WithConsumer() {
		sum += process.Consumer.RowsPerSecond
	}
	return sum
}

// StoredRate is Rate as a whole number, or -1 while no consumer says anything.
func (p pipelineState) StoredRate() int64 {
	if len(p.WithConsumer()) == 0 {
		return unknown
	}
	return int64(math.Round(p.Rate()))
}

// Throttle is what stands in the field: what an operator has set, "" for nothing.
func (p pipelineState) Throttle() string {
	if p.RowsPerSecond == nil {
		return ""
	}
	return p.RowsPerSecond.String()
}

// ThrottleText says the throttle in words.
func (p pipelineState) ThrottleText() string {
	switch throttle := p.Throttle(); throttle {
	case "":
		return "as configured"
	case "0":
		return "none"
	case domain.RowsPerSecondAuto:
		return "automatic"
	default:
		return grouped(throttle) + "/s"
	}
}

// pipelinePage is what the page of the pipeline shows.
type pipelinePage struct {
	pipelineState
	Alerts []alert
	Curve  chartView
	// Typed and Error are what was typed as the throttle, and what is wrong with it.
	Typed, Error string
}

func (k *console) pipeline(c *gin.Context) { k.showPipeline(c, http.StatusOK, "", "") }

func (k *console) showPipeline(c *gin.Context, status int, typed, wrong string) {
	found, _, err := k.overview.get(c.Request.Context())
	if err != nil {
		k.fail(c, err)
		return
	}
	page := pipelinePage{
		pipelineState: k.pipelineState(c.Request.Context()), Alerts: found.Alerts, Typed: typed, Error: wrong,
		Curve: chartView{
			Title: "Lag", Address: "/console/pipeline/lag", Every: lagRefresh,
			Says:  "Records in Kafka that are not stored yet. This process has read them since its start, at most for an hour.",
			Quiet: "Nothing waits: every record of this time was stored.", Short: true,
		},
	}
	if typed == "" {
		page.Typed = page.Throttle()
	}
	k.render(c, status, "pipeline", "Pipeline", page)
}

// setThrottle takes a number, or one of the buttons beside it.
func (k *console) setThrottle(c *gin.Context) {
	fields, err := readForm(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	typed := strings.TrimSpace(fields.Get("rows_per_second"))
	if choice := fields.Get("choice"); choice != "" {
		typed = choice
	}
	rate, err := domain.ParseRate(strings.ReplaceAll(typed, ",", "")) // which are for the eye
	if err != nil || !rate.IsWhole() {
		k.showPipeline(c, http.StatusUnprocessableEntity, typed, "A whole number from 0 (no limit) to "+grouped(digits(domain.MaxRowsPerSecond))+".")
		return
	}
	k.afterPipelineChange(c, k.server.pipelineSteps.Change(c.Request.Context(), operator.PipelineChange{RowsPerSecond: &rate}, actorOf(c)), "throttled")
}

// setConsumers answers the buttons that pause all consumers and let them go on.
func (k *console) setConsumers(value, note string) gin.HandlerFunc {
	return func(c *gin.Context) {
		k.afterPipelineChange(c, k.server.pipelineSteps.Change(c.Request.Context(), operator.PipelineChange{Consumers: &value}, actorOf(c)), note)
	}
}

func (k *console) runRetryer(c *gin.Context) {
	k.afterPipelineChange(c, k.server.pipelineSteps.RunRetryers(c.Request.Context(), actorOf(c)), "run")
}

func (k *console) afterPipelineChange(c *gin.Context, err error, note string) {
	if err != nil {
		k.fail(c, err)
		return
	}
	k.server.record(c, "pipeline changed", "change", note)
	c.Redirect(http.StatusSeeOther, "/console/pipeline?note="+note)
}
