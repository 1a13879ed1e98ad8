package api

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// readiness is the body of /readyz.
type readiness struct {
	// Status is "ready", or "unavailable" when a required dependency fails.
	Status string        `json:"status"`
	Checks []checkResult `json:"checks"`
	// Warnings are what promises depend on in the stores' settings. They make no process unready: it would serve as
	// badly elsewhere.
	Warnings []domain.StoreWarning `json:"warnings,omitempty"`
}

type checkResult struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
	// Status is "ok" or "failed"; Error says why, without what a driver said.
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// healthz says that the process answers, whatever its dependencies do.
func (s *Server) healthz(c *gin.Context) {
	c.JSON(http.StatusOK, gin.H{"status": "ok", "version": s.cfg.Version})
}

// readyz says whether this process should be sent requests.
func (s *Server) readyz(c *gin.Context) {
	ready, _, err := s.readiness.get(c.Request.Context())
	if err != nil {
		s.refuse(c, err)
		return
	}
	status := http.StatusOK
	if ready.Status != "ready" {
		status = http.StatusServiceUnavailable
	}
	c.JSON(status, ready)
}

func (s *Server) checkReadiness(ctx context.Context) readiness {
	checks := s.ports.Checks
	if !s.cfg.OperationsOnly {
		checks = append([]Check{{Name: "campaigns", Required: true, Ping: s.pingDirectory}}, checks...)
	}
	ready := readiness{Status: "ready", Checks: make([]checkResult, len(checks))}
	if s.ports.Warnings != nil {
		ready.Warnings = s.ports.Warnings()
	}
	var asked sync.WaitGroup
	for i, check := range checks {
		asked.Go(func() { ready.Checks[i] = s.ask(ctx, check) })
	}
	asked.Wait()
	for _, result := range ready.Checks {
		if result.Required && result.Status != "ok" {
			ready.Status = "unavailable"
		}
	}
	return ready
}

func (s *Server) ask(ctx context.Context, check Check) checkResult {
	err := check.Ping(ctx)
	if err == nil {
		return checkResult{Name: check.Name, Required: check.Required, Status: "ok"}
	}
	s.logger.Warn("a readiness check failed", "check", check.Name, "required", check.Required, "error", err)
	return checkResult{Name: check.Name, Required: check.Required, Status: "failed", Error: harmless(err)}
}

// harmless tells of an error what may be shown to anybody: the words of a domain.Error. A driver's words may hold
// addresses and names of accounts.
func harmless(err error) string {
	coded, ok := errors.AsType[*domain.Error](err)
	switch {
	case ok && coded.Message != "":
		return string(coded.Code) + ": " + coded.Message
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "failed; the log says why"
}

// pingDirectory is a check of its own: an api that has never read its campaigns can admit nobody.
func (s *Server) pingDirectory(context.Context) error {
	if !s.admission.CampaignsRead() {
		return domain.Errorf(domain.CodeUnavailable, "the campaigns were not read yet")
	}
	return nil
}
