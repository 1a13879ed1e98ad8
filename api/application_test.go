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

func TestANewWinnerIsAcceptedOnceTheRecordIsInKafka(t *testing.T) {
	b := newFixture(t).start()
	got := b.apply("42")
	require.Equal(t, http.StatusAccepted, got.Code)
	assert.JSONEq(t, `{"campaign":"spring","user_id":"42","slot":1,"status":"accepted","admitted_at":"2030-01-02T03:04:05.678Z"}`,
		got.Body.String())
	assert.Equal(t, "/v1/campaigns/spring/coupons/42", got.Header().Get("Location"))
	assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
	assert.Equal(t, "application/json; charset=utf-8", got.Header().Get("Content-Type"))
	assert.Equal(t, []string{"admit", "confirm"}, b.gate.Called())
	require.Len(t, b.queue.Winners(), 1)
	assert.Equal(t, domain.Winner{Campaign: "spring", UserID: 42, Slot: 1, AdmittedAt: admissiontest.AdmittedAt, Epoch: 1}, b.queue.Winners()[0])
}

func TestWhoAsksAgainHearsTheSameAndNothingIsPublishedAgain(t *testing.T) {
	b := newFixture(t).start()
	first := b.apply("42")
	again := b.apply(`"42"`)
	require.Equal(t, http.StatusOK, again.Code)
	assert.JSONEq(t, first.Body.String(), again.Body.String())
	assert.Empty(t, again.Header().Get("Location"))
	assert.Len(t, b.queue.Winners(), 1)
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

func TestEveryRefusalHasItsStatus(t *testing.T) {
	for code, status := range map[domain.Code]int{
		domain.CodeSoldOut: 409, domain.CodeNotStarted: 409, domain.CodePaused: 409, domain.CodeRevoked: 409,
		domain.CodeEnded: 410, domain.CodeRateLimited: 429, domain.CodeGateClosed: 503, domain.CodeOverloaded: 503,
		domain.CodeOutcomeUnknown: 503, domain.CodeUnavailable: 503,
	} {
		b := newFixture(t)
		b.gate.AdmitErr = domain.Wrap(code, errDriver, "")
		requireProblem(t, b.start().apply("42"), status, code)
		assert.Empty(t, b.queue.Winners())
	}
}

func TestWhatADriverSaysGoesToTheLogOnly(t *testing.T) {
	for _, err := range []error{errDriver, domain.Wrap(domain.CodeLeaseLost, errDriver, "10.0.0.7")} {
		b := newFixture(t)
		b.gate.AdmitErr = err
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
			b.gate.AdmitErr = c.err
			assert.Contains(t, c.want, b.start().apply("42").Header().Get("Retry-After"))
		})
	}
}

func TestAWinnerWhoIsOwedASlotIsDelayed(t *testing.T) {
	b := newFixture(t)
	b.gate.Users[42] = domain.Admission{
		Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: domain.SlotOwed, AdmittedAt: admissiontest.AdmittedAt},
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

func TestClientsThatHangUpAreNotCountedAsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		door := make(chan struct{})
		b.cfg.Admission.AdmitTimeout = time.Hour
		b.gate.Admitting = func(context.Context) { <-door }
		b.start()
		defer b.server.Close()
		var first sync.WaitGroup
		first.Go(func() { b.apply("1") }) // it is with the gate, and the next one waits
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan reply)
		go func() {
			left <- b.do(newRequest(http.MethodPost, "/v1/campaigns/spring/apply", `{"user_id":1001}`).WithContext(ctx))
		}()
		synctest.Wait()
		leave()
		close(door)
		first.Wait()
		assert.Equal(t, statusClientClosed, (<-left).Code)
		figures := b.get("/metrics").Body.String()
		assert.Contains(t, figures, `status="499"`)
		assert.NotContains(t, figures, `status="503"`)
		assert.Contains(t, figures, `firstcome_applications_total{outcome="overloaded"} 0`)
	})
}
