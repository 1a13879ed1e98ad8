package api

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

var jsonType = []string{"application/json; charset=utf-8"}

// bodies holds the buffers that hold a body while it is decoded, and then the answer.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// apply answers POST /v1/campaigns/{code}/apply.
func (s *Server) apply(c *gin.Context) { s.applyFor(c, c.Param("code")) }

// applyDefault answers POST /apply-coupon.
func (s *Server) applyDefault(c *gin.Context) { s.applyFor(c, s.cfg.DefaultCampaign) }

func (s *Server) applyFor(c *gin.Context, code string) {
	user, err := s.readApplication(c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	given := s.decide(c.Request.Context(), code, user)
	if given.err != nil {
		s.refuse(c, given.err)
		return
	}
	if given.status == http.StatusAccepted {
		c.Writer.Header()["Location"] = []string{given.view.location()}
	}
	writeWinner(c, given.status, &given.view)
}

// decide is steps 2 to 5 of an application, and counts what is answered. What was asked of a campaign that isn't there
// is not kept by campaign.
func (s *Server) decide(ctx context.Context, code string, user domain.UserID) answer {
	known, err := s.directory.find(ctx, code)
	if err != nil {
		given := answer{err: err}
		s.metrics.applications.count(given.outcome())
		return given
	}
	given := s.applications.apply(ctx, known, user)
	if errors.Is(given.err, context.Canceled) {
		return given // the client left before it was decided; nobody was answered
	}
	outcome := given.outcome()
	s.metrics.applications.count(outcome)
	s.ports.Funnel.Count(known.Code, outcome, 1)
	return given
}

func (s *Server) readApplication(c *gin.Context) (domain.UserID, error) {
	buffer := bodies.Get().(*[]byte)
	defer bodies.Put(buffer)
	body, err := readBody(c.Writer, c.Request, s.cfg.MaxBodyBytes, (*buffer)[:0])
	if err != nil {
		return 0, err
	}
	*buffer = body
	return decodeApply(body)
}

func writeWinner(c *gin.Context, status int, view *winnerView) {
	buffer := bodies.Get().(*[]byte)
	defer bodies.Put(buffer)
	*buffer = view.appendTo((*buffer)[:0])
	c.Writer.Header()["Content-Type"] = jsonType
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(*buffer) // a client that has gone is no error of ours
}

// coupon answers GET /v1/campaigns/{code}/coupons/{user_id}.
func (s *Server) coupon(c *gin.Context) {
	view, err := s.couponStatus(c.Request.Context(), c.Param("code"), c.Param("user_id"))
	if err != nil {
		s.refuse(c, err)
		return
	}
	writeWinner(c, http.StatusOK, &view)
}

// campaign answers GET /v1/campaigns/{code}.
func (s *Server) campaign(c *gin.Context) {
	known, err := s.directory.find(c.Request.Context(), c.Param("code"))
	if err != nil {
		s.refuse(c, err)
		return
	}
	figures, at, err := s.figures.of(c.Request.Context(), known.Code)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, publicCampaign(known.Campaign, figures, at))
}
