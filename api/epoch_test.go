package api

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// The fake gate answers under epoch 1, as an old primary does to which a process still has a connection, after the
// campaign was rebuilt elsewhere under epoch 2.
func TestAGateThatIsOlderThanTheLedgerIsNotBelieved(t *testing.T) {
	b := newFixture(t)
	b.gate.quota = 1
	b.gate.users[1] = domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 1, Slot: 1, Epoch: 1, AdmittedAt: admittedAt}}
	b.ledger.campaigns[0].Epoch = 2
	b.start()
	for name, ask := range map[string]func() reply{
		"a known winner":        func() reply { return b.apply("1") },
		"somebody new":          func() reply { return b.apply("2") },
		"the status":            func() reply { return b.get("/v1/campaigns/spring/coupons/1") },
		"the status of another": func() reply { return b.get("/v1/campaigns/spring/coupons/2") },
	} {
		got := ask()
		require.Equal(t, http.StatusServiceUnavailable, got.Code, "%s: %s", name, got.Body)
		requireProblem(t, got, 503, domain.CodeGateClosed)
	}
	b.gate.quota = 10
	requireProblem(t, b.apply("3"), 503, domain.CodeGateClosed)
	assert.Empty(t, b.queue.winners(), "whom an old gate admits is promised nothing")
}

// The ledger's epoch rises while a record is on its way to Kafka: first the old gate still confirms, then the new one
// answers.
func TestAnOldGateConfirmsNothingAndHonoursNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		var epoch atomic.Int64
		epoch.Store(1)
		b.gate.honour = func(context.Context, domain.UserID) (domain.Admission, error) {
			return domain.Admission{
				Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: 7, Epoch: epoch.Load(), AdmittedAt: admittedAt}, InQueue: true,
			}, nil
		}
		changed := domain.Errorf(domain.CodeEpochChanged, "")
		b.gate.confirm = func(context.Context, int64) error {
			switch {
			case b.server.directory.lookUp("spring").epoch.latest.Load() == 1:
				b.server.directory.put(domain.Campaign{Code: "spring", Epoch: 2})
				return nil // the old gate
			case epoch.Load() == 1:
				time.AfterFunc(time.Second, func() { epoch.Store(2) })
				return changed // another old gate, whose honour is not believed either
			}
			return changed
		}
		b.start()
		defer b.server.Close()
		synctest.Wait()
		got := b.apply("42")
		require.Equal(t, http.StatusAccepted, got.Code)
		assert.Equal(t, "accepted", got.body["status"])
		assert.EqualValues(t, 7, got.body["slot"], "as the gate of the ledger's epoch says")
		assert.EqualValues(t, 2, epoch.Load())
	})
}

func TestNoLeaseRestsOnAGateThatIsOlderThanTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		twoProcesses(t, campaignNow(), func(g *windowGate, servers [2]*Server) {
			g.change(func(c *domain.Campaign) { c.State = domain.CampaignEnded })
			ask := func() error { return servers[0].decide(t.Context(), "spring", 42).err }
			// As long as somebody asks, a lease is renewed.
			goOnAsking := func(until time.Duration) {
				for end := time.Now().Add(until); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
					_ = ask()
				}
			}
			goOnAsking(3 * refusalLease)
			require.False(t, g.asksTheGate(func() { _ = ask() }), "it is refused from memory")
			ledger, _ := servers[0].ports.CampaignReader.(*fakeLedger)
			unlock, err := ledger.lock()
			require.NoError(t, err)
			ledger.campaigns[0].Epoch = 2
			unlock()
			goOnAsking(directoryInterval + refusalLease)
			assert.Equal(t, domain.CodeGateClosed, domain.CodeOf(ask()))
		})
	})
}
