package admission

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"firstcome/domain"
)

func TestAGateThatForgetsMakesNoReservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.cfg.VolatileGate = true
		b.queue.Publishing = func(context.Context, domain.Winner) error { return errAway() }
		b.start()
		requireCode(t, domain.CodeOutcomeUnknown, b.apply(42))
		requireCode(t, domain.CodeOutcomeUnknown, b.apply(42))
		requireCode(t, domain.CodeOutcomeUnknown, b.status(42))
		assert.Equal(t, []string{"admit", "admit"}, b.gate.Called(), "what is not in Kafka must stay pending")

		b.queue.Publishing = nil
		assert.Equal(t, StatusAccepted, b.apply(43).Winner.Status, "what is in Kafka is kept without the gate")
		b.close()
	})
}
