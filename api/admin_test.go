package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

// TestNoAdminRouteAnswersWithoutTheToken goes through the whole table of routes, so that no later one is forgotten.
func TestNoAdminRouteAnswersWithoutTheToken(t *testing.T) {
	withToken, disabled := newFixture(t).start(), newFixture(t)
	disabled.cfg.AdminToken = ""
	disabled.start()
	bad := []string{
		"", "Bearer", "Bearer ", "Bearer wrong", "Bearer " + testToken + "x", "Bearer " + testToken[1:],
		"Basic " + testToken, testToken, "Bearer  " + testToken,
	}
	calls := 0
	refuses := func(b *fixture, method, path, authorization string) {
		calls++ // each from an address of its own, or guessing would be slowed down
		request := newRequest(method, strings.NewReplacer(":code", "spring", ":id", "1", ":user_id", "42").Replace(path), "{}")
		request.Header.Set("Authorization", authorization)
		request.RemoteAddr = fmt.Sprintf("10.%d.%d.1:999", calls/250, calls%250)
		got := b.do(request)
		requireProblem(t, got, 401, domain.CodeUnauthorized)
		assert.Equal(t, `Bearer realm="firstcome"`, got.Header().Get("WWW-Authenticate"))
	}
	seen := 0
	for _, route := range withToken.server.engine.Routes() {
		if !strings.HasPrefix(route.Path, "/v1/admin") {
			continue
		}
		seen++
		for _, authorization := range bad {
			refuses(withToken, route.Method, route.Path, authorization)
			refuses(disabled, route.Method, route.Path, authorization)
		}
		refuses(disabled, route.Method, route.Path, "Bearer "+testToken)
	}
	assert.GreaterOrEqual(t, seen, len(withToken.server.adminRoutes()))
	assert.Empty(t, withToken.ledger.actors)
	assert.NotContains(t, withToken.log.String()+disabled.log.String(), testToken)
}

func TestTheTokenOpensEveryAdminRoute(t *testing.T) {
	b := newFixture(t).start()
	for _, route := range b.server.adminRoutes() {
		path := strings.NewReplacer(":code", "spring", ":id", "1", ":user_id", "42").Replace(route.path)
		assert.NotEqual(t, http.StatusUnauthorized, b.admin(route.method, path, "{}").Code, path)
	}
	request := newRequest(http.MethodGet, "/v1/admin/campaigns", "")
	request.Header.Set("Authorization", "bearer "+testToken)
	assert.Equal(t, http.StatusOK, b.do(request).Code, "the scheme is the same in any case (RFC 9110)")
}

func TestACampaignIsCreatedListedChangedPausedResumedAndEnded(t *testing.T) {
	b := newFixture(t).start()
	require.Equal(t, http.StatusOK, b.get("/v1/campaigns/spring").Code, "the campaigns were read a moment ago")
	created := b.admin(http.MethodPost, "/campaigns",
		`{"code":"autumn","name":"Autumn","quota":5,"starts_at":"2030-01-01T01:00:00.1239+01:00","ends_at":"2030-02-01T00:00:00Z"}`)
	require.Equal(t, http.StatusCreated, created.Code, created.Body.String())
	assert.Equal(t, "/v1/admin/campaigns/autumn", created.Header().Get("Location"))
	assert.Equal(t, "2030-01-01T00:00:00.123Z", created.body["starts_at"], "the gate compares milliseconds in UTC")
	assert.Equal(t, "open", created.body["state"])
	assert.Equal(t, http.StatusOK, b.get("/v1/campaigns/autumn").Code, "applicants find it at once")

	list := b.admin(http.MethodGet, "/campaigns", "")
	campaigns, _ := list.body["campaigns"].([]any)
	require.Len(t, campaigns, 2)

	changed := b.admin(http.MethodPatch, "/campaigns/autumn", `{"quota":7,"name":"Late autumn"}`)
	require.Equal(t, http.StatusOK, changed.Code, changed.Body.String())
	assert.EqualValues(t, 7, changed.body["quota"])
	assert.Equal(t, "Late autumn", changed.body["name"])
	assert.EqualValues(t, 7, b.get("/v1/campaigns/autumn").body["quota"])
	lowered := b.admin(http.MethodPatch, "/campaigns/autumn", `{"quota":6}`)
	assert.EqualValues(t, 7, lowered.body["quota"])
	assert.EqualValues(t, 6, lowered.body["wanted_quota"])

	for _, step := range [][2]string{{"pause", "paused"}, {"resume", "open"}, {"end", "ended"}} {
		got := b.admin(http.MethodPost, "/campaigns/autumn/"+step[0], "")
		require.Equal(t, http.StatusOK, got.Code, got.Body.String())
		assert.Equal(t, step[1], got.body["state"])
	}
	requireProblem(t, b.admin(http.MethodPost, "/campaigns/autumn/resume", ""), 409, domain.CodeConflict)
	assert.Contains(t, b.log.String(), "campaign changed")
}

func TestALowerQuotaIsShownAsAWishUntilTheHoldersFit(t *testing.T) {
	b := newFixture(t)
	b.ledger.campaigns[0].Quota = 5
	b.gate.Report = domain.GateReport{Quota: 5, Count: 5}
	b.start()
	saved := b.admin(http.MethodPatch, "/campaigns/spring", `{"quota":4}`)
	require.Equal(t, http.StatusOK, saved.Code)
	assert.EqualValues(t, 5, saved.body["quota"])
	assert.EqualValues(t, 4, saved.body["wanted_quota"])
	shown := b.admin(http.MethodGet, "/campaigns/spring", "")
	assert.EqualValues(t, 4, shown.body["wanted_quota"])
	assert.EqualValues(t, 1, shown.body["holders_too_many"])
	for _, page := range []string{"/console/", "/console/campaigns/spring"} {
		body := strings.Join(strings.Fields(b.logIn(testToken).get(page).Body.String()), " ")
		assert.Contains(t, body, "going down to 4: 1 holder too many", page)
	}
	taken := b.admin(http.MethodPatch, "/campaigns/spring", `{"quota":5}`)
	assert.NotContains(t, taken.body, "wanted_quota", "an operator can take the wish back")
}

func TestPromisesWithoutASlotAreShownWithWhatToRaiseTheQuotaBy(t *testing.T) {
	b := newFixture(t)
	b.gate.Report = domain.GateReport{Quota: 5, Count: 5, Free: 1, Winners: 7, Owed: 3}
	b.start()
	shown := b.admin(http.MethodGet, "/campaigns/spring", "")
	assert.EqualValues(t, 2, shown.body["promised_without_slot"], "one of the three gets the free slot")
	assert.Equal(t, false, shown.body["settled"])
	assert.EqualValues(t, 0, b.get("/v1/campaigns/spring").body["remaining"], "newcomers get none of it")
}

func TestACampaignCreatedWithTheLeastStartsNowAndHasNoEnd(t *testing.T) {
	b := newFixture(t).start()
	got := b.admin(http.MethodPost, "/campaigns", `{"code":"least","quota":1}`)
	require.Equal(t, http.StatusCreated, got.Code, got.Body.String())
	startsAt, err := time.Parse(time.RFC3339Nano, got.body["starts_at"].(string))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), startsAt, time.Minute)
	assert.Equal(t, "9999-12-31T23:59:59Z", got.body["ends_at"])
}

func TestBadAdminBodiesNameTheField(t *testing.T) {
	b := newFixture(t).start()
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/campaigns", ``, "body"},
		{"POST", "/campaigns", `[]`, "body"},
		{"POST", "/campaigns", `{"code":"x","quota":1} {}`, "body"},
		{"POST", "/campaigns", `{"code":"x","quota":1`, "body"},
		{"POST", "/campaigns", `{"code":"x",,}`, "body"},
		{"POST", "/campaigns", "{\"code\":\"\xff\"}", "body"},
		{"POST", "/campaigns", `{}`, "code"},
		{"POST", "/campaigns", `{"code":"x"}`, "quota"},
		{"POST", "/campaigns", `{"code":"X","quota":1}`, "code"},
		{"POST", "/campaigns", `{"code":7,"quota":1}`, "code"},
		{"POST", "/campaigns", `{"code":"x","quota":0}`, "quota"},
		{"POST", "/campaigns", `{"code":"x","quota":10000001}`, "quota"},
		{"POST", "/campaigns", `{"code":"x","quota":1.5}`, "quota"},
		{"POST", "/campaigns", `{"code":"x","quota":"1"}`, "quota"},
		{"POST", "/campaigns", `{"code":"x","quota":null}`, "quota"},
		{"POST", "/campaigns", `{"code":"x","quota":1,"quota":2}`, "quota"},
		{"POST", "/campaigns", `{"code":"x","Quota":1}`, "Quota"},
		{"POST", "/campaigns", `{"code":"x","quota":1,"epoch":9}`, "epoch"},
		{"POST", "/campaigns", `{"code":"x","quota":1,"starts_at":"tomorrow"}`, "starts_at"},
		{"POST", "/campaigns", `{"code":"x","quota":1,"ends_at":"2001-01-01T00:00:00Z"}`, "ends_at"},
		{"POST", "/campaigns", `{"code":"x","quota":1,"state":"sleeping"}`, "state"},
		{"PATCH", "/campaigns/spring", `{}`, "body"},
		{"PATCH", "/campaigns/spring", `{"code":"other"}`, "code"},
		{"PATCH", "/campaigns/spring", `{"ends_at":null}`, "ends_at"},
		{"PATCH", "/campaigns/spring", `{"name":"` + strings.Repeat("x", 201) + `"}`, "name"},
		{"PATCH", "/pipeline", `{}`, "body"},
		{"PATCH", "/pipeline", `{"rows_per_second":-1}`, "rows_per_second"},
		{"PATCH", "/pipeline", `{"rows_per_second":1000001}`, "rows_per_second"},
		{"PATCH", "/pipeline", `{"rows_per_second":"fast"}`, "rows_per_second"},
		{"PATCH", "/pipeline", `{"consumers":"asleep"}`, "consumers"},
		{"POST", "/fail-events/1/discard", `{}`, "reason"},
		{"POST", "/fail-events/1/discard", `{"reason":" "}`, "reason"},
		{"POST", "/fail-events/one/discard", `{"reason":"x"}`, "id"},
		{"POST", "/fail-events/0/retry", ``, "id"},
		{"GET", "/fail-events/-1", ``, "id"},
		{"GET", "/fail-events?status=LOST", ``, "status"},
		{"GET", "/fail-events?reason=BAD", ``, "reason"},
		{"GET", "/fail-events?user_id=0", ``, "user_id"},
		{"GET", "/fail-events?limit=0", ``, "limit"},
		{"GET", "/fail-events?limit=1001", ``, "limit"},
		{"GET", "/fail-events?limit=ten", ``, "limit"},
		{"GET", "/fail-events?cursor=zzz", ``, "cursor"},
		{"GET", "/fail-events?cursor=" + encodeCursor(cursorCoupons, 1), ``, "cursor"},
		{"GET", "/fail-events?stauts=DEAD", ``, "stauts"},
		{"GET", "/fail-events?status=DEAD&status=FAIL", ``, "status"},
		{"GET", "/fail-events?status=%zz", ``, "query"},
		{"GET", "/coupons", ``, "campaign"},
		{"GET", "/coupons?campaign=spring&limit=1001", ``, "limit"},
		{"GET", "/coupons?campaign=spring&cursor=" + encodeCursor(cursorFailEvents, 1), ``, "cursor"},
	} {
		request := newRequest(c.method, "/v1/admin"+c.path, c.body)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+testToken)
		got := b.do(request)
		require.Equal(t, 400, got.Code, "%s %s %s: %s", c.method, c.path, c.body, got.Body)
		requireProblem(t, got, 400, domain.CodeInvalidRequest)
		assert.Equal(t, c.field, got.body["field"], "%s %s %s", c.method, c.path, c.body)
	}
	assert.Empty(t, b.ledger.actors, "nothing of this may change anything")
	requireProblem(t, b.admin("POST", "/campaigns", `{"name":"`+strings.Repeat("x", 65<<10)+`"}`), 413, domain.CodeBodyTooLarge)
}

func TestAdminRefusalsOfTheStores(t *testing.T) {
	b := newFixture(t).start()
	requireProblem(t, b.admin("POST", "/campaigns", `{"code":"spring","quota":1}`), 409, domain.CodeConflict)
	requireProblem(t, b.admin("GET", "/campaigns/autumn", ""), 404, domain.CodeUnknownCampaign)
	requireProblem(t, b.admin("PATCH", "/campaigns/autumn", `{"quota":1}`), 404, domain.CodeUnknownCampaign)
	requireProblem(t, b.admin("GET", "/fail-events/9", ""), 404, domain.CodeNotFound)
	requireProblem(t, b.admin("POST", "/fail-events/9/retry", ""), 404, domain.CodeNotFound)
	requireProblem(t, b.admin("POST", "/fail-events/9/discard", `{"reason":"x"}`), 404, domain.CodeNotFound)
	requireProblem(t, b.admin("GET", "/coupons?campaign=autumn", ""), 404, domain.CodeUnknownCampaign)

	b.ledger.fail(errAway())
	for _, route := range b.server.adminRoutes() {
		path := strings.NewReplacer(":code", "spring", ":id", "1", ":user_id", "42").Replace(route.path)
		body := map[string]string{
			"POST /campaigns": `{"code":"x","quota":1}`, "PATCH /campaigns/:code": `{"quota":1}`,
			"POST /fail-events/:id/discard": `{"reason":"x"}`, "PATCH /pipeline": `{"rows_per_second":1}`,
			"POST /campaigns/:code/coupons/:user_id/revoke": `{"reason":"x"}`, "POST /bulk-jobs": `{"action":"retry","filter":{}}`,
		}[route.method+" "+route.path]
		if route.method == http.MethodGet && (path == "/pipeline" || path == "/operator") {
			continue // tells what can be told, and needs no store
		}
		if path == "/coupons" {
			path += "?campaign=spring"
		}
		requireProblem(t, b.admin(route.method, path, body), 503, domain.CodeUnavailable)
	}
}

func TestACampaignWithWhatTheStoresHoldOfIt(t *testing.T) {
	b := newFixture(t)
	b.gate.Report = domain.GateReport{
		Closed: "run-id", Epoch: 3, Quota: 2, Count: 2, Winners: 2, PendingEntries: 1, OldestPendingAge: 1500 * time.Millisecond,
	}
	b.ledger.counts = domain.LedgerCounts{Issued: 1, Delayed: 1, Dead: 1}
	got := b.start().admin("GET", "/campaigns/spring", "")
	require.Equal(t, http.StatusOK, got.Code)
	gate, _ := got.body["gate"].(map[string]any)
	assert.Equal(t, "run-id", gate["closed"])
	assert.EqualValues(t, 1500, gate["oldest_pending_age_ms"])
	assert.Equal(t, map[string]any{"issued": 1.0, "revoked": 0.0, "delayed": 1.0, "dead": 1.0}, got.body["counts"])

	away := newFixture(t)
	away.gate.InspectErr = errAway()
	got = away.start().admin("GET", "/campaigns/spring", "")
	require.Equal(t, http.StatusOK, got.Code)
	assert.NotContains(t, got.body, "gate")
	assert.Equal(t, "unavailable: the store is away", got.body["gate_error"])
}

// withEvents gives the ledger fail events with the IDs n..1.
func (b *fixture) withEvents(n int64) *fixture {
	for id := n; id >= 1; id-- {
		b.ledger.events = append(b.ledger.events, domain.FailEvent{
			ID: id, Status: domain.FailStatusDead, Reason: domain.ReasonRowRefused, ErrorMessage: "refused", Attempts: 2,
			Winner:   domain.Winner{Campaign: "spring", UserID: 1<<53 + 1, Slot: 3, AdmittedAt: admissiontest.AdmittedAt, Epoch: 1},
			Raw:      []byte("4\x002\xff é"),
			Position: domain.RecordPosition{Topic: "coupon_create", Partition: 2, Offset: 1<<53 + 1},
		})
	}
	return b
}

func TestFailEventsAreListedPageByPage(t *testing.T) {
	b := newFixture(t).withEvents(5).start()
	var ids []string
	path := "/fail-events?limit=2"
	for range 5 {
		got := b.admin("GET", path, "")
		require.Equal(t, http.StatusOK, got.Code, got.Body.String())
		events, _ := got.body["fail_events"].([]any)
		for _, event := range events {
			id, _ := event.(map[string]any)["id"].(string)
			ids = append(ids, id)
		}
		cursor, more := got.body["next_cursor"].(string)
		if !more {
			break
		}
		path = "/fail-events?limit=2&cursor=" + cursor
	}
	assert.Equal(t, []string{"5", "4", "3", "2", "1"}, ids)
	even := newFixture(t).withEvents(2).start().admin("GET", "/fail-events?limit=2", "")
	assert.NotContains(t, even.body, "next_cursor", "a full last page is the last")
	assert.JSONEq(t, `{"fail_events":[]}`, newFixture(t).start().admin("GET", "/fail-events", "").Body.String())
}

func TestTheLargestPageOfFailEvents(t *testing.T) {
	b := newFixture(t).withEvents(domain.MaxPage + 1).start()
	first := b.admin("GET", "/fail-events?limit=1000", "")
	require.Equal(t, http.StatusOK, first.Code)
	assert.Equal(t, domain.MaxPage, b.ledger.lastFilter.Limit, "the ledger gives no more than that")
	cursor, _ := first.body["next_cursor"].(string)
	second := b.admin("GET", "/fail-events?limit=1000&cursor="+cursor, "")
	events, _ := second.body["fail_events"].([]any)
	assert.Len(t, events, 1)
}

func TestFailEventsAreFiltered(t *testing.T) {
	b := newFixture(t).start()
	got := b.admin("GET", "/fail-events?status=DEAD&reason=SLOT_TAKEN&campaign=spring&user_id=9223372036854775807&limit=7", "")
	require.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, domain.FailEventFilter{
		Status: "DEAD", Reason: "SLOT_TAKEN", Campaign: "spring", UserID: 9223372036854775807, Limit: 8,
	}, b.ledger.lastFilter)
}

func TestAFailEventIsShownWithItsRecordAndItsAttempts(t *testing.T) {
	b := newFixture(t).withEvents(1)
	b.ledger.attempts = []domain.FailEventAttempt{
		{Number: 1, StartedAt: admissiontest.AdmittedAt, FinishedAt: admissiontest.AdmittedAt, Outcome: "FAIL", ErrorMessage: "refused", Actor: "retryer"},
	}
	got := b.start().admin("GET", "/fail-events/1", "")
	require.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, "1", got.body["id"])
	assert.Equal(t, "9007199254740993", got.body["user_id"], "no JSON library may round it")
	assert.Equal(t, "9007199254740993", got.body["offset"])
	assert.Equal(t, "NAAy/yDDqQ==", got.body["raw_base64"])
	assert.Equal(t, "4�2� é", got.body["raw_text"])
	history, _ := got.body["attempt_history"].([]any)
	require.Len(t, history, 1)
	assert.Equal(t, map[string]any{
		"number": 1.0, "started_at": "2030-01-02T03:04:05.678Z", "finished_at": "2030-01-02T03:04:05.678Z",
		"outcome": "FAIL", "error_message": "refused", "actor": "retryer",
	}, history[0])
}

func TestAnUnparsableRecordHasNoUser(t *testing.T) {
	b := newFixture(t)
	b.ledger.events = []domain.FailEvent{{ID: 1, Status: domain.FailStatusFail, Reason: domain.ReasonUnparsable, NextAttemptAt: admissiontest.AdmittedAt}}
	got := b.start().admin("GET", "/fail-events/1", "")
	for _, field := range []string{"user_id", "campaign", "slot", "admitted_at", "discarded_at", "lease_until"} {
		assert.NotContains(t, got.body, field)
	}
	assert.Equal(t, "2030-01-02T03:04:05.678Z", got.body["next_attempt_at"])
}

func TestOperatorsRetryAndDiscardUnderTheirName(t *testing.T) {
	b := newFixture(t).withEvents(1).start()
	step := func(actor, action, body string) reply {
		request := newRequest("POST", "/v1/admin/fail-events/1/"+action, body)
		request.Header.Set("Authorization", "Bearer "+testToken)
		request.Header.Set("X-Actor", actor)
		return b.do(request)
	}
	assert.Equal(t, "FAIL", step("", "retry", "").body["status"])
	discarded := step("  Ann-Kathrin O.\r\n\x00<b>'; DROP "+strings.Repeat("é", 100), "discard", `{"reason":"a test account"}`)
	require.Equal(t, http.StatusOK, discarded.Code, discarded.Body.String())
	assert.NotEmpty(t, discarded.body["discarded_at"])
	assert.Equal(t, "a test account", b.ledger.discardReason)
	require.Len(t, b.ledger.actors, 2)
	assert.Equal(t, "admin", b.ledger.actors[0])
	assert.Equal(t, "admin/Ann-Kathrin O.b DROP "+strings.Repeat("é", 19), b.ledger.actors[1])
	assert.Contains(t, b.log.String(), "fail event discarded")

	b.ledger.events[0].Status = domain.FailStatusProcessing
	requireProblem(t, step("", "retry", ""), 409, domain.CodeConflict)
}

func TestCouponsAreListedPageByPage(t *testing.T) {
	b := newFixture(t)
	for user := range 5 {
		b.ledger.coupons = append(b.ledger.coupons, domain.Coupon{
			Campaign: "spring", UserID: domain.UserID(user + 1), Slot: domain.Slot(user + 1), AdmittedAt: admissiontest.AdmittedAt, IssuedAt: admissiontest.AdmittedAt,
		})
	}
	last := &b.ledger.coupons[4]
	last.Slot, last.RevokedSlot, last.RevokedAt = domain.NoSlot, 5, admissiontest.AdmittedAt
	b.start()
	var seen []string
	cursor := ""
	for range 5 {
		got := b.admin("GET", "/coupons?campaign=spring&limit=2&cursor="+cursor, "")
		require.Equal(t, http.StatusOK, got.Code, got.Body.String())
		coupons, _ := got.body["coupons"].([]any)
		for _, item := range coupons {
			coupon, _ := item.(map[string]any)
			seen = append(seen, fmt.Sprint(coupon["user_id"], coupon["status"], coupon["slot"], coupon["revoked_slot"]))
		}
		if cursor, _ = got.body["next_cursor"].(string); cursor == "" {
			break
		}
	}
	assert.Equal(t, []string{
		fmt.Sprint("1", "issued", 1.0, nil), fmt.Sprint("2", "issued", 2.0, nil), fmt.Sprint("3", "issued", 3.0, nil),
		fmt.Sprint("4", "issued", 4.0, nil), fmt.Sprint("5", "revoked", nil, 5.0),
	}, seen)
}

func TestThePipelineAndItsThrottle(t *testing.T) {
	b := newFixture(t).withEvents(3)
	b.pipeline = func(context.Context) (PipelineView, error) {
		return PipelineView{Partitions: []PartitionLag{{Partition: 1, Committed: 5, End: 9, Lag: 4}}}, nil
	}
	b.start()
	got := b.admin("GET", "/pipeline", "")
	require.Equal(t, http.StatusOK, got.Code)
	assert.JSONEq(t, `{"consumers":"running","fail_events":{"FAIL":0,"PROCESSING":0,"SUCCESS":0,"DEAD":3},"counted_up_to":1000,
		"processes":[],"lag":{"partitions":[{"partition":1,"committed":"5","end":"9","lag":4}]}}`, got.Body.String())

	for _, rows := range []string{"500", "0", "1000000"} {
		set := b.admin("PATCH", "/pipeline", `{"rows_per_second":`+rows+`}`)
		require.Equal(t, http.StatusOK, set.Code, set.Body.String())
		assert.Equal(t, rows, b.ledger.settings[domain.SettingRowsPerSecond])
		assert.Equal(t, rows, fmt.Sprint(int64(set.body["rows_per_second"].(float64))))
	}
	assert.Equal(t, []string{"admin", "admin", "admin"}, b.ledger.actors)

	b.pipeline = nil
	away := newFixture(t)
	away.pipeline = func(context.Context) (PipelineView, error) { return PipelineView{}, errDriver }
	assert.Equal(t, "failed; the log says why", away.start().admin("GET", "/pipeline", "").body["lag_error"])
}

func FuzzDecodeCursor(f *testing.F) {
	for _, seed := range []string{"", "ZjE", "YzE", encodeCursor(cursorFailEvents, 1<<62), "ZjAx", "Zi0x", "====", "ZjE="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		position, err := decodeCursor(cursorFailEvents, text)
		if err != nil {
			if domain.CodeOf(err) != domain.CodeInvalidRequest {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if position < 1 || encodeCursor(cursorFailEvents, position) != text {
			t.Fatalf("%q was read as %d", text, position)
		}
	})
}
