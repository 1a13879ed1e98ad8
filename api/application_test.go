package api

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestANewWinnerIsAcceptedOnceTheRecordIsInKafka(t *testing.T) {
	b := newFixture(t).start()
	got := b.apply("42")
	require.Equal(t, http.StatusAccepted, got.Code)
	assert.JSONEq(t, `{"campaign":"spring","user_id":"42","slot":1,"status":"accepted","admitted_at":"2030-01-02T03:04:05.678Z"}`,
		got.Body.String())
	assert.Equal(t, "/v1/campaigns/spring/coupons/42", got.Header().Get("Location"))
	assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
	assert.Equal(t, "application/json; charset=utf-8", got.Header().Get("Content-Type"))
	assert.Equal(t, []string{"admit", "confirm"}, b.gate.called())
	require.Len(t, b.queue.winners(), 1)
	assert.Equal(t, domain.Winner{Campaign: "spring", UserID: 42, Slot: 1, AdmittedAt: admittedAt, Epoch: 1}, b.queue.winners()[0])
}

func TestWhoAsksAgainHearsTheSameAndNothingIsPublishedAgain(t *testing.T) {
	b := newFixture(t).start()
	first := b.apply("42")
	again := b.apply(`"42"`)
	require.Equal(t, http.StatusOK, again.Code)
	assert.JSONEq(t, first.Body.String(), again.Body.String())
	assert.Empty(t, again.Header().Get("Location"))
	assert.Len(t, b.queue.winners(), 1)
}

func TestTheDefaultCampaignHasAnAddressOfItsOwn(t *testing.T) {
	b := newFixture(t).start()
	got := b.do(newRequest(http.MethodPost, "/apply-coupon", `{"user_id": 7}`))
	require.Equal(t, http.StatusAccepted, got.Code)
	assert.Equal(t, "spring", got.body["campaign"])

	none := newFixture(t)
	none.cfg.DefaultCampaign = ""
	requireProblem(t, none.start().do(newRequest(http.MethodPost, "/apply-coupon", `{"user_id": 7}`)), 404, domain.CodeUnknownCampaign)
}

func TestOneUserAHundredTimesAtOnceIsOneWinner(t *testing.T) {
	b := newFixture(t).start()
	statuses := make(chan int, 100)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { statuses <- b.apply("42").Code })
	}
	all.Wait()
	close(statuses)
	counts := map[int]int{}
	for status := range statuses {
		counts[status]++
	}
	assert.Equal(t, map[int]int{http.StatusAccepted: 1, http.StatusOK: 99}, counts)
	assert.Len(t, b.queue.winners(), 1)
}

func TestKafkaAwayIsAReservationWithoutASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.queue.publish = func(ctx context.Context, _ domain.Winner) error {
			<-ctx.Done()
			return domain.Wrap(domain.CodeOutcomeUnknown, errDriver, "no acknowledgement")
		}
		b.start()
		began := time.Now()
		got := b.apply("42")
		require.Equal(t, http.StatusAccepted, got.Code)
		assert.Equal(t, "reserved", got.body["status"])
		assert.NotContains(t, got.body, "slot", "the slot may still change if Redis is lost too")
		assert.Equal(t, "/v1/campaigns/spring/coupons/42", got.Header().Get("Location"))
		assert.Equal(t, 3*time.Second, time.Since(began), "ProduceTimeout is how long an applicant waits")
		assert.Equal(t, []string{"admit"}, b.gate.called(), "what is not in Kafka must stay pending")

		again := b.apply("42")
		require.Equal(t, http.StatusOK, again.Code)
		assert.Equal(t, "reserved", again.body["status"])
		assert.NotContains(t, again.body, "slot")
		b.server.Close()
	})
}

func TestARebuiltGateIsAskedAgain(t *testing.T) {
	epochChanged := domain.Errorf(domain.CodeEpochChanged, "rebuilt")
	winner := func(slot domain.Slot) domain.Winner {
		return domain.Winner{Campaign: "spring", UserID: 42, Slot: slot, AdmittedAt: admittedAt, Epoch: 2}
	}
	cases := map[string]struct {
		honoured  domain.Admission
		honourErr error
		failures  int // how many confirmations say that the epoch changed
		slot      any // nil: the answer has none
		delayed   bool
		problem   domain.Code
		calls     []string
		published int
	}{
		"it has given a slot anew": {
			honoured: domain.Admission{Winner: winner(9), New: true}, failures: 1,
			slot: 9.0, calls: []string{"admit", "confirm", "honour", "confirm"}, published: 2,
		},
		"it knows the user from Kafka": {
			honoured: domain.Admission{Winner: winner(1), InQueue: true}, failures: 1,
			slot: 1.0, calls: []string{"admit", "confirm", "honour"}, published: 1,
		},
		"it knows the user, the new record is on its way": {
			honoured: domain.Admission{Winner: winner(9)}, failures: 1,
			calls: []string{"admit", "confirm", "honour"}, published: 1,
		},
		"it is sold out": {
			honourErr: domain.Errorf(domain.CodeSoldOut, ""), failures: 1,
			delayed: true, calls: []string{"admit", "confirm", "honour"}, published: 1,
		},
		"the user's coupon was revoked": {
			honourErr: domain.Errorf(domain.CodeRevoked, ""), failures: 1,
			problem: domain.CodeRevoked, calls: []string{"admit", "confirm", "honour"}, published: 1,
		},
		"it is rebuilt once more": {
			honoured: domain.Admission{Winner: winner(9), New: true}, failures: 2,
			calls: []string{"admit", "confirm", "honour", "confirm"}, published: 2,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFixture(t)
				b.gate.toldFrom = time.Now().Add(refusalLease)
				failures := c.failures
				b.gate.confirm = func(context.Context, int64) error {
					failures--
					if failures >= 0 {
						return epochChanged
					}
					return nil
				}
				b.gate.honour = func(context.Context, domain.UserID) (domain.Admission, error) { return c.honoured, c.honourErr }
				b.start()
				defer b.server.Close()
				began := time.Now()
				got := b.apply("42")
				asked := strings.Count(strings.Join(c.calls, " "), "honour")
				assert.Equal(t, time.Duration(asked)*refusalLease, time.Since(began), "what other processes hold in memory is over")
				assert.Equal(t, c.calls, b.gate.called())
				assert.Len(t, b.queue.winners(), c.published)
				if c.problem != "" {
					requireProblem(t, got, 409, c.problem)
					return
				}
				require.Equal(t, http.StatusAccepted, got.Code)
				assert.Equal(t, "accepted", got.body["status"], "the first record is in Kafka, and an open gate knew the user after that")
				assert.Equal(t, c.slot, got.body["slot"])
				delayed, _ := got.body["delayed"].(bool)
				assert.Equal(t, c.delayed, delayed)
			})
		})
	}
}

// confirming has the fake gate give these answers to confirmations, the last one for ever.
func (g *fakeGate) confirming(answers ...error) {
	g.confirm = func(context.Context, int64) error {
		answer := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		return answer
	}
}

func errClosed() error { return domain.Errorf(domain.CodeGateClosed, "being rebuilt") }

func TestNothingIsPromisedBeforeAnOpenGateConfirms(t *testing.T) {
	for _, err := range []error{
		errClosed(), domain.Errorf(domain.CodeOutcomeUnknown, "no answer"), errAway(), context.DeadlineExceeded, errDriver,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newFixture(t)
			b.gate.confirming(err)
			b.start()
			defer b.server.Close()
			began := time.Now()
			got := b.apply("42")
			require.Equal(t, http.StatusAccepted, got.Code, "%v", err)
			assert.Equal(t, "reserved", got.body["status"], "%v: a rebuild may have missed the record", err)
			assert.NotContains(t, got.body, "slot", "%v", err)
			assert.InDelta(t, confirmPatience, time.Since(began), float64(longestConfirmPause))
			asked := strings.Count(strings.Join(b.gate.called(), " "), "confirm")
			assert.Less(t, asked, 20, "the pauses grow")
			assert.True(t, b.gate.entries[42], "the entry stays for the rebuild and the relay")
		})
	}
}

func TestWhoWaitsForAClosedGateHearsWhatHoldsWhenItIsOpen(t *testing.T) {
	closed, changed := errClosed(), domain.Errorf(domain.CodeEpochChanged, "rebuilt")
	known := domain.Admission{
		Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: 1, AdmittedAt: admittedAt, Epoch: 2}, InQueue: true,
	}
	cases := map[string]struct {
		confirming []error
		honourErr  error
		closedFor  int // how many times the gate is closed again when it is asked to honour
		slot       any
		delayed    bool
	}{
		"it opens as it was":          {confirming: []error{closed, closed, nil}, slot: 1.0},
		"it opens rebuilt":            {confirming: []error{closed, closed, changed}, slot: 1.0},
		"it closes before it honours": {confirming: []error{closed, changed}, closedFor: 2, slot: 1.0},
		"it opens rebuilt, and has no slot": {
			confirming: []error{closed, changed}, honourErr: domain.Errorf(domain.CodeSoldOut, ""), delayed: true,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFixture(t)
				b.gate.confirming(c.confirming...)
				closedFor := c.closedFor
				b.gate.honour = func(context.Context, domain.UserID) (domain.Admission, error) {
					if closedFor > 0 {
						closedFor--
						return domain.Admission{}, closed
					}
					return known, c.honourErr
				}
				b.start()
				defer b.server.Close()
				got := b.apply("42")
				require.Equal(t, http.StatusAccepted, got.Code)
				assert.Equal(t, "accepted", got.body["status"])
				assert.Equal(t, c.slot, got.body["slot"])
				delayed, _ := got.body["delayed"].(bool)
				assert.Equal(t, c.delayed, delayed)
			})
		})
	}
}

func TestWhoWaitsForAClosedGateHoldsUpNobodyAndIsNotOneTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.cfg.KafkaCrowd = 1
		b.gate.quota = 10
		b.gate.confirming(errClosed())
		b.start()
		defer b.server.Close()
		b.server.applications.limits.unconfirmed.take(0, maxUnconfirmed-1)
		var waiting sync.WaitGroup
		waiting.Go(func() { assert.Equal(t, "reserved", b.apply("1").body["status"]) })
		time.Sleep(time.Second)
		began := time.Now()
		assert.Equal(t, "reserved", b.apply("2").body["status"], "there is room for one, and it is taken")
		assert.Less(t, time.Since(began), confirmPause, "the crowd at the gate is none on the way to Kafka")
		waiting.Wait()
		assert.EqualValues(t, maxUnconfirmed-1, b.server.applications.limits.unconfirmed.taken.Load())
	})
}

func TestASecondPublicationThatFailsLeavesTheFirstPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.confirm = func(context.Context, int64) error { return domain.Errorf(domain.CodeEpochChanged, "") }
		b.gate.honour = func(context.Context, domain.UserID) (domain.Admission, error) {
			return domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: 5, Epoch: 2}, New: true}, nil
		}
		b.queue.publish = func(_ context.Context, winner domain.Winner) error {
			if winner.Epoch == 2 {
				return errAway()
			}
			return nil
		}
		got := b.start().apply("42")
		require.Equal(t, http.StatusAccepted, got.Code)
		assert.Equal(t, "accepted", got.body["status"])
		assert.NotContains(t, got.body, "slot")
		b.server.Close()
	})
}

func TestAClientThatLeavesAfterTheAdmissionIsPublishedAndConfirmed(t *testing.T) {
	b := newFixture(t)
	ctx, leave := context.WithCancel(t.Context())
	b.queue.publish = func(context.Context, domain.Winner) error { leave(); return nil }
	b.start()
	b.do(newRequest(http.MethodPost, "/v1/campaigns/spring/apply", `{"user_id":42}`).WithContext(ctx))
	assert.Len(t, b.queue.winners(), 1)
	assert.Equal(t, []string{"admit", "confirm"}, b.gate.called())
	assert.Empty(t, b.gate.entries, "the fakes refuse ended contexts, so the pending entry would still be there")
}

func TestWhoStillWaitsWhenTheTimeIsOverIsNotAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.admitting = func(ctx context.Context) { <-ctx.Done() }
		b.start()
		began := time.Now()
		requireProblem(t, b.apply("42"), 503, domain.CodeOverloaded)
		assert.Equal(t, time.Second, time.Since(began), "AdmitTimeout")
		assert.Empty(t, b.queue.winners())
		b.server.Close()
	})
}

func TestEveryRefusalHasItsStatus(t *testing.T) {
	for code, status := range map[domain.Code]int{
		domain.CodeSoldOut: 409, domain.CodeNotStarted: 409, domain.CodePaused: 409, domain.CodeRevoked: 409,
		domain.CodeEnded: 410, domain.CodeRateLimited: 429, domain.CodeGateClosed: 503, domain.CodeOverloaded: 503,
		domain.CodeOutcomeUnknown: 503, domain.CodeUnavailable: 503,
	} {
		b := newFixture(t)
		b.gate.admitErr = domain.Wrap(code, errDriver, "")
		requireProblem(t, b.start().apply("42"), status, code)
		assert.Empty(t, b.queue.winners())
	}
}

func TestWhatADriverSaysGoesToTheLogOnly(t *testing.T) {
	for _, err := range []error{errDriver, domain.Wrap(domain.CodeLeaseLost, errDriver, "10.0.0.7")} {
		b := newFixture(t)
		b.gate.admitErr = err
		requireProblem(t, b.start().apply("42"), 500, domain.CodeInternal)
		assert.Contains(t, b.log.String(), "10.0.0.7")
	}
}

func TestRetryAfterSaysWhenToComeAgain(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		startsAt time.Time
		err      *domain.Error
		want     []string
	}{
		"a start soon":           {now.Add(90 * time.Second), &domain.Error{Code: domain.CodeNotStarted}, []string{"90", "89"}},
		"a start in a day":       {now.Add(24 * time.Hour), &domain.Error{Code: domain.CodeNotStarted}, []string{"3600"}},
		"a start just now":       {now.Add(-time.Second), &domain.Error{Code: domain.CodeNotStarted}, []string{"1"}},
		"the gate knows better":  {now.Add(time.Hour), &domain.Error{Code: domain.CodeNotStarted, RetryAfter: 7100 * time.Millisecond}, []string{"8"}},
		"a closed gate":          {now, &domain.Error{Code: domain.CodeGateClosed}, []string{"1"}},
		"a closed gate, longer":  {now, &domain.Error{Code: domain.CodeGateClosed, RetryAfter: 3 * time.Second}, []string{"3"}},
		"less than a second":     {now, &domain.Error{Code: domain.CodeOverloaded, RetryAfter: time.Millisecond}, []string{"1"}},
		"no use in coming again": {now, &domain.Error{Code: domain.CodeSoldOut, RetryAfter: time.Second}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t)
			b.ledger.campaigns[0].StartsAt = c.startsAt
			b.gate.admitErr = c.err
			assert.Contains(t, c.want, b.start().apply("42").Header().Get("Retry-After"))
		})
	}
}

func TestAWinnerWhoIsOwedASlotIsDelayed(t *testing.T) {
	b := newFixture(t)
	b.gate.users[42] = domain.Admission{
		Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: domain.SlotOwed, AdmittedAt: admittedAt},
	}
	got := b.start().apply("42")
	require.Equal(t, http.StatusOK, got.Code)
	assert.JSONEq(t, `{"campaign":"spring","user_id":"42","status":"accepted","admitted_at":"2030-01-02T03:04:05.678Z","delayed":true}`,
		got.Body.String())
}

func TestApplicationsAreCountedByWhatWasAnswered(t *testing.T) {
	b := newFixture(t).start()
	b.apply("1")
	b.apply("1")
	b.apply("2")
	b.apply("3")
	metrics := b.get("/metrics").Body.String()
	assert.Contains(t, metrics, `firstcome_applications_total{outcome="accepted"} 2`)
	assert.Contains(t, metrics, `firstcome_applications_total{outcome="known"} 1`)
	assert.Contains(t, metrics, `firstcome_applications_total{outcome="sold-out"} 1`)
	assert.Contains(t, metrics, `firstcome_http_requests_total{method="POST",route="/v1/campaigns/:code/apply",status="202"} 2`)
	assert.Contains(t, metrics, `firstcome_http_requests_total{method="POST",route="/v1/campaigns/:code/apply",status="409"} 1`)
	assert.Contains(t, metrics, `firstcome_http_request_duration_seconds_count{method="POST",route="/v1/campaigns/:code/apply"} 4`)
}
