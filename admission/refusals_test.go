package admission

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

// soldOut is what a gate reports whose quota is taken by users 1 to quota.
func soldOut(quota int64) domain.GateReport {
	return domain.GateReport{
		Epoch: 1, Quota: quota, Count: quota, Winners: quota, State: domain.CampaignOpen,
		StartsAt: admissiontest.AdmittedAt, ServerTime: admissiontest.AdmittedAt, EndsAt: admissiontest.AdmittedAt.Add(time.Hour),
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
		b.gate.Report = soldOut(2)
		b.start()
		defer b.close()
		require.NoError(t, b.apply(1).Err)
		require.NoError(t, b.apply(2).Err)
		first := b.apply(3)
		requireCode(t, domain.CodeSoldOut, first)
		synctest.Wait()
		asked := b.asked()
		second := b.apply(4)
		requireCode(t, domain.CodeSoldOut, second)
		require.Equal(t, asked, b.asked(), "refused from memory")
		require.Equal(t, first.Err, second.Err, "in the gate's own words")
		test(t, b)
	})
}

// asked is how often the gate was asked to admit somebody.
func (b *fixture) asked() int {
	asked := 0
	for _, call := range b.gate.Called() {
		if call == "admit" {
			asked++
		}
	}
	return asked
}

// setReport changes what the gate reports.
func (b *fixture) setReport(change func(*domain.GateReport)) {
	b.gate.Mu.Lock()
	defer b.gate.Mu.Unlock()
	change(&b.gate.Report)
}

// requireAsksTheGate requires that a user that the gate doesn't know is not answered from memory.
func (b *fixture) requireAsksTheGate(t *testing.T) {
	t.Helper()
	asked := b.asked()
	b.apply(99)
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
		for slot := domain.Slot(1); slot <= 2; slot++ {
			got := b.apply(domain.UserID(slot))
			require.True(t, got.Known)
			assert.Equal(t, slot, got.Winner.Slot)
		}
	})
}

func TestASoldOutCampaignCostsTheGateLittleHoweverManyAsk(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		asked := b.asked()
		for user := range 100 {
			time.Sleep(100 * time.Millisecond)
			requireCode(t, domain.CodeSoldOut, b.apply(domain.UserID(1000+user)))
		}
		assert.Equal(t, asked, b.asked())
		b.gate.Mu.Lock()
		inspects := b.gate.Inspects
		b.gate.Mu.Unlock()
		time.Sleep(time.Hour)
		b.gate.Mu.Lock()
		defer b.gate.Mu.Unlock()
		assert.LessOrEqual(t, b.gate.Inspects, inspects+1, "nobody asks, so nobody looks")
	})
}

func TestALeaseIsCountedFromBeforeTheLookWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.Looking = func(context.Context) domain.GateReport {
			time.Sleep(300 * time.Millisecond) // a slow Redis
			return soldOut(2)
		}
		keeper, r, sent := newRefusalKeeper(b.cfg, Stores{GateReader: b.gate, GateLister: b.gate}, slog.New(slog.DiscardHandler)), newRefusals("spring"), time.Now()
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
			b.gate.Mu.Lock()
			b.gate.InspectErr = errAway()
			b.gate.Mu.Unlock()
			time.Sleep(refusalRenewal)
			synctest.Wait()
			b.requireAsksTheGate(t)
		})
	})
	t.Run("a known winner meets a closed gate", func(t *testing.T) {
		inMemory(t, func(t *testing.T, b *fixture) {
			b.service.keeper.learn(
				b.service.directory.lookUp("spring").refusals, nil, domain.Errorf(domain.CodeGateClosed, ""))
			b.requireAsksTheGate(t)
		})
	})
	t.Run("somebody is admitted", func(t *testing.T) {
		inMemory(t, func(t *testing.T, b *fixture) {
			b.service.keeper.learn(
				b.service.directory.lookUp("spring").refusals, []domain.Decision{{}, {Admission: domain.Admission{New: true}}}, nil)
			b.requireAsksTheGate(t)
		})
	})
}

func TestAfterARebuildTheWinnersAreReadAnew(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		b.gate.Mu.Lock()
		delete(b.gate.Users, 2)
		b.gate.Users[7] = domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 7, Slot: 2, AdmittedAt: admissiontest.AdmittedAt}}
		b.gate.Report.Epoch = 2
		b.gate.Mu.Unlock()
		time.Sleep(refusalRenewal)
		synctest.Wait()
		assert.True(t, b.apply(7).Known)
		asked := b.asked()
		requireCode(t, domain.CodeSoldOut, b.apply(2))
		assert.Equal(t, asked, b.asked())
	})
}

func TestALookThatWasUnderWayBeginsNoLeaseOnceItIsContradicted(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		r := b.service.directory.lookUp("spring").refusals
		b.gate.Mu.Lock()
		b.gate.Looking = func(context.Context) domain.GateReport {
			r.drop()
			return soldOut(2)
		}
		b.gate.Mu.Unlock()
		b.service.keeper.runOnce(t.Context(), r)
		b.requireAsksTheGate(t)
	})
}

func TestUsersWhoChangeWhileTheyAreReadAreNotTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.Report = soldOut(2)
		honoured := domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 9, Slot: domain.SlotOwed}}
		b.gate.Visiting = func() {
			b.gate.Mu.Lock()
			defer b.gate.Mu.Unlock()
			if b.gate.Report.Winners == 2 {
				b.gate.Report.Winners = 3 // which this reading does not know
				time.AfterFunc(time.Millisecond, func() {
					b.gate.Mu.Lock()
					defer b.gate.Mu.Unlock()
					b.gate.Users[9] = honoured
				})
			}
		}
		b.start()
		defer b.close()
		b.apply(1)
		b.apply(2)
		requireCode(t, domain.CodeSoldOut, b.apply(3))
		synctest.Wait()
		b.requireAsksTheGate(t)
		time.Sleep(refusalRenewal)
		synctest.Wait()
		asked := b.asked()
		requireCode(t, domain.CodeSoldOut, b.apply(4))
		assert.Equal(t, asked, b.asked())
		assert.True(t, b.apply(9).Known)
	})
}

// The gate gives new capacity to nobody for two seconds (REOPEN_AFTER_MS), which is what the other process relies on.
func TestNobodyIsRefusedFromMemoryAfterAnotherProcessGaveNewCapacity(t *testing.T) {
	inMemory(t, func(t *testing.T, b *fixture) {
		other, end := b.another()
		defer end()
		synctest.Wait()
		reopensAt := time.Now().Add(2 * time.Second)
		b.gate.Admitting = func(context.Context) {
			b.gate.Mu.Lock()
			defer b.gate.Mu.Unlock()
			if !time.Now().Before(reopensAt) {
				b.gate.Quota = 1000
			}
		}
		// The other process looks at the gate no more: its lease is all that it has.
		b.gate.Mu.Lock()
		b.gate.Looking = func(ctx context.Context) domain.GateReport { <-ctx.Done(); return domain.GateReport{Closed: "away"} }
		b.gate.Mu.Unlock()
		time.Sleep(2 * time.Second)
		given := other.Apply(t.Context(), "spring", 50)
		require.NoError(t, given.Err)
		assert.NoError(t, b.apply(51).Err)
	})
}

func TestALeaseOfRefusalsEndsBeforeAnybodyElseIsAdmittedOrTold(t *testing.T) {
	const clocks = 100 * time.Millisecond // that don't run alike
	assert.Less(t, refusalLease+clocks, domain.ReopenAfter)
	assert.Less(t, refusalLease+clocks, domain.TellAfter)
}
