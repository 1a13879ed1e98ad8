package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
	"firstcome/operator"
)

// auditTimeout bounds an audit that an operator waits for. A larger campaign is for the command line and for the hourly
// audit, which have more time.
const auditTimeout = 2 * time.Minute

// auditView is the answer of both calls.
type auditView struct {
	Audits []domain.AuditResult `json:"audits"`
}

// adminLastAudits answers GET /v1/admin/audit?campaign=, with the last result of each campaign that was ever audited.
func (s *Server) adminLastAudits(c *gin.Context) {
	q := newQuery(c, "campaign")
	campaign := q.campaign()
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	results, err := s.audits.Last(c.Request.Context(), campaign)
	s.answerAudits(c, results, err)
}

// adminRunAudit answers POST /v1/admin/audit?campaign=&repair=true: it audits now, one campaign or all. The audit ends
// with the request.
func (s *Server) adminRunAudit(c *gin.Context) {
	q := newQuery(c, "campaign", "repair")
	order := auditOrder(q.campaign(), q.oneOf("repair", "true", "false") == "true")
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	results, err := s.runAudit(c, order)
	s.answerAudits(c, results, err)
}

// auditOrder is for one campaign, or for all.
func auditOrder(campaign string, repair bool) operator.AuditOrder {
	order := operator.AuditOrder{Repair: repair}
	if campaign != "" {
		order.Campaigns = []string{campaign}
	}
	return order
}

// runAudit audits for the operator of a request, for as long as one waits.
func (s *Server) runAudit(c *gin.Context, order operator.AuditOrder) ([]domain.AuditResult, error) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), auditTimeout)
	defer cancel()
	// Without this the server would cut the answer off after the time that other answers may take.
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(auditTimeout + adminTimeout))
	s.record(c, "audit run", "campaigns", order.Campaigns, "repair", order.Repair)
	return s.audits.Run(ctx, order, actorOf(c))
}

func (s *Server) answerAudits(c *gin.Context, results []domain.AuditResult, err error) {
	if err != nil {
		s.refuse(c, err)
		return
	}
	if results == nil {
		results = []domain.AuditResult{}
	}
	c.JSON(http.StatusOK, auditView{Audits: results})
}
