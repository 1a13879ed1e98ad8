package api

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"firstcome/domain"
)

func TestAGateThatForgetsMakesNoReservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.cfg.VolatileGate = true
		b.queue.publish = func(context.Context, domain.Winner) error { return errAway() }
		b.start()
		requireProblem(t, b.apply("42"), http.StatusServiceUnavailable, domain.CodeOutcomeUnknown)
		requireProblem(t, b.apply("42"), http.StatusServiceUnavailable, domain.CodeOutcomeUnknown)
		requireProblem(t, b.get("/v1/campaigns/spring/coupons/42"), http.StatusServiceUnavailable, domain.CodeOutcomeUnknown)
		assert.Equal(t, []string{"admit", "admit"}, b.gate.called(), "what is not in Kafka must stay pending")

		b.queue.publish = nil
		assert.Equal(t, "accepted", b.apply("43").body["status"], "what is in Kafka is kept without the gate")
		b.server.Close()
	})
}
