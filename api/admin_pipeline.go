package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
	"firstcome/operator"
)

// maxCounted is where the counts of fail events stop, so that a flood of them makes no page slow.
const maxCounted = 1000

// throttleView is the throttle over all consumers as JSON tells it: a whole number of rows a second, 0 for no limit, or
// "auto".
type throttleView struct{ domain.Rate }

// MarshalJSON writes a number as a number.
func (t throttleView) MarshalJSON() ([]byte, error) {
	if t.Auto {
		return json.Marshal(t.String())
	}
	return []byte(t.String()), nil
}

// UnmarshalJSON takes what domain.ParseRate takes, but no fraction. Only "auto" is a JSON string.
func (t *throttleView) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if text == `"`+domain.RowsPerSecondAuto+`"` {
		text = domain.RowsPerSecondAuto
	}
	rate, err := domain.ParseRate(text)
	if err != nil || !rate.IsWhole() {
		return domain.Invalid("rows_per_second", "rows_per_second must be a whole number")
	}
	t.Rate = rate
	return nil
}

// pipelineView is what operators see of the way from Kafka to the database. What the database would have told is left
// out while it is away, and LedgerError says why.
type pipelineView struct {
	// RowsPerSecond is left out while no operator has set it; the consumers' own configuration holds then.
	RowsPerSecond *throttleView `json:"rows_per_second,omitempty"`
	// Consumers is "paused" while an operator holds all of them, else "running".
	Consumers string `json:"consumers,omitempty"`
	// FailEvents counts them by status; a count that reaches CountedUpTo means that many or more.
	FailEvents  map[domain.FailStatus]int64 `json:"fail_events,omitempty"`
	CountedUpTo int64                       `json:"counted_up_to"`
	// Processes are those that were seen lately, this one among them.
	Processes   []processView `json:"processes"`
	LedgerError string        `json:"ledger_error,omitempty"`
	Lag         *PipelineView `json:"lag,omitempty"`
	LagError    string        `json:"lag_error,omitempty"`
}

// processView is what a process last said of itself.
type processView struct {
	Process   string    `json:"process"`
	Host      string    `json:"host"`
	Version   string    `json:"version"`
	Roles     []string  `json:"roles"`
	StartedAt time.Time `json:"started_at"`
	SeenAt    time.Time `json:"seen_at"`
	// Silent is true when the process has said nothing for longer than it should.
	Silent   bool          `json:"silent"`
	Consumer *consumerView `json:"consumer,omitempty"`
	Jobs     []jobView     `json:"jobs,omitempty"`
	// Warnings are what the stores told this process of what promises depend on.
	Warnings []domain.StoreWarning `json:"warnings,omitempty"`
}

type consumerView struct {
	// Paused says why nothing is stored; left out while it runs.
	Paused      string     `json:"paused,omitempty"`
	PausedSince *time.Time `json:"paused_since,omitempty"`
	// Waiting are the records of campaigns that can't get on, whether others do or not.
	Waiting            []domain.WaitingRecords `json:"waiting,omitempty"`
	RowsStored         int64                   `json:"rows_stored"`
	RowsPerSecond      float64                 `json:"rows_per_second"`
	LimitRowsPerSecond float64                 `json:"limit_rows_per_second"`
	Partitions         int                     `json:"partitions"`
	PartitionsTotal    int                     `json:"partitions_total"`
}

type jobView struct {
	Name         string     `json:"name"`
	EverySeconds float64    `json:"every_seconds"`
	LastRunAt    *time.Time `json:"last_run_at,omitempty"`
	LastError    string     `json:"last_error,omitempty"`
	NextRunAt    *time.Time `json:"next_run_at,omitempty"`
}

func viewProcess(beat domain.Heartbeat, now time.Time) processView {
	view := processView{
		Process: beat.Process, Host: beat.Host, Version: beat.Version, Roles: beat.Roles,
		StartedAt: beat.StartedAt.UTC(), SeenAt: beat.SeenAt.UTC(), Silent: now.Sub(beat.SeenAt) > domain.HeartbeatSilence,
		Warnings: beat.Warnings,
	}
	if c := beat.Consumer; c != nil {
		view.Consumer = &consumerView{
			Paused: c.Paused, PausedSince: instant(c.PausedSince), Waiting: c.Waiting, RowsStored: c.RowsStored, RowsPerSecond: c.RowsPerSecond,
			LimitRowsPerSecond: c.LimitRowsPerSecond, Partitions: c.Partitions, PartitionsTotal: c.PartitionsTotal,
		}
	}
	if r := beat.Retryer; r != nil {
		for _, job := range r.Jobs {
			view.Jobs = append(view.Jobs, jobView{
				Name: job.Name, EverySeconds: job.Every.Seconds(), LastRunAt: instant(job.LastRunAt),
				LastError: job.LastError, NextRunAt: instant(job.NextRunAt),
			})
		}
	}
	return view
}

func (s *Server) adminPipeline(c *gin.Context) {
	c.JSON(http.StatusOK, s.pipeline(c.Request.Context()))
}

// pipeline tells what can be told: while the database is away, operators need the rest all the more.
func (s *Server) pipeline(ctx context.Context) pipelineView {
	view := pipelineView{CountedUpTo: maxCounted, Processes: []processView{}}
	half, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := s.addLedgersPart(half, &view); err != nil {
		view.LedgerError = harmless(err)
	}
	s.addSelf(&view)
	if s.ports.Pipeline != nil {
		lag, err := s.ports.Pipeline(ctx)
		if err != nil {
			view.LagError = harmless(err)
		} else {
			view.Lag = &lag
		}
	}
	return view
}

func (s *Server) addLedgersPart(ctx context.Context, view *pipelineView) error {
	throttle, err := s.ports.SettingStore.Setting(ctx, domain.SettingRowsPerSecond)
	if err != nil {
		return err
	}
	// One that can't be read is as none, as for the consumers.
	if rate, err := domain.ParseRate(throttle); err == nil {
		view.RowsPerSecond = &throttleView{rate}
	}
	view.Consumers = domain.ConsumersRunning
	held, err := s.ports.SettingStore.Setting(ctx, domain.SettingConsumers)
	if err != nil {
		return err
	}
	if held == domain.ConsumersPaused {
		view.Consumers = held
	}
	counts, err := s.ports.FailEventReader.CountFailEvents(ctx, "", maxCounted)
	if err != nil {
		return err
	}
	view.FailEvents = byStatus(counts)
	beats, err := s.ports.Heartbeats.Heartbeats(ctx, time.Now().Add(-rememberedSilence))
	if err != nil {
		return err
	}
	for _, beat := range beats {
		view.Processes = append(view.Processes, viewProcess(beat, time.Now()))
	}
	return nil
}

// rememberedSilence is how long a silent process is still shown.
const rememberedSilence = 5 * time.Minute

// byStatus sums counts over their reasons; a sum stops where each count does.
func byStatus(counts []domain.FailEventCount) map[domain.FailStatus]int64 {
	sums := map[domain.FailStatus]int64{}
	for _, status := range domain.FailStatuses {
		sums[status] = 0
	}
	for _, count := range counts {
		sums[count.Status] = min(sums[count.Status]+count.Count, maxCounted)
	}
	return sums
}

// addSelf shows this process as it is now, and not as it last told the ledger.
func (s *Server) addSelf(view *pipelineView) {
	if s.ports.Self == nil {
		return
	}
	self := viewProcess(s.ports.Self(), time.Now())
	for i := range view.Processes {
		if view.Processes[i].Process == self.Process {
			view.Processes[i] = self
			return
		}
	}
	view.Processes = append(view.Processes, self)
}

// adminChangePipeline answers PATCH /v1/admin/pipeline with {"rows_per_second": 1000 or "auto"} or {"consumers":
// "paused" or "running"}, or both. Each reaches every consumer within a second or two and survives restarts.
func (s *Server) adminChangePipeline(c *gin.Context) {
	var throttle *throttleView
	var consumers *string
	err := s.readObject(c, map[string]any{"rows_per_second": &throttle, "consumers": &consumers})
	if err != nil {
		s.refuse(c, err)
		return
	}
	if err := s.pipelineSteps.Change(c.Request.Context(), pipelineChange(throttle, consumers), actorOf(c)); err != nil {
		s.refuse(c, err)
		return
	}
	s.record(c, "pipeline changed")
	s.adminPipeline(c)
}

func pipelineChange(throttle *throttleView, consumers *string) operator.PipelineChange {
	change := operator.PipelineChange{Consumers: consumers}
	if throttle != nil {
		change.RowsPerSecond = &throttle.Rate
	}
	return change
}

// adminRunRetryer answers POST /v1/admin/retryer/run: every retryer runs its jobs within a second or two.
func (s *Server) adminRunRetryer(c *gin.Context) {
	if err := s.pipelineSteps.RunRetryers(c.Request.Context(), actorOf(c)); err != nil {
		s.refuse(c, err)
		return
	}
	s.record(c, "retryer run asked for")
	c.Status(http.StatusNoContent)
}
