package api

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

func TestSettledMeansThatNothingIsOnItsWay(t *testing.T) {
	open := func(winners, pending int64) domain.GateReport {
		return domain.GateReport{Winners: winners, PendingEntries: pending}
	}
	for name, c := range map[string]struct {
		found figuresOfOne
		want  bool
	}{
		"nobody yet":             {figuresOfOne{report: open(0, 0)}, true},
		"all stored":             {figuresOfOne{report: open(5, 0), counts: domain.LedgerCounts{Issued: 5}}, true},
		"all stored, one dead":   {figuresOfOne{report: open(5, 0), counts: domain.LedgerCounts{Issued: 4, Delayed: 1, Dead: 1}}, true},
		"revoked don't count":    {figuresOfOne{report: open(5, 0), counts: domain.LedgerCounts{Issued: 5, Revoked: 3}}, true},
		"one is tried again":     {figuresOfOne{report: open(5, 0), counts: domain.LedgerCounts{Issued: 4, Delayed: 1}}, false},
		"one waits for a slot":   {figuresOfOne{report: domain.GateReport{Winners: 5, Owed: 1}, counts: domain.LedgerCounts{Issued: 4, Delayed: 1}}, false},
		"one is in Kafka":        {figuresOfOne{report: open(5, 0), counts: domain.LedgerCounts{Issued: 4}}, false},
		"one waits for Kafka":    {figuresOfOne{report: open(5, 1), counts: domain.LedgerCounts{Issued: 5}}, false},
		"the gate is closed":     {figuresOfOne{report: domain.GateReport{Closed: "run-id"}}, false},
		"the gate is away":       {figuresOfOne{reportErr: errAway()}, false},
		"the database is away":   {figuresOfOne{countsErr: errAway()}, false},
		"more rows than winners": {figuresOfOne{report: open(5, 0), counts: domain.LedgerCounts{Issued: 6}}, false},
	} {
		assert.Equal(t, c.want, c.found.settled(), name)
	}
}

func TestTheLedgerIsCountedBeforeTheGate(t *testing.T) {
	b := newFixture(t)
	b.ledger.onCount = func() { b.gate.Note("count") }
	b.start().get("/v1/campaigns/spring")
	assert.Equal(t, []string{"count", "inspect"}, b.gate.Called(),
		"the other way round, a winner who comes in between would hide one who still waits")
}

func TestACampaignAsEverybodySeesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.Report = domain.GateReport{Quota: 2, Count: 2, Free: 1, Winners: 1, ServerTime: admissiontest.AdmittedAt}
		b.ledger.counts = domain.LedgerCounts{Issued: 1, Revoked: 1}
		b.start()
		got := b.get("/v1/campaigns/spring")
		require.Equal(t, http.StatusOK, got.Code)
		assert.JSONEq(t, `{"campaign":"spring","name":"Spring sale","quota":2,"remaining":1,"issued":1,
			"starts_at":"2020-01-01T00:00:00Z","ends_at":"9999-12-31T23:59:59Z","state":"open","gate":"open","settled":true,
			"server_time":"2030-01-02T03:04:05.678Z"}`, got.Body.String())
		time.Sleep(200 * time.Millisecond)
		assert.Equal(t, "2030-01-02T03:04:05.878Z", b.get("/v1/campaigns/spring").body["server_time"], "the clock goes on in the cache")
		b.server.Close()
	})
}

func TestACampaignWhoseStoresAreAway(t *testing.T) {
	b := newFixture(t)
	b.gate.Report = domain.GateReport{Closed: "missing"}
	b.start()
	require.Eventually(t, b.server.admission.CampaignsRead, time.Second, time.Millisecond)
	b.ledger.fail(errAway())
	got := b.get("/v1/campaigns/spring")
	require.Equal(t, http.StatusOK, got.Code, got.Body.String())
	assert.Equal(t, "closed", got.body["gate"])
	assert.Equal(t, false, got.body["settled"])
	assert.NotContains(t, got.body, "remaining", "nobody knows")
	assert.NotContains(t, got.body, "issued", "nobody knows")
	assert.NotEmpty(t, got.body["server_time"])
}

func TestPollingCostsTheStoresTheSameHoweverManyPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.ledger.onCount = func() { time.Sleep(50 * time.Millisecond) } // in a bubble: a count that takes its time
		b.start()
		synctest.Wait()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { assert.Equal(t, http.StatusOK, b.get("/v1/campaigns/spring").Code) })
		}
		all.Wait()
		assert.Equal(t, 1, b.gate.Inspects, "all at once")
		for range 100 {
			time.Sleep(10 * time.Millisecond)
			b.get("/v1/campaigns/spring")
		}
		assert.LessOrEqual(t, b.gate.Inspects, 4, "a thousand milliseconds, each answer for 500 of them")
		assert.GreaterOrEqual(t, b.gate.Inspects, 2, "an answer gets too old")
		b.server.Close()
	})
}

func TestAClientThatLeavesDoesNotEndTheCountForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.ledger.onCount = func() { time.Sleep(time.Second) } // in a bubble: a count that takes its time
		b.start()
		synctest.Wait()
		ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
		defer leave()
		var all sync.WaitGroup
		all.Go(func() {
			_, _, err := b.server.figures.of(ctx, "spring")
			assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
		})
		all.Go(func() {
			found, _, err := b.server.figures.of(t.Context(), "spring")
			assert.NoError(t, err)
			assert.NoError(t, found.countsErr)
		})
		all.Wait()
		b.server.Close()
	})
}

func TestADatabaseThatHangsLeavesTheGateItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.gate.Users[42] = domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: 7}}
		f.start()
		f.ledger.hangs = true
		began := time.Now()
		assert.Equal(t, "open", f.get("/v1/campaigns/spring").body["gate"])
		assert.Equal(t, storeTimeout/2, time.Since(began))
		assert.Equal(t, "accepted", f.get("/v1/campaigns/spring/coupons/42").body["status"])
		assert.Equal(t, storeTimeout, time.Since(began))
		f.server.Close()
	})
}
