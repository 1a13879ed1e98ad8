package main

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/loadtest"
)

func TestExactlyTheFirstNOfManyGetACoupon(t *testing.T) {
	s := newEnvironment(t).start(t)
	for _, concurrency := range []int{32, 1000} {
		t.Run(fmt.Sprintf("%d at once", concurrency), func(t *testing.T) {
			campaign := s.newCampaign(newCode("sale"), 100)
			report := s.load(loadtest.Config{Campaign: campaign, Users: 1000, Concurrency: concurrency, FirstUserID: 1})
			assert.Equal(t, map[string]int{"202 accepted": 100, "409 sold-out": 900}, report.Answers, "sent again: %v", report.Retried)
			s.requireSlots(campaign, 100)
		})
	}
}

func TestOneUserWhoAsksAHundredTimesAtOnceGetsOneCoupon(t *testing.T) {
	s := newEnvironment(t).start(t)
	campaign := s.newCampaign(newCode("once"), 10)
	answers := make(chan answer, 100)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			got, err := s.call(http.MethodPost, "/v1/campaigns/"+campaign+"/apply", map[string]any{"user_id": 42})
			assert.NoError(t, err)
			answers <- got
		})
	}
	all.Wait()
	close(answers)
	statuses := map[int]int{}
	for got := range answers {
		statuses[got.status]++
		if slot := got.number("slot"); slot != 0 {
			assert.Equal(t, int64(1), slot)
		}
	}
	assert.Equal(t, map[int]int{http.StatusAccepted: 1, http.StatusOK: 99}, statuses)
	s.settle(campaign)
	s.requireSlots(campaign, 1)
}

func TestAWinnerCanFollowTheCouponUntilItIsIssued(t *testing.T) {
	s := newEnvironment(t).start(t)
	campaign := s.newCampaign(newCode("follow"), 1)
	won := s.apply(campaign, 7)
	require.Equal(t, http.StatusAccepted, won.status, "%v", won.body)
	where := won.header.Get("Location")
	s.eventually("the coupon is issued", func() bool { return s.must(http.MethodGet, where, nil).text("status") == "issued" })
	issued := s.must(http.MethodGet, where, nil)
	assert.Equal(t, won.body["slot"], issued.body["slot"])
	assert.Equal(t, won.body["admitted_at"], issued.body["admitted_at"])

	assert.Equal(t, "sold-out", s.apply(campaign, 8).problem())
	again := s.apply(campaign, 7)
	assert.Equal(t, http.StatusOK, again.status, "a winner who asks again after sold-out must not be refused")
	assert.Equal(t, http.StatusNotFound, s.must(http.MethodGet, "/v1/campaigns/"+campaign+"/coupons/8", nil).status)
}

func TestPauseResumeAndAHigherQuotaReachTheApplicants(t *testing.T) {
	s := newEnvironment(t).start(t)
	campaign := s.newCampaign(newCode("pause"), 1)
	require.Equal(t, http.StatusAccepted, s.apply(campaign, 1).status)

	require.Equal(t, http.StatusOK, s.must(http.MethodPost, "/v1/admin/campaigns/"+campaign+"/pause", nil).status)
	s.eventually("applications are refused", func() bool { return s.apply(campaign, 2).problem() == "paused" })
	assert.Equal(t, http.StatusOK, s.apply(campaign, 1).status, "a winner keeps the slot while the campaign is paused")

	require.Equal(t, http.StatusOK, s.must(http.MethodPost, "/v1/admin/campaigns/"+campaign+"/resume", nil).status)
	s.eventually("the campaign is sold out again", func() bool { return s.apply(campaign, 2).problem() == "sold-out" })
	raised := s.must(http.MethodPatch, "/v1/admin/campaigns/"+campaign, map[string]any{"quota": 2})
	require.Equal(t, http.StatusOK, raised.status, "%v", raised.body)
	s.eventually("the second slot is handed out", func() bool { return s.apply(campaign, 2).status == http.StatusAccepted })
	s.settle(campaign)
	s.requireSlots(campaign, 2)
}

func TestALowerQuotaBelowTheSlotsInUseIsKeptAsAWish(t *testing.T) {
	s := newEnvironment(t).start(t)
	campaign := s.newCampaign(newCode("lower"), 10)
	for user := range int64(3) {
		require.Equal(t, http.StatusAccepted, s.apply(campaign, user+1).status)
	}
	quota := func() int64 { return s.must(http.MethodGet, "/v1/campaigns/"+campaign, nil).number("quota") }
	lower := func(quota int64) answer {
		return s.must(http.MethodPatch, "/v1/admin/campaigns/"+campaign, map[string]any{"quota": quota})
	}
	require.Equal(t, http.StatusOK, lower(3).status)
	s.eventually("the quota is lowered", func() bool { return quota() == 3 })
	s.eventually("it holds at the gate", func() bool { return s.apply(campaign, 99).problem() == "sold-out" })
	wish := lower(2)
	assert.Equal(t, http.StatusOK, wish.status, "%v", wish.body)
	assert.EqualValues(t, 2, wish.number("wanted_quota"))
	s.settle(campaign)
	assert.EqualValues(t, 3, quota(), "three hold slots, and nobody loses one")
	assert.Equal(t, "sold-out", s.apply(campaign, 100).problem())
	s.requireSlots(campaign, 3)
}

func TestAllIsThereAfterAStopAndAStart(t *testing.T) {
	env := newEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("restart"), 50)
	s.load(loadtest.Config{Campaign: campaign, Users: 30, Concurrency: 8, FirstUserID: 1})
	s.stop()

	s = env.start(t)
	s.eventually("the first winner is known", func() bool { return s.apply(campaign, 1).status == http.StatusOK })
	s.load(loadtest.Config{Campaign: campaign, Users: 100, Concurrency: 8, FirstUserID: 31})
	s.requireSlots(campaign, 50)
}
