package api

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"firstcome/domain"
)

// route is one line of the table of everything that the server answers.
type route struct {
	method, path string
	handle       gin.HandlerFunc
}

// applicantRoutes need no token.
func (s *Server) applicantRoutes() []route {
	return []route{
		{http.MethodPost, "/apply-coupon", s.applyDefault},
		{http.MethodPost, "/v1/campaigns/:code/apply", s.apply},
		{http.MethodGet, "/v1/campaigns/:code", s.campaign},
		{http.MethodGet, "/v1/campaigns/:code/coupons/:user_id", s.coupon},
		{http.MethodGet, "/openapi.yaml", s.openAPIDocument},
	}
}

// operationsRoutes are for load balancers and monitoring; every process has them.
func (s *Server) operationsRoutes() []route {
	return []route{
		{http.MethodGet, "/healthz", s.healthz},
		{http.MethodGet, "/readyz", s.readyz},
		{http.MethodGet, "/metrics", gin.WrapH(promhttp.HandlerFor(s.ports.Gatherer, promhttp.HandlerOpts{
			MaxRequestsInFlight: 4,
			Timeout:             adminTimeout,
		}))},
	}
}

// adminRoutes all stand behind the operators' tokens.
func (s *Server) adminRoutes() []route {
	return []route{
		{http.MethodGet, "/operator", s.adminSelf},
		{http.MethodGet, "/campaigns", s.adminCampaigns},
		{http.MethodPost, "/campaigns", s.adminCreateCampaign},
		{http.MethodGet, "/campaigns/:code", s.adminCampaign},
		{http.MethodPatch, "/campaigns/:code", s.adminChangeCampaign},
		{http.MethodPost, "/campaigns/:code/pause", s.adminSetState(domain.CampaignPaused)},
		{http.MethodPost, "/campaigns/:code/resume", s.adminSetState(domain.CampaignOpen)},
		{http.MethodPost, "/campaigns/:code/end", s.adminSetState(domain.CampaignEnded)},
		{http.MethodGet, "/campaigns/:code/funnel", s.adminFunnel},
		{http.MethodGet, "/campaigns/:code/curve", s.adminCurve},
		{http.MethodPost, "/campaigns/:code/coupons/:user_id/revoke", s.adminRevokeCoupon},
		{http.MethodGet, "/coupons", s.adminCoupons},
		{http.MethodGet, "/users/:user_id", s.adminUser},
		{http.MethodGet, "/fail-events", s.adminFailEvents},
		{http.MethodGet, "/fail-event-counts", s.adminCountFailEvents},
		{http.MethodGet, "/fail-events/:id", s.adminFailEvent},
		{http.MethodPost, "/fail-events/:id/retry", s.adminRetryFailEvent},
		{http.MethodPost, "/fail-events/:id/discard", s.adminDiscardFailEvent},
		{http.MethodGet, "/bulk-jobs", s.adminBulkJobs},
		{http.MethodPost, "/bulk-jobs", s.adminStartBulk},
		{http.MethodGet, "/bulk-jobs/:id", s.adminBulkJob},
		{http.MethodPost, "/bulk-jobs/:id/resume", s.adminResumeBulk},
		{http.MethodGet, "/pipeline", s.adminPipeline},
		{http.MethodPatch, "/pipeline", s.adminChangePipeline},
		{http.MethodPost, "/retryer/run", s.adminRunRetryer},
		{http.MethodGet, "/audit", s.adminLastAudits},
		{http.MethodGet, "/actions", s.adminActions},
	}
}

// longAdminRoutes are operators' calls that are bounded by times of their own.
func (s *Server) longAdminRoutes() []route {
	return []route{
		{http.MethodPost, "/audit", s.adminRunAudit},
		{http.MethodGet, "/coupons.csv", s.adminExportCoupons},
		{http.MethodGet, "/fail-events.csv", s.adminExportFailEvents},
	}
}

func (s *Server) newEngine() (*gin.Engine, error) {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	if err := engine.SetTrustedProxies(s.cfg.TrustedProxies); err != nil {
		return nil, err
	}
	engine.Use(s.metrics.observe, s.keepOrClose, s.recoverPanic, noStore, s.allowOrigins())
	engine.NoRoute(func(c *gin.Context) {
		s.refuse(c, domain.Errorf(domain.CodeNotFound, "there is nothing at this address"))
	})
	engine.NoMethod(func(c *gin.Context) { s.refuse(c, domain.Errorf(domain.CodeMethodNotAllowed, "")) })
	for _, r := range s.operationsRoutes() {
		engine.Handle(r.method, r.path, r.handle)
	}
	if s.cfg.OperationsOnly {
		return engine, nil
	}
	for _, r := range s.applicantRoutes() {
		engine.Handle(r.method, r.path, r.handle)
	}
	s.mountApplicantPage(engine)
	s.console.mount(engine)
	operators := engine.Group("/v1/admin", s.requireOperator)
	for _, r := range s.longAdminRoutes() {
		operators.Handle(r.method, r.path, r.handle)
	}
	admin := operators.Group("", limitTime)
	for _, r := range s.adminRoutes() {
		admin.Handle(r.method, r.path, r.handle)
	}
	return engine, nil
}
