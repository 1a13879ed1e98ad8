package api

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// soldOut is what a gate reports whose quota is taken by users 1 to quota.
func soldOut(quota int64) domain.GateReport {
	return domain.GateReport{
		Epoch: 1, Quota: quota, Count: quota, Winners: quota, State: domain.CampaignOpen,
		StartsAt: admittedAt, ServerTime: admittedAt, EndsAt: admittedAt.Add(time.Hour),
	}
}

func TestWhatEverybodyHearsIsSaidFromMemory(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*domain.GateReport)
		want   domain.Code
	}{
		"sold out":                    {func(*domain.GateReport) {}, domain.CodeSoldOut},
		"a slot left":                 {func(r *domain.GateReport) { r.Quota++ }, ""},
		"a slot given back":           {func(r *domain.GateReport) { r.Free = 1 }, ""},
		"a slot left for a promise":   {func(r *domain.GateReport) { r.Quota, r.Owed = 3, 1 }, domain.CodeSoldOut},
		"a slot back for a promise":   {func(r *domain.GateReport) { r.Free, r.Owed = 1, 1 }, domain.CodeSoldOut},
		"a slot more than is owed":    {func(r *domain.GateReport) { r.Free, r.Quota, r.Owed = 1, 3, 1 }, ""},
		"a promise without any slot":  {func(r *domain.GateReport) { r.Owed = 1 }, domain.CodeSoldOut},
		"a slot left for two of them": {func(r *domain.GateReport) { r.Quota, r.Owed = 3, 2 }, domain.CodeSoldOut},
		"closed":                      {func(r *domain.GateReport) { r.Closed = "epoch" }, ""},
		"paused": {func(r *domain.GateReport) {
			r.State, r.Quota = domain.CampaignPaused, 9
		}, domain.CodePaused},
		"paused and not started": {func(r *domain.GateReport) {
			r.State, r.ServerTime = domain.CampaignPaused, r.StartsAt.Add(-1)
		}, domain.CodePaused},
		"paused and over": {func(r *domain.GateReport) {
			r.State, r.ServerTime = domain.CampaignPaused, r.EndsAt
		}, domain.CodeEnded},
		"not started": {func(r *domain.GateReport) {
			r.ServerTime, r.Quota = r.StartsAt.Add(-1), 9
		}, domain.CodeNotStarted},
		"over":                    {func(r *domain.GateReport) { r.ServerTime = r.EndsAt }, domain.CodeEnded},
		"paused, closed":          {func(r *domain.GateReport) { r.State, r.Closed = domain.CampaignPaused, "run-id" }, ""},
		"a state nobody knows":    {func(r *domain.GateReport) { r.State, r.Quota = "asleep", 9 }, ""},
		"the very start, in time": {func(r *domain.GateReport) { r.ServerTime, r.Quota = r.StartsAt, 9 }, ""},
		"ended": {func(r *domain.GateReport) {
			r.State, r.Quota = domain.CampaignEnded, 9
		}, domain.CodeEnded},
		"ended, closed": {func(r *domain.GateReport) {
			r.State, r.Closed = domain.CampaignEnded, "run-id"
		}, ""},
	} {
		report := soldOut(2)
		c.change(&report)
		assert.Equal(t, c.want, refusalOf(&report), name)
	}
}

func TestALeaseEndsAndNeverCoversWhomTheGateKnows(t *testing.T) {
	r, now := newRefusals("spring"), time.Now()
	require.NoError(t, r.refuse(9, now), "without a lease the gate is asked")
	refusal := &domain.Error{Code: domain.CodeSoldOut}
	r.grant(r.dropped(), &refusalGrant{
		until: now.Add(refusalLease), refusal: refusal, known: knownUsers{1, []domain.UserID{3, 5, 7}},
	})
	assert.Equal(t, error(refusal), r.refuse(4, now.Add(refusalLease-1)))
	require.NoError(t, r.refuse(4, now.Add(refusalLease)))
	for _, user := range []domain.UserID{3, 5, 7} {
		require.NoError(t, r.refuse(user, now))
	}
}

// inMemory runs a test on a server whose campaign is sold out to users 1 and 2, and refused from memory.
func inMemory(t *testing.T, test func(t *testing.T, b *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.report = soldOut(2)
		b.start()
		defer b.server.Close()
		require.Equal(t, http.StatusAccepted, b.apply("1").Code)
		require.Equal(t, http.StatusAccepted, b.apply("2").Code)
		first := b.apply("3")
		requireProblem(t, first, 409, domain.CodeSoldOut)
		synctest.Wait()
		asked := b.asked()
		second := b.apply("4")
		requireProblem(t, second, 409, domain.CodeSoldOut)
		require.Equal(t, asked, b.asked(), "refused from memory")
		require.Equal(t, first.Body.String(), second.Body.String(), "in the gate's own words")
		test(t, b)
	})
}

// asked is how often the gate was asked to admit somebody.
func (b *fixture) asked() int {
	asked := 0
	for _, call := range b.gate.called() {
		if call == "admit" {
			asked++
		}
	}
	return asked
}

// setReport changes what the gate reports.
func (b *fixture) setReport(change func(*domain.GateReport)) {
	b.gate.mu.Lock()
	defer b.gate.mu.Unlock()
	change(&b.gate.report)
}

// requireAsksTheGate requires that a user whom the gate doesn't know is not answered from memory.
func (b *fixture) requireAsksTheGate(t *testing.T) {
	t.Helper()
	asked := b.asked()
	b.apply("99")
	require.Equal(t, asked+1, b.asked())
}

// This process looked at an old primary a moment ago, and then reads in the ledger that the campaign was rebuilt.
func TestALeaseEndsWhenTheLedgerShowsANewerEpoch(t *testing.T) {
	r, sent := newRefusals("spring"), time.Now()
	r.epoch = &ledgerEpoch{}
	r.epoch.learn(4)
	report := &domain.GateReport{Epoch: 4, ServerTime: sent, StartsAt: sent.Add(-time.Hour), EndsAt: sent.Add(time.Hour)}
	refusal := &domain.Error{Code: domain.CodeSoldOut}
	r.grant(r.dropped(), newRefusalGrant(sent, report, refusal, knownUsers{epoch: 4}))
	require.Equal(t, domain.CodeSoldOut, domain.CodeOf(r.refuse(7, sent)))
	r.epoch.learn(5)
	require.NoError(t, r.refuse(7, sent), "what a gate of an older epoch said is not believed")
}

func TestAWinnerWhoAsksASoldOutCampaignAgainGetsTheSameSlot(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		for slot, user := range []string{"1", "2"} {
			got := b.apply(user)
			require.Equal(t, http.StatusOK, got.Code)
			assert.InDelta(t, slot+1, got.body["slot"], 0)
		}
	})
}

func TestRefusalsFromMemoryAreCounted(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		assert.Contains(t, b.get("/metrics").Body.String(), `firstcome_applications_total{outcome="sold-out"} 2`)
	})
}

func TestASoldOutCampaignCostsTheGateLittleHoweverManyAsk(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		asked := b.asked()
		for user := range 100 {
			time.Sleep(100 * time.Millisecond)
			requireProblem(t, b.apply(strconv.Itoa(1000+user)), 409, domain.CodeSoldOut)
		}
		assert.Equal(t, asked, b.asked())
		b.gate.mu.Lock()
		inspects := b.gate.inspects
		b.gate.mu.Unlock()
		time.Sleep(time.Hour)
		b.gate.mu.Lock()
		defer b.gate.mu.Unlock()
		assert.LessOrEqual(t, b.gate.inspects, inspects+1, "nobody asks, so nobody looks")
	})
}

func TestALeaseIsCountedFromBeforeTheLookWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.look = func(context.Context) domain.GateReport {
			time.Sleep(300 * time.Millisecond) // a slow Redis
			return soldOut(2)
		}
		keeper, r, sent := newRefusalKeeper(b.cfg, b.ports(), slog.New(slog.DiscardHandler)), newRefusals("spring"), time.Now()
		r.said.Store(&domain.Error{Code: domain.CodeSoldOut})
		r.known = knownUsers{1, []domain.UserID{1, 2}}
		keeper.runOnce(t.Context(), r)
		assert.Equal(t, refusalLease, r.lease.Load().until.Sub(sent))
	})
}

func TestWhatEndsALease(t *testing.T) {
	for name, change := range map[string]func(*domain.GateReport){
		"the gate closed":             func(r *domain.GateReport) { r.Closed = "run-id" },
		"the gate was rebuilt":        func(r *domain.GateReport) { r.Epoch++; r.Winners++ },
		"the quota was raised":        func(r *domain.GateReport) { r.Quota++ },
		"a slot was given back":       func(r *domain.GateReport) { r.Free++ },
		"somebody is owed a slot":     func(r *domain.GateReport) { r.Winners++ },
		"somebody unknown is revoked": func(r *domain.GateReport) { r.Revoked++ },
		"it was paused":               func(r *domain.GateReport) { r.State = domain.CampaignPaused },
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, b *fixture) {
				b.setReport(change)
				time.Sleep(refusalRenewal)
				synctest.Wait()
				b.requireAsksTheGate(t)
			})
		})
	}
	t.Run("the gate can't be asked", func(t *testing.T) {
		inMemory(t, func(t *testing.T, b *fixture) {
			b.gate.mu.Lock()
			b.gate.inspectErr = errAway()
			b.gate.mu.Unlock()
			time.Sleep(refusalRenewal)
			synctest.Wait()
			b.requireAsksTheGate(t)
		})
	})
	t.Run("a known winner meets a closed gate", func(t *testing.T) {
		inMemory(t, func(t *testing.T, b *fixture) {
			b.server.applications.keeper.learn(
				b.server.directory.lookUp("spring").refusals, nil, domain.Errorf(domain.CodeGateClosed, ""))
			b.requireAsksTheGate(t)
		})
	})
	t.Run("somebody is admitted", func(t *testing.T) {
		inMemory(t, func(t *testing.T, b *fixture) {
			b.server.applications.keeper.learn(
				b.server.directory.lookUp("spring").refusals, []domain.Decision{{}, {Admission: domain.Admission{New: true}}}, nil)
			b.requireAsksTheGate(t)
		})
	})
}

func TestAfterARebuildTheWinnersAreReadAnew(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		b.gate.mu.Lock()
		delete(b.gate.users, 2)
		b.gate.users[7] = domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 7, Slot: 2, AdmittedAt: admittedAt}}
		b.gate.report.Epoch = 2
		b.gate.mu.Unlock()
		time.Sleep(refusalRenewal)
		synctest.Wait()
		assert.Equal(t, http.StatusOK, b.apply("7").Code)
		asked := b.asked()
		requireProblem(t, b.apply("2"), 409, domain.CodeSoldOut)
		assert.Equal(t, asked, b.asked())
	})
}

func TestALookThatWasUnderWayBeginsNoLeaseOnceItIsContradicted(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		r := b.server.directory.lookUp("spring").refusals
		b.gate.mu.Lock()
		b.gate.look = func(context.Context) domain.GateReport {
			r.drop()
			return soldOut(2)
		}
		b.gate.mu.Unlock()
		b.server.applications.keeper.runOnce(t.Context(), r)
		b.requireAsksTheGate(t)
	})
}

func TestUsersWhoChangeWhileTheyAreReadAreNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.report = soldOut(2)
		honoured := domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 9, Slot: domain.SlotOwed}}
		b.gate.visiting = func() {
			b.gate.mu.Lock()
			defer b.gate.mu.Unlock()
			if b.gate.report.Winners == 2 {
				b.gate.report.Winners = 3 // of whom this reading knows nothing
				time.AfterFunc(time.Millisecond, func() {
					b.gate.mu.Lock()
					defer b.gate.mu.Unlock()
					b.gate.users[9] = honoured
				})
			}
		}
		b.start()
		defer b.server.Close()
		b.apply("1")
		b.apply("2")
		requireProblem(t, b.apply("3"), 409, domain.CodeSoldOut)
		synctest.Wait()
		b.requireAsksTheGate(t)
		time.Sleep(refusalRenewal)
		synctest.Wait()
		asked := b.asked()
		requireProblem(t, b.apply("4"), 409, domain.CodeSoldOut)
		assert.Equal(t, asked, b.asked())
		assert.Equal(t, http.StatusOK, b.apply("9").Code)
	})
}

// The gate gives new capacity to nobody for two seconds (REOPEN_AFTER_MS), which is what the other process relies on.
func TestNobodyIsRefusedFromMemoryAfterAnotherProcessGaveNewCapacity(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		other, err := New(b.cfg, b.ports(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		defer other.Close()
		synctest.Wait()
		reopensAt := time.Now().Add(2 * time.Second)
		b.gate.admitting = func(context.Context) {
			b.gate.mu.Lock()
			defer b.gate.mu.Unlock()
			if !time.Now().Before(reopensAt) {
				b.gate.quota = 1000
			}
		}
		// The other process looks at the gate no more: its lease is all that it has.
		b.gate.mu.Lock()
		b.gate.look = func(ctx context.Context) domain.GateReport { <-ctx.Done(); return domain.GateReport{Closed: "away"} }
		b.gate.mu.Unlock()
		time.Sleep(2 * time.Second)
		given := other.decide(t.Context(), "spring", 50)
		require.Equal(t, http.StatusAccepted, given.status)
		assert.Equal(t, http.StatusAccepted, b.server.decide(t.Context(), "spring", 51).status)
	})
}

func TestALeaseOfRefusalsEndsBeforeAnybodyElseIsAdmittedOrTold(t *testing.T) {
	const clocks = 100 * time.Millisecond // that don't run alike
	assert.Less(t, refusalLease+clocks, domain.ReopenAfter)
	assert.Less(t, refusalLease+clocks, domain.TellAfter)
}
