package api

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/gin-gonic/gin"

	"firstcome/admission"
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
	if given.Err != nil {
		s.refuse(c, given.Err)
		return
	}
	if given.Known {
		writeWinner(c, http.StatusOK, &given.Winner)
		return
	}
	c.Writer.Header()["Location"] = []string{winnerLocation(&given.Winner)}
	writeWinner(c, http.StatusAccepted, &given.Winner)
}

// decide has an application decided, and counts what is answered. What was asked of a campaign that isn't there is not
// kept by campaign.
func (s *Server) decide(ctx context.Context, code string, user domain.UserID) admission.Answer {
	given := s.admission.Apply(ctx, code, user)
	if given.Campaign != "" && errors.Is(given.Err, context.Canceled) {
		return given // the client left before it was decided; nobody was answered
	}
	outcome := given.Outcome()
	s.metrics.applications.count(outcome)
	if given.Campaign != "" {
		s.ports.Funnel.Count(given.Campaign, outcome, 1)
	}
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

func writeWinner(c *gin.Context, status int, winner *admission.Winner) {
	buffer := bodies.Get().(*[]byte)
	defer bodies.Put(buffer)
	*buffer = appendWinner((*buffer)[:0], winner)
	c.Writer.Header()["Content-Type"] = jsonType
	c.Writer.WriteHeader(status)
	_, _ = c.Writer.Write(*buffer) // a client that has gone is no error of ours
}

// coupon answers GET /v1/campaigns/{code}/coupons/{user_id}.
func (s *Server) coupon(c *gin.Context) {
	user, err := domain.ParseUserID(c.Param("user_id"))
	if err != nil {
		s.refuse(c, err)
		return
	}
	winner, err := s.admission.Status(c.Request.Context(), c.Param("code"), user)
	if err != nil {
		s.refuse(c, err)
		return
	}
	writeWinner(c, http.StatusOK, &winner)
}

// campaign answers GET /v1/campaigns/{code}.
func (s *Server) campaign(c *gin.Context) {
	campaign, err := s.admission.Campaign(c.Request.Context(), c.Param("code"))
	if err != nil {
		s.refuse(c, err)
		return
	}
	figures, at, err := s.figures.of(c.Request.Context(), campaign.Code)
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, publicCampaign(campaign, figures, at))
}
