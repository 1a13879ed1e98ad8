package admission

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

// The fake gate answers under epoch 1, as an old primary does to which a process still has a connection, after the
// campaign was rebuilt elsewhere under epoch 2.
func TestAGateThatIsOlderThanTheLedgerIsNotBelieved(t *testing.T) {
	b := newFixture(t)
	b.gate.Quota = 1
	b.gate.Users[1] = domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 1, Slot: 1, Epoch: 1, AdmittedAt: admissiontest.AdmittedAt}}
	b.ledger.campaigns[0].Epoch = 2
	b.start()
	for name, ask := range map[string]func() Answer{
		"a known winner":        func() Answer { return b.apply(1) },
		"somebody new":          func() Answer { return b.apply(2) },
		"the status":            func() Answer { return b.status(1) },
		"the status of another": func() Answer { return b.status(2) },
	} {
		got := ask()
		require.Error(t, got.Err, name)
		requireCode(t, domain.CodeGateClosed, got)
	}
	b.gate.Quota = 10
	requireCode(t, domain.CodeGateClosed, b.apply(3))
	assert.Empty(t, b.queue.Winners(), "nothing is promised to those that an old gate admits")
}

// The ledger's epoch rises while a record is on its way to Kafka: first the old gate still confirms, then the new one
// answers.
func TestAnOldGateConfirmsNothingAndHonoursNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		var epoch atomic.Int64
		epoch.Store(1)
		b.gate.Honouring = func(context.Context, domain.UserID) (domain.Admission, error) {
			return domain.Admission{
				Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: 7, Epoch: epoch.Load(), AdmittedAt: admissiontest.AdmittedAt}, InQueue: true,
			}, nil
		}
		changed := domain.Errorf(domain.CodeEpochChanged, "")
		b.gate.Confirming = func(context.Context, int64) error {
			switch {
			case b.service.directory.lookUp("spring").epoch.latest.Load() == 1:
				b.service.directory.put(domain.Campaign{Code: "spring", Epoch: 2})
				return nil // the old gate
			case epoch.Load() == 1:
				time.AfterFunc(time.Second, func() { epoch.Store(2) })
				return changed // another old gate, whose honour is not believed either
			}
			return changed
		}
		b.start()
		defer b.close()
		synctest.Wait()
		got := b.apply(42)
		require.NoError(t, got.Err)
		assert.Equal(t, StatusAccepted, got.Winner.Status)
		assert.EqualValues(t, 7, got.Winner.Slot, "as the gate of the ledger's epoch says")
		assert.EqualValues(t, 2, epoch.Load())
	})
}

func TestNoLeaseRestsOnAGateThatIsOlderThanTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		twoProcesses(t, campaignNow(), func(g *windowGate, services [2]*Service) {
			g.change(func(c *domain.Campaign) { c.State = domain.CampaignEnded })
			ask := func() error { return services[0].Apply(t.Context(), "spring", 42).Err }
			// As long as somebody asks, a lease is renewed.
			goOnAsking := func(until time.Duration) {
				for end := time.Now().Add(until); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
					_ = ask()
				}
			}
			goOnAsking(3 * refusalLease)
			require.False(t, g.asksTheGate(func() { _ = ask() }), "it is refused from memory")
			g.ledger.change(func(c *domain.Campaign) { c.Epoch = 2 })
			goOnAsking(directoryInterval + refusalLease)
			assert.Equal(t, domain.CodeGateClosed, domain.CodeOf(ask()))
		})
	})
}
