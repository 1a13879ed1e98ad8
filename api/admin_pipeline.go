package api

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

const (
	// maxRowsPerSecond bounds the throttle; it is more than any database here stores.
	maxRowsPerSecond = 1_000_000
	// maxCounted is where the counts of fail events stop, so that a flood of them makes no page slow.
	maxCounted = 10_000
)

// pipelineView is what operators see of the way from Kafka to the database.
type pipelineView struct {
	// RowsPerSecond is the throttle over all consumers, 0 for no limit. It is left out while no operator has set it; the
	// consumers' own configuration holds then.
	RowsPerSecond *int64 `json:"rows_per_second,omitempty"`
	// FailEvents counts them by status; a count that reaches CountedUpTo means that many or more.
	FailEvents  map[domain.FailStatus]int64 `json:"fail_events"`
	CountedUpTo int64                       `json:"counted_up_to"`
	Lag         *PipelineView               `json:"lag,omitempty"`
	LagError    string                      `json:"lag_error,omitempty"`
}

func (s *Server) adminPipeline(c *gin.Context) {
	ctx := c.Request.Context()
	setting, err := s.ports.SettingStore.Setting(ctx, domain.SettingRowsPerSecond)
	if err != nil {
		s.refuse(c, err)
		return
	}
	counts, err := s.ports.FailEventReader.CountFailEvents(ctx, maxCounted)
	if err != nil {
		s.refuse(c, err)
		return
	}
	view := pipelineView{FailEvents: counts, CountedUpTo: maxCounted}
	if rows, err := strconv.ParseInt(setting, 10, 64); err == nil {
		view.RowsPerSecond = &rows
	}
	if s.ports.Pipeline != nil {
		lag, err := s.ports.Pipeline(ctx)
		if err != nil {
			view.LagError = harmless(err)
		} else {
			view.Lag = &lag
		}
	}
	c.JSON(http.StatusOK, view)
}

// adminChangePipeline answers PATCH /v1/admin/pipeline with the body {"rows_per_second": n}.
func (s *Server) adminChangePipeline(c *gin.Context) {
	rows := int64(-1)
	if err := s.readObject(c, map[string]any{"rows_per_second": &rows}); err != nil {
		s.refuse(c, err)
		return
	}
	if rows < 0 || rows > maxRowsPerSecond {
		s.refuse(c, domain.Invalid("rows_per_second", "rows_per_second must be 0 (no limit) to %d", maxRowsPerSecond))
		return
	}
	err := s.ports.SettingStore.SetSetting(c.Request.Context(), domain.SettingRowsPerSecond, strconv.FormatInt(rows, 10), actorOf(c))
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.record(c, "throttle changed", "rows_per_second", rows)
	s.adminPipeline(c)
}
