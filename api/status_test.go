package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

func TestTheStatusOfAnApplication(t *testing.T) {
	const path = "/v1/campaigns/spring/coupons/42"
	row := domain.Coupon{Campaign: "spring", UserID: 42, Slot: 7, AdmittedAt: admissiontest.AdmittedAt, IssuedAt: admissiontest.AdmittedAt}
	revoked := row
	revoked.Slot, revoked.RevokedSlot, revoked.RevokedAt = domain.NoSlot, 7, admissiontest.AdmittedAt
	released := revoked
	released.ReleasedAt = admissiontest.AdmittedAt
	givenUp := revoked
	givenUp.IssuedAt = time.Time{}
	known := func(slot domain.Slot) func(*fixture) {
		return func(b *fixture) {
			b.gate.Users[42] = domain.Admission{Winner: domain.Winner{Campaign: "spring", UserID: 42, Slot: slot, AdmittedAt: admissiontest.AdmittedAt}}
		}
	}
	pending := func(b *fixture) { known(7)(b); b.gate.Entries[42] = true }
	stored := func(coupon domain.Coupon) func(*fixture) {
		return func(b *fixture) { b.ledger.coupons = []domain.Coupon{coupon} }
	}
	delayed := func(b *fixture) { b.ledger.delayed[42] = true }
	gateClosed := func(b *fixture) { b.gate.LookupErr = domain.Errorf(domain.CodeGateClosed, "") }
	databaseAway := func(b *fixture) { b.ledger.fail(errAway()) }
	const at = `"2030-01-02T03:04:05.678Z"`

	for name, c := range map[string]struct {
		given   []func(*fixture)
		want    string
		status  int
		problem domain.Code
	}{
		"issued": {given: []func(*fixture){stored(row), known(7)},
			want: `{"campaign":"spring","user_id":"42","status":"issued","slot":7,"admitted_at":` + at + `,"issued_at":` + at + `}`},
		"issued, gate closed": {given: []func(*fixture){stored(row), gateClosed},
			want: `{"campaign":"spring","user_id":"42","status":"issued","slot":7,"admitted_at":` + at + `,"issued_at":` + at + `}`},
		"revoked": {given: []func(*fixture){stored(released), gateClosed},
			want: `{"campaign":"spring","user_id":"42","status":"revoked","admitted_at":` + at + `,"issued_at":` + at + `,"revoked_at":` + at + `}`},
		"revoked, and the gate just told": {given: []func(*fixture){stored(revoked), known(domain.NoSlot)},
			want: `{"campaign":"spring","user_id":"42","status":"revoked","admitted_at":` + at + `,"issued_at":` + at + `,"revoked_at":` + at + `}`},
		"revoked, and unknown to the gate": {given: []func(*fixture){stored(revoked)},
			want: `{"campaign":"spring","user_id":"42","status":"revoked","admitted_at":` + at + `,"issued_at":` + at + `,"revoked_at":` + at + `}`},
		"revoked, and the gate not told": {given: []func(*fixture){stored(revoked), known(7)},
			want: `{"campaign":"spring","user_id":"42","status":"issued","slot":7,"admitted_at":` + at + `,"issued_at":` + at + `}`},
		"given up, and the gate not told": {given: []func(*fixture){stored(givenUp), known(7)},
			want: `{"campaign":"spring","user_id":"42","status":"accepted","slot":7,"admitted_at":` + at + `}`},
		"revoked, and perhaps not told to the gate": {
			given: []func(*fixture){stored(revoked), gateClosed}, status: 503, problem: domain.CodeGateClosed,
		},
		"delayed": {given: []func(*fixture){delayed, known(7)},
			want: `{"campaign":"spring","user_id":"42","status":"accepted","admitted_at":` + at + `,"delayed":true}`},
		"delayed, gate closed": {given: []func(*fixture){delayed, gateClosed},
			want: `{"campaign":"spring","user_id":"42","status":"accepted","delayed":true}`},
		"accepted": {given: []func(*fixture){known(7)},
			want: `{"campaign":"spring","user_id":"42","status":"accepted","slot":7,"admitted_at":` + at + `}`},
		"reserved": {given: []func(*fixture){pending},
			want: `{"campaign":"spring","user_id":"42","status":"reserved","admitted_at":` + at + `}`},
		"accepted, database away": {given: []func(*fixture){known(7), databaseAway},
			want: `{"campaign":"spring","user_id":"42","status":"accepted","slot":7,"admitted_at":` + at + `}`},
		"revoked, database away": {given: []func(*fixture){known(domain.NoSlot), databaseAway},
			want: `{"campaign":"spring","user_id":"42","status":"revoked","admitted_at":` + at + `}`},
		"owed a slot": {given: []func(*fixture){known(domain.SlotOwed)},
			want: `{"campaign":"spring","user_id":"42","status":"accepted","admitted_at":` + at + `,"delayed":true}`},
		"nobody":                     {status: 404, problem: domain.CodeNotFound},
		"nobody, database away":      {given: []func(*fixture){databaseAway}, status: 404, problem: domain.CodeNotFound},
		"no row, gate closed":        {given: []func(*fixture){gateClosed}, status: 503, problem: domain.CodeGateClosed},
		"database away, gate closed": {given: []func(*fixture){databaseAway, gateClosed}, status: 503, problem: domain.CodeGateClosed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t).start()
			require.Equal(t, http.StatusOK, b.get("/v1/campaigns/spring").Code)
			for _, prepare := range c.given {
				prepare(b)
			}
			got := b.get(path)
			if c.problem != "" {
				requireProblem(t, got, c.status, c.problem)
				assert.NotContains(t, got.Body.String(), "redis", "what a store says is no answer for applicants")
				return
			}
			require.Equal(t, http.StatusOK, got.Code, got.Body.String())
			assert.JSONEq(t, c.want, got.Body.String())
			assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
		})
	}
}

func TestTheStatusOfNoUserAndOfNoCampaign(t *testing.T) {
	b := newFixture(t).start()
	for _, user := range []string{"0", "-1", "abc", "007", "9223372036854775808", "1.5"} {
		got := b.get("/v1/campaigns/spring/coupons/" + user)
		requireProblem(t, got, 400, domain.CodeInvalidRequest)
		assert.Equal(t, "user_id", got.body["field"])
	}
	requireProblem(t, b.get("/v1/campaigns/autumn/coupons/42"), 404, domain.CodeUnknownCampaign)
}
