package api

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// Auditor compares the gate, the topic and the ledger.
type Auditor interface {
	// Audit audits the campaigns named, or all, and with repair mends what can be mended without breaking a promise.
	// CodeUnknownCampaign. CodeConflict: the same audit, or too many others, are under way in
	// this process.
	Audit(ctx context.Context, campaigns []string, repair bool) ([]domain.AuditResult, error)
	// LastAudits gives the last result of every campaign that was audited, or of one.
	LastAudits(ctx context.Context, campaign string) ([]domain.AuditResult, error)
}

// auditTimeout bounds an audit that an operator waits for. A larger campaign is for the command line and for the hourly
// audit, which have more time.
const auditTimeout = 2 * time.Minute

var errNoAuditor = domain.Errorf(domain.CodeNotFound, "this process can't audit; ask one with the role retryer")

// auditView is the answer of both calls.
type auditView struct {
	Audits []domain.AuditResult `json:"audits"`
}

// adminLastAudits answers GET /v1/admin/audit?campaign=, with the last result of each campaign that was ever audited.
func (s *Server) adminLastAudits(c *gin.Context) {
	q := newQuery(c, "campaign")
	if s.ports.Auditor == nil {
		q.err = errNoAuditor
	}
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	s.answerAudits(c, func() ([]domain.AuditResult, error) {
		return s.ports.Auditor.LastAudits(c.Request.Context(), q.campaign())
	})
}

// adminRunAudit answers POST /v1/admin/audit?campaign=&repair=true: it audits now, one campaign or all. The audit ends
// with the request.
func (s *Server) adminRunAudit(c *gin.Context) {
	q := newQuery(c, "campaign", "repair")
	repair := q.oneOf("repair", "true", "false") == "true"
	if s.ports.Auditor == nil {
		q.err = errNoAuditor
	}
	if q.err != nil {
		s.refuse(c, q.err)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), auditTimeout)
	defer cancel()
	// Without this the server would cut the answer off after the time that other answers may take.
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(auditTimeout + adminTimeout))
	var campaigns []string
	if campaign := q.campaign(); campaign != "" {
		campaigns = []string{campaign}
	}
	s.answerAudits(c, func() ([]domain.AuditResult, error) {
		if err := s.recordAudit(c, q.campaign(), repair); err != nil {
			return nil, err
		}
		s.record(c, "audit run", "repair", repair)
		return s.ports.Auditor.Audit(ctx, campaigns, repair)
	})
}

// recordAudit keeps in the operators' history that an audit is about to run: a repair changes things.
func (s *Server) recordAudit(c *gin.Context, campaign string, repair bool) error {
	action, target := "audit", "all campaigns"
	if repair {
		action = "repair"
	}
	if campaign != "" {
		target = "campaign " + campaign
	}
	return s.ports.ActionLog.RecordAction(c.Request.Context(), domain.OperatorAction{
		Actor: actorOf(c), Action: action, Target: target,
	})
}

func (s *Server) answerAudits(c *gin.Context, give func() ([]domain.AuditResult, error)) {
	results, err := give()
	if err != nil {
		s.refuse(c, err)
		return
	}
	if results == nil {
		results = []domain.AuditResult{}
	}
	c.JSON(http.StatusOK, auditView{Audits: results})
}
