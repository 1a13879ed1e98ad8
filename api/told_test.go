package api

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// tellAfter is TOLD_AFTER_MS of script/gate.lua.
const tellAfter = 1200 * time.Millisecond

// honourElsewhere makes a user known to the gate as a consumer's or a retryer's call does.
func (g *fakeGate) honourElsewhere(user domain.UserID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users[user] = domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: user, Slot: domain.SlotOwed, AdmittedAt: admittedAt}}
	g.toldFrom = time.Now().Add(tellAfter)
}

func TestWhoHasBecomeKnownIsToldOnceNoProcessRefusesTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t).start()
		defer b.server.Close()
		for name, ask := range map[string]func() reply{
			"the application": func() reply { return b.apply("42") },
			"the status":      func() reply { return b.get("/v1/campaigns/spring/coupons/42") },
		} {
			b.gate.users = map[domain.UserID]domain.Admission{}
			b.gate.honourElsewhere(42)
			began := time.Now()
			var others sync.WaitGroup
			others.Go(func() {
				assert.Equal(t, http.StatusAccepted, b.apply("43").Code)
				assert.Zero(t, time.Since(began), "nobody else waits")
			})
			got := ask()
			require.Equal(t, http.StatusOK, got.Code, name)
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
		twoProcesses(t, campaign, func(g *windowGate, servers [2]*Server) {
			const user = domain.UserID(42)
			var mu sync.Mutex
			var accepted, refusedAt time.Time
			ask := func(server *Server) {
				given := server.decide(t.Context(), "spring", user)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case given.err != nil:
					require.Equal(t, domain.CodeSoldOut, domain.CodeOf(given.err))
					refusedAt = time.Now()
				case accepted.IsZero():
					accepted = time.Now()
				}
			}
			// One process has a lease; nobody has asked the other.
			for range 30 {
				ask(servers[0])
				time.Sleep(100 * time.Millisecond)
			}
			require.False(t, g.asksTheGate(func() { ask(servers[0]) }), "it is refused from memory")
			g.honourElsewhere(user)
			g.freeze(true)
			var asking sync.WaitGroup
			for range 30 {
				for _, server := range servers {
					asking.Go(func() { ask(server) })
				}
				time.Sleep(50 * time.Millisecond)
			}
			asking.Wait()
			require.False(t, accepted.IsZero())
			assert.True(t, refusedAt.Before(accepted), "refused %s after it was accepted", refusedAt.Sub(accepted))
		})
	})
}
