package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// auditPage shows the last audit of each campaign.
type auditPage struct {
	Audits []domain.AuditResult
	// Campaigns are all that may be audited.
	Campaigns []domain.Campaign
	// None says that this process can't audit.
	None bool
}

func (k *console) audit(c *gin.Context) {
	page := auditPage{Campaigns: k.server.directory.all(c.Request.Context()), None: k.server.ports.Auditor == nil}
	if !page.None {
		var err error
		if page.Audits, err = k.server.ports.Auditor.LastAudits(c.Request.Context(), ""); err != nil {
			k.fail(c, err)
			return
		}
	}
	k.render(c, http.StatusOK, "audit", "Audit", page)
}

// runAudit audits now, without repairing anything: that is for the command line, where it is said what it does. It has
// a time of its own.
func (k *console) runAudit(c *gin.Context) {
	if k.server.ports.Auditor == nil {
		k.fail(c, errNoAuditor)
		return
	}
	fields, err := readForm(c)
	if err != nil {
		k.fail(c, err)
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), auditTimeout)
	defer cancel()
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(auditTimeout + adminTimeout))
	var campaigns []string
	if campaign := strings.TrimSpace(fields.Get("campaign")); campaign != "" {
		campaigns = []string{campaign}
	}
	if _, err := k.server.ports.Auditor.Audit(ctx, campaigns, false); err != nil {
		k.fail(c, err)
		return
	}
	k.server.record(c, "audit run", "repair", false)
	c.Redirect(http.StatusSeeOther, "/console/audit?note=audited")
}
