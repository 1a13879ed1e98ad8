package admission

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

// tellAfter is TOLD_AFTER_MS of script/gate.lua.
const tellAfter = 1200 * time.Millisecond

// honourElsewhere makes a user known to the gate as a consumer's or a retryer's call does.
func honourElsewhere(g *admissiontest.Gate, user domain.UserID) {
	g.Mu.Lock()
	defer g.Mu.Unlock()
	g.Users[user] = domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: user, Slot: domain.SlotOwed, AdmittedAt: admissiontest.AdmittedAt}}
	g.ToldFrom = time.Now().Add(tellAfter)
}

func TestWhoHasBecomeKnownIsToldOnceNoProcessRefusesTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t).start()
		defer b.close()
		for name, ask := range map[string]func() Answer{
			"the application": func() Answer { return b.apply(42) },
			"the status":      func() Answer { return b.status(42) },
		} {
			b.gate.Users = map[domain.UserID]domain.Admission{}
			honourElsewhere(b.gate, 42)
			began := time.Now()
			var others sync.WaitGroup
			others.Go(func() {
				assert.NoError(t, b.apply(43).Err)
				assert.Zero(t, time.Since(began), "nobody else waits")
			})
			got := ask()
			require.True(t, got.Known, name)
			assert.Equal(t, tellAfter, time.Since(began), name)
			others.Wait()
		}
	})
}

// Two processes refuse from memory what the gate refused; a consumer has the gate honour one of the refused users.
func TestNoProcessContradictsAnotherAboutAUserWhoHasBecomeKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		campaign := campaignNow()
		campaign.Quota = 1
		twoProcesses(t, campaign, func(g *windowGate, services [2]*Service) {
			const user = domain.UserID(42)
			var mu sync.Mutex
			var accepted, refusedAt time.Time
			ask := func(service *Service) {
				given := service.Apply(t.Context(), "spring", user)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case given.Err != nil:
					require.Equal(t, domain.CodeSoldOut, domain.CodeOf(given.Err))
					refusedAt = time.Now()
				case accepted.IsZero():
					accepted = time.Now()
				}
			}
			// One process has a lease; nobody has asked the other.
			for range 30 {
				ask(services[0])
				time.Sleep(100 * time.Millisecond)
			}
			require.False(t, g.asksTheGate(func() { ask(services[0]) }), "it is refused from memory")
			honourElsewhere(g.Gate, user)
			g.freeze(true)
			var asking sync.WaitGroup
			for range 30 {
				for _, service := range services {
					asking.Go(func() { ask(service) })
				}
				time.Sleep(50 * time.Millisecond)
			}
			asking.Wait()
			require.False(t, accepted.IsZero())
			assert.True(t, refusedAt.Before(accepted), "refused %s after it was accepted", refusedAt.Sub(accepted))
		})
	})
}
