package api

import (
	"net/http"
	"strings"

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
	audits := k.server.audits
	page := auditPage{Campaigns: k.server.admission.Campaigns(c.Request.Context()), None: !audits.Possible()}
	if !page.None {
		var err error
		if page.Audits, err = audits.Last(c.Request.Context(), ""); err != nil {
			k.fail(c, err)
			return
		}
	}
	k.render(c, http.StatusOK, "audit", "Audit", page)
}

// runAudit audits now, without repairing anything: that is for the command line, where it is said what it does.
func (k *console) runAudit(c *gin.Context) {
	fields, err := readForm(c)
	if err == nil {
		_, err = k.server.runAudit(c, auditOrder(strings.TrimSpace(fields.Get("campaign")), false))
	}
	if err != nil {
		k.fail(c, err)
		return
	}
	c.Redirect(http.StatusSeeOther, "/console/audit?note=audited")
}
