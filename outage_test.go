package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/loadtest"
)

// applicants keeps applying with new users until stopped, and collects the answers.
type applicants struct {
	mutex   sync.Mutex
	answers map[int64]answer
	halt    chan struct{}
	done    sync.WaitGroup
}

// startApplicants sends one application after the other from a few clients.
func startApplicants(s *system, campaign string, clients int64) *applicants {
	return startApplicantsAfter(s, campaign, clients, 0)
}

// startApplicantsAfter is startApplicants with users whose IDs come after this one.
func startApplicantsAfter(s *system, campaign string, clients, after int64) *applicants {
	a := &applicants{answers: map[int64]answer{}, halt: make(chan struct{})}
	for client := range clients {
		a.done.Go(func() {
			for user := after + client + 1; ; user += clients {
				select {
				case <-a.halt:
					return
				case <-time.After(5 * time.Millisecond): // a pace, so that an outage meets a load and not a flood
				}
				got, err := s.call(http.MethodPost, "/v1/campaigns/"+campaign+"/apply", map[string]any{"user_id": user})
				if !assert.NoError(s.t, err) {
					return
				}
				a.mutex.Lock()
				a.answers[user] = got
				a.mutex.Unlock()
			}
		})
	}
	return a
}

func (a *applicants) stop() map[int64]answer {
	close(a.halt)
	a.done.Wait()
	return a.answers
}

// won counts the answers that promise a coupon.
func (a *applicants) won() int { return a.answered(http.StatusAccepted) }

// answered counts the answers with a status.
func (a *applicants) answered(status int) int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	count := 0
	for _, got := range a.answers {
		if got.status == status {
			count++
		}
	}
	return count
}

// requireIssued asserts that everybody who was promised a coupon has one, with the slot that was promised.
func (s *system) requireIssued(campaign string, answers map[int64]answer) {
	s.t.Helper()
	rows := s.coupons(campaign)
	for user, got := range answers {
		if got.status != http.StatusAccepted {
			continue
		}
		slot, issued := rows[domain.UserID(user).String()]
		require.True(s.t, issued, "user %d was promised a coupon and has none: %v", user, got.body)
		if promised := got.number("slot"); promised != 0 {
			require.Equal(s.t, promised, slot, "user %d", user)
		}
	}
}

func TestKafkaAwayInTheMiddleOfASaleLosesNoWinner(t *testing.T) {
	env := newEnvironment(t)
	env.config.ProduceTimeout = time.Second
	s := env.start(t)
	campaign := s.newCampaign(newCode("kafka-away"), 100_000)
	load := startApplicants(s, campaign, 16)
	s.eventually("the sale runs", func() bool { return load.won() > 50 })
	env.stopKafka()
	pass(t, env.outage)
	env.startKafka()
	before := load.won()
	s.eventually("the sale goes on", func() bool { return load.won() > before+100 })
	answers := load.stop()

	reserved := 0
	for user, got := range answers {
		require.Less(t, got.status, 500, "user %d: %v", user, got.body)
		require.Equal(t, http.StatusAccepted, got.status)
		require.Contains(t, []string{"accepted", "reserved"}, got.text("status"))
		if got.text("status") == "reserved" {
			reserved++
		}
	}
	require.Positive(t, reserved, "the outage was not felt, so this test has shown nothing")
	s.settle(campaign)
	s.requireIssued(campaign, answers)
	s.requireSlots(campaign, len(answers))
}

func TestTheDatabaseAwayLosesNothingAndBlamesNoRow(t *testing.T) {
	env := newEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("database-away"), 100_000)
	require.Equal(t, http.StatusAccepted, s.apply(campaign, 1_000_000).status)
	s.settle(campaign)

	env.stopDatabase()
	load := startApplicants(s, campaign, 4)
	s.eventually("applications are accepted without the database", func() bool { return load.won() > 100 })
	pass(t, env.outage)
	answers := load.stop()
	require.GreaterOrEqual(t, env.uncommitted(t), len(answers), "no offset may be committed before its row is stored")
	env.startDatabase()

	for user, got := range answers {
		require.Equal(t, http.StatusAccepted, got.status, "user %d: %v", user, got.body)
	}
	s.settle(campaign)
	s.requireIssued(campaign, answers)
	s.requireSlots(campaign, len(answers)+1)
	assert.Empty(t, s.failEvents(campaign), "a row that merely waited is no fail event")
}

func TestRedisEmptiedInTheMiddleOfASaleIsRebuilt(t *testing.T) {
	env := newEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("emptied"), 500)
	load := startApplicants(s, campaign, 8)
	s.eventually("the sale runs", func() bool { return load.won() > 100 })
	env.emptyRedis()
	s.eventually("the sale goes on after the rebuild", func() bool { return load.won() >= 500 })
	answers := load.stop()

	closed := 0
	for user, got := range answers {
		switch got.status {
		case http.StatusAccepted, http.StatusConflict:
		case http.StatusServiceUnavailable:
			closed++
			require.NotEmpty(t, got.header.Get("Retry-After"), "user %d", user)
		default:
			t.Fatalf("user %d got %d: %v", user, got.status, got.body)
		}
	}
	require.Positive(t, closed, "nobody met the closed gate, so this test has shown nothing")
	s.settle(campaign)
	s.requireIssued(campaign, answers)
	s.requireSlots(campaign, 500)
}

func TestARefusedRowStandsAloneAndIsRetriedUntilItIsStored(t *testing.T) {
	env := newEnvironment(t)
	env.config.MaxAttempts = 1000
	s := env.start(t)
	campaign := s.newCampaign(newCode("refused"), 500)
	env.refuseUser(250)
	s.applyAll(campaign, 500)
	s.eventually("the 499 neighbours are stored and the bad row is a fail event", func() bool {
		return len(s.coupons(campaign)) == 499 && len(s.failEvents(campaign)) > 0
	})
	status := s.must(http.MethodGet, "/v1/campaigns/"+campaign+"/coupons/250", nil)
	assert.Equal(t, "accepted", status.text("status"))
	assert.Equal(t, true, status.body["delayed"])
	s.eventually("it was tried more than once", func() bool { return s.failEvents(campaign)[0]["attempts"].(float64) > 1 })

	env.acceptUser(250)
	s.settle(campaign)
	s.requireSlots(campaign, 500)
	event := s.failEvents(campaign)[0]
	assert.Equal(t, "SUCCESS", event["status"])
	s.requireHistory(event, "SUCCESS")
}

func TestARowThatIsNeverAcceptedEndsAsDeadAndCanBeRetriedByHand(t *testing.T) {
	env := newEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("dead"), 2)
	env.refuseUser(13)
	require.Equal(t, http.StatusAccepted, s.apply(campaign, 13).status)
	s.eventually("the event is dead", func() bool {
		events := s.failEvents(campaign)
		return len(events) == 1 && events[0]["status"] == "DEAD"
	})
	s.requireHistory(s.failEvents(campaign)[0], "DEAD")
	assert.Equal(t, http.StatusOK, s.apply(campaign, 13).status, "the promise still stands")
	require.Equal(t, http.StatusAccepted, s.apply(campaign, 14).status)
	assert.Equal(t, "sold-out", s.apply(campaign, 15).problem(), "a dead fail event keeps its slot")

	env.acceptUser(13)
	path := "/v1/admin/fail-events/" + eventID(s.failEvents(campaign)[0]) + "/retry"
	require.Equal(t, http.StatusOK, s.must(http.MethodPost, path, nil).status)
	s.eventually("it is stored", func() bool { return len(s.coupons(campaign)) == 2 })
	s.requireSlots(campaign, 2)
}

func TestADiscardedEventGivesItsSlotBackAndStaysDiscarded(t *testing.T) {
	env := newEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("discard"), 1)
	env.refuseUser(13)
	require.Equal(t, http.StatusAccepted, s.apply(campaign, 13).status)
	s.eventually("the event is dead", func() bool {
		events := s.failEvents(campaign)
		return len(events) == 1 && events[0]["status"] == "DEAD"
	})
	env.acceptUser(13)
	path := "/v1/admin/fail-events/" + eventID(s.failEvents(campaign)[0]) + "/discard"
	require.Equal(t, http.StatusBadRequest, s.must(http.MethodPost, path, map[string]any{"reason": ""}).status)
	discarded := s.must(http.MethodPost, path, map[string]any{"reason": "a test account"})
	require.Equal(t, http.StatusOK, discarded.status, "%v", discarded.body)
	s.eventually("the slot goes to the next applicant", func() bool { return s.apply(campaign, 14).status == http.StatusAccepted })
	assert.Equal(t, "revoked", s.apply(campaign, 13).problem())
	s.settle(campaign)
	assert.Equal(t, int64(1), s.coupons(campaign)["14"])
}

// requireHistory asserts that each attempt of an event can be read, and how the last one ended.
func (s *system) requireHistory(event map[string]any, last string) {
	s.t.Helper()
	full := s.must(http.MethodGet, "/v1/admin/fail-events/"+eventID(event), nil)
	require.Equal(s.t, http.StatusOK, full.status, "%v", full.body)
	attempts, _ := full.body["attempt_history"].([]any)
	require.Len(s.t, attempts, int(event["attempts"].(float64)))
	for number, item := range attempts {
		attempt, _ := item.(map[string]any)
		assert.EqualValues(s.t, number+1, attempt["number"])
		assert.NotEmpty(s.t, attempt["started_at"])
		if number < len(attempts)-1 {
			assert.Equal(s.t, "FAIL", attempt["outcome"])
			assert.Contains(s.t, attempt["error_message"], "refused")
		} else {
			assert.Equal(s.t, last, attempt["outcome"])
		}
	}
}

func eventID(event map[string]any) string {
	id, _ := event["id"].(string)
	return id
}

// applyAll lets the users 1..n apply, and requires that each is accepted.
func (s *system) applyAll(campaign string, n int64) {
	s.t.Helper()
	report := s.loadUnsettled(loadtest.Config{Campaign: campaign, Users: int(n), Concurrency: 32, FirstUserID: 1})
	require.EqualValues(s.t, n, report)
}

// loadUnsettled applies like load but does not wait for the rows; it gives the number of promises.
func (s *system) loadUnsettled(config loadtest.Config) int64 {
	s.t.Helper()
	var promised sync.Map
	var all sync.WaitGroup
	users := make(chan int64)
	for range config.Concurrency {
		all.Go(func() {
			for user := range users {
				got, err := s.call(http.MethodPost, "/v1/campaigns/"+config.Campaign+"/apply", map[string]any{"user_id": user})
				if assert.NoError(s.t, err) && got.status == http.StatusAccepted {
					promised.Store(user, true)
				}
			}
		})
	}
	for user := range int64(config.Users) {
		users <- config.FirstUserID + user
	}
	close(users)
	all.Wait()
	count := int64(0)
	promised.Range(func(any, any) bool { count++; return true })
	return count
}

func TestRecordsFromOutsideGoThroughTheGateAndPoisonStopsNothing(t *testing.T) {
	env := newEnvironment(t)
	env.config.DefaultCampaign = newCode("outside")
	s := env.start(t)
	campaign := s.newCampaign(env.config.DefaultCampaign, 2)
	env.produce(t, []byte("12345"))
	s.eventually("the application from outside is issued", func() bool { return s.coupons(campaign)["12345"] == 1 })

	poison := [][]byte{
		[]byte("abc"), {}, []byte(strings.Repeat("\xff", 1<<20-200)), []byte("<script>alert(1)</script>"), []byte("-1"), []byte("1.5"),
	}
	for _, value := range poison {
		env.produce(t, value)
	}
	env.produce(t, []byte("12345"))
	env.produce(t, []byte("777"))
	env.produce(t, []byte("888"))
	s.eventually("each poisonous record is a fail event", func() bool { return len(s.failEvents("")) == len(poison) })
	s.eventually("the partitions go on", func() bool { return env.uncommitted(t) == 0 })
	s.settle(campaign)
	s.requireSlots(campaign, 2)
	for _, event := range s.failEvents("") {
		assert.Equal(t, "UNPARSABLE", event["reason"])
		full := s.must(http.MethodGet, "/v1/admin/fail-events/"+eventID(event), nil)
		require.Equal(t, http.StatusOK, full.status)
		assert.NotEmpty(t, full.body["topic"])
	}
}
