package admission

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// twoCampaigns is a server of the campaigns spring and autumn; the test makes spring's gate fail.
func twoCampaigns(t *testing.T) *fixture {
	b := newFixture(t)
	autumn := b.ledger.campaigns[0]
	autumn.ID, autumn.Code = 2, "autumn"
	b.ledger.campaigns = append(b.ledger.campaigns, autumn)
	b.gate.Quota = 1 << 20
	return b
}

// autumnUser is the first of those who apply for autumn.
const autumnUser = 100_000

func TestACrowdAtAGateThatDoesNotAnswerKeepsNobodyOutOfAnotherCampaign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := twoCampaigns(t)
		b.cfg.MaxWaiting, b.cfg.AdmitTimeout, b.cfg.GateCalls, b.cfg.MaxBatch = 40, time.Minute, 1, 1
		door := make(chan struct{})
		b.gate.Deciding = func(users []domain.UserID) {
			if users[0] <= autumnUser {
				<-door
			}
		}
		b.start()
		defer b.close()
		synctest.Wait()
		var crowd sync.WaitGroup
		crowd.Go(func() { b.service.Apply(t.Context(), "spring", 1) })
		synctest.Wait() // the first has left the line, and is at the gate
		for user := domain.UserID(2); user <= 100; user++ {
			crowd.Go(func() { b.service.Apply(t.Context(), "spring", user) })
		}
		synctest.Wait()
		assert.EqualValues(t, 20, b.service.limits.waiting.taken.Load(), "half of the places")
		for user := domain.UserID(autumnUser); user < autumnUser+10; user++ {
			crowd.Go(func() { assert.NoError(t, b.service.Apply(t.Context(), "autumn", user).Err) })
			synctest.Wait()
		}
		assert.EqualValues(t, 29, b.service.limits.waiting.taken.Load(), "autumn's first is at its gate, the others wait")
		close(door)
		crowd.Wait()
		assert.Zero(t, b.service.limits.waiting.taken.Load())
	})
}

func TestWinnersOfAGateThatStaysClosedKeepNobodyFromWaitingForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := twoCampaigns(t)
		b.cfg.MaxBatch = 1
		b.gate.Close("spring", "autumn")
		b.start()
		defer b.close()
		b.service.limits.unconfirmed.most = 8
		synctest.Wait()
		var crowd sync.WaitGroup
		for user := domain.UserID(1); user <= 20; user++ {
			crowd.Go(func() { assert.Equal(t, StatusReserved, b.service.Apply(t.Context(), "spring", user).Winner.Status) })
		}
		time.Sleep(time.Second)
		assert.EqualValues(t, 4, b.service.limits.unconfirmed.taken.Load(), "half of the places")
		crowd.Go(func() {
			got := b.service.Apply(t.Context(), "autumn", autumnUser)
			assert.Equal(t, StatusAccepted, got.Winner.Status, "autumn's gate opens in time")
		})
		time.Sleep(time.Second)
		b.gate.Close("spring")
		crowd.Wait()
		assert.Zero(t, b.service.limits.unconfirmed.taken.Load())
	})
}

func TestPlacesAreSharedFairly(t *testing.T) {
	p := places{most: 100}
	fill := func() (held int64) {
		for p.take(held, 1) {
			held++
		}
		return held
	}
	assert.EqualValues(t, 50, fill(), "one campaign has half")
	assert.EqualValues(t, 25, fill(), "and of what it left another one half")
	assert.False(t, p.take(50, 1))
	p.give(25)
	p.give(50)
	assert.EqualValues(t, 50, fill(), "what was given back is there again")
	require.True(t, p.take(0, 50))
	assert.False(t, p.take(0, 1), "never more than all")
}
