package api

import (
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

func TestTheFunnelPutsCountsAndStoresTogether(t *testing.T) {
	b := newFixture(t)
	b.operated.totals = []domain.FunnelCount{
		{Campaign: "other", Outcome: domain.FunnelAccepted, Count: 9},
		{Campaign: "spring", Outcome: domain.FunnelAccepted, Count: 2},
		{Campaign: "spring", Outcome: domain.FunnelKnown, Count: 3},
		{Campaign: "spring", Outcome: domain.FunnelIssued, Count: 2},
		{Campaign: "spring", Outcome: domain.FunnelOutcome(domain.CodeSoldOut), Count: 5},
	}
	b.gate.Report = domain.GateReport{Epoch: 1, Quota: 2, Count: 2, Winners: 1, Revoked: 1, Free: 1}
	b.ledger.counts = domain.LedgerCounts{Issued: 1, Revoked: 1}
	got := b.start().admin("GET", "/campaigns/spring/funnel", "")
	require.Equal(t, http.StatusOK, got.Code)
	assert.JSONEq(t, `{"campaign":"spring","applied":10,"known":3,"refused":{"sold-out":5},"accepted":2,"reserved":0,
		"admitted":2,"remaining":1,"counts":{"issued":1,"revoked":1,"delayed":0,"dead":0}}`, got.Body.String())
	requireProblem(t, b.admin("GET", "/campaigns/autumn/funnel", ""), 404, domain.CodeUnknownCampaign)
}

func TestApplicationsAreCountedForCampaignsThatExist(t *testing.T) {
	b := newFixture(t).start()
	for _, user := range []string{"1", "2", "3", "1"} {
		b.apply(user)
	}
	assert.EqualValues(t, 4, b.operated.counted.Load())
	requireProblem(t, b.do(newRequest("POST", "/v1/campaigns/ghost/apply", `{"user_id":1}`)), 404, domain.CodeUnknownCampaign)
	assert.EqualValues(t, 4, b.operated.counted.Load(), "made-up codes must not fill the memory")
}

func TestACurveHasDefaultsAndLimits(t *testing.T) {
	b := newFixture(t)
	b.operated.points = []domain.FunnelPoint{{At: admissiontest.AdmittedAt, Counts: map[domain.FunnelOutcome]int64{
		domain.FunnelAccepted: 2, domain.FunnelReserved: 1, domain.FunnelIssued: 2,
	}}}
	b.start()
	got := b.admin("GET", "/campaigns/spring/curve", "")
	require.Equal(t, http.StatusOK, got.Code, got.Body.String())
	assert.Equal(t, time.Hour, b.operated.lastQuery.Until.Sub(b.operated.lastQuery.From))
	assert.Equal(t, 40*time.Second, b.operated.lastQuery.Step)
	assert.JSONEq(t, `[{"at":"2030-01-02T03:04:05.678Z","admitted":3,"issued":2,"outcomes":{"accepted":2,"reserved":1,"issued":2}}]`,
		mustJSON(t, got.body["points"]))
	for query, field := range map[string]string{
		"step_seconds=7": "step_seconds", "step_seconds=0": "step_seconds", "from=yesterday": "from",
		"from=2030-01-01T00:00:00Z&until=2030-01-01T00:00:00Z": "until", "from=1900-01-01T00:00:00Z": "from",
		"from=2030-01-01T00:00:00Z&until=2030-01-02T00:00:00Z&step_seconds=10": "step_seconds",
	} {
		got := b.admin("GET", "/campaigns/spring/curve?"+query, "")
		requireProblem(t, got, 400, domain.CodeInvalidRequest)
		assert.Equal(t, field, got.body["field"], query)
	}
}

// withCoupons gives the ledger coupons of the users 1..n.
func (b *fixture) withCoupons(n int) *fixture {
	for user := range n {
		b.ledger.coupons = append(b.ledger.coupons, domain.Coupon{
			Campaign: "spring", UserID: domain.UserID(user + 1), Slot: domain.Slot(user + 11), AdmittedAt: admissiontest.AdmittedAt, IssuedAt: admissiontest.AdmittedAt,
		})
	}
	return b
}

func TestACouponIsFoundByUserAndBySlot(t *testing.T) {
	b := newFixture(t).withCoupons(3).start()
	for query, users := range map[string]string{
		"campaign=spring&user_id=2": "2", "campaign=spring&slot=13": "3", "user_id=1": "1",
		"campaign=spring&slot=13&user_id=3": "3", "campaign=spring&slot=13&user_id=1": "", "campaign=spring&slot=99": "", "user_id=9": "",
	} {
		got := b.admin("GET", "/coupons?"+query, "")
		require.Equal(t, http.StatusOK, got.Code, got.Body.String())
		var found []string
		for _, coupon := range got.body["coupons"].([]any) {
			found = append(found, coupon.(map[string]any)["user_id"].(string))
		}
		assert.Equal(t, users, strings.Join(found, ","), query)
	}
	for query, field := range map[string]string{"slot=1": "campaign", "user_id=1&slot=1": "slot", "campaign=spring&slot=x": "slot"} {
		got := b.admin("GET", "/coupons?"+query, "")
		requireProblem(t, got, 400, domain.CodeInvalidRequest)
		assert.Equal(t, field, got.body["field"], query)
	}
}

func TestACouponIsRevokedOnceAndWithAReason(t *testing.T) {
	b := newFixture(t).withCoupons(1).start()
	revoke := func(user, body string) reply {
		return b.admin("POST", "/campaigns/spring/coupons/"+user+"/revoke", body)
	}
	for _, body := range []string{`{}`, `{"reason":"  "}`, `{"reason":"` + strings.Repeat("x", domain.MaxErrorMessageBytes+1) + `"}`} {
		requireProblem(t, revoke("1", body), 400, domain.CodeInvalidRequest)
	}
	got := revoke("1", `{"reason":"a fraud"}`)
	require.Equal(t, http.StatusOK, got.Code, got.Body.String())
	assert.Equal(t, "revoked", got.body["status"])
	assert.EqualValues(t, 11, got.body["revoked_slot"])
	assert.Equal(t, []string{"admin"}, b.ledger.actors)
	requireProblem(t, revoke("1", `{"reason":"again"}`), 409, domain.CodeConflict)
	requireProblem(t, revoke("2", `{"reason":"x"}`), 404, domain.CodeNotFound)
	requireProblem(t, revoke("x", `{"reason":"x"}`), 400, domain.CodeInvalidRequest)
}

func TestAUserIsFoundWhereverTheyStand(t *testing.T) {
	b := newFixture(t).withCoupons(1).withEvents(1)
	b.ledger.events[0].UserID = 1
	b.start()
	got := b.admin("GET", "/users/1", "")
	require.Equal(t, http.StatusOK, got.Code, got.Body.String())
	assert.JSONEq(t, `[{"campaign":"spring","standing":{"campaign":"spring","user_id":"1","status":"issued","slot":11,
		"admitted_at":"2030-01-02T03:04:05.678Z","issued_at":"2030-01-02T03:04:05.678Z"}}]`, mustJSON(t, got.body["campaigns"]))
	assert.Len(t, got.body["fail_events"], 1)
	assert.Empty(t, b.admin("GET", "/users/77", "").body["campaigns"])
	b.gate.LookupErr = domain.Errorf(domain.CodeGateClosed, "the gate is closed")
	assert.JSONEq(t, `[{"campaign":"spring","error":"gate-closed: the gate is closed"}]`,
		mustJSON(t, b.admin("GET", "/users/77", "").body["campaigns"]), "a gate that can't tell is no 'not found'")
}

// withCampaigns adds so many campaigns, the last of which was made last and stands last in the alphabet.
func (b *fixture) withCampaigns(count int) *fixture {
	for i := range count {
		campaign := b.ledger.campaigns[0]
		campaign.ID, campaign.Code = int64(i+2), fmt.Sprintf("many-%03d", i)
		b.ledger.campaigns = append(b.ledger.campaigns, campaign)
	}
	return b
}

func TestAUserIsFoundInTheLastOfManyCampaigns(t *testing.T) {
	b := newFixture(t).withCampaigns(210)
	first, last := "many-000", "many-209"
	b.ledger.coupons = []domain.Coupon{
		{Campaign: first, UserID: 5, Slot: 1, AdmittedAt: admissiontest.AdmittedAt, IssuedAt: admissiontest.AdmittedAt},
		{Campaign: last, UserID: 6, Slot: 1, AdmittedAt: admissiontest.AdmittedAt, IssuedAt: admissiontest.AdmittedAt},
	}
	b.start()
	console := b.logIn(testToken)
	for user, code := range map[string]string{"5": first, "6": last} {
		assert.Contains(t, mustJSON(t, b.admin("GET", "/users/"+user, "").body["campaigns"]), code)
		page := console.get("/console/users?user_id=" + user).Body.String()
		assert.Contains(t, page, "/console/campaigns/"+code+"/coupons/"+user+"/revoke")
		assert.NotContains(t, page, "has no coupon")
	}
	assert.Contains(t, console.get("/console/users?user_id=7").Body.String(), "has no coupon")
	b.gate.LookupErr = domain.Errorf(domain.CodeGateClosed, "the gate is closed")
	assert.NotContains(t, console.get("/console/users?user_id=7").Body.String(), "has no coupon", "nobody knows that")
}

func TestCouponsAreExportedWholeOrNotAtAll(t *testing.T) {
	b := newFixture(t).withCoupons(domain.MaxPage + 1).start()
	got := b.admin("GET", "/coupons.csv?campaign=spring", "")
	require.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, "text/csv; charset=utf-8", got.Header().Get("Content-Type"))
	lines := strings.Split(strings.TrimSpace(got.Body.String()), "\n")
	require.Len(t, lines, domain.MaxPage+2)
	assert.Equal(t, "campaign,user_id,slot,status,admitted_at,issued_at,revoked_at,revoked_slot", lines[0])
	assert.Equal(t, "spring,1001,1011,issued,2030-01-02T03:04:05.678Z,2030-01-02T03:04:05.678Z,,", lines[domain.MaxPage+1])
	requireProblem(t, b.admin("GET", "/coupons.csv?campaign=ghost", ""), 404, domain.CodeUnknownCampaign)

	pages := 0
	b.ledger.listing = func() error {
		pages++
		if pages == 2 {
			return errAway()
		}
		return nil
	}
	assert.Panics(t, func() { b.admin("GET", "/coupons.csv?campaign=spring", "") }, "the connection breaks off")
}

func TestAnExportHoldsNoFormula(t *testing.T) {
	b := newFixture(t).withEvents(1)
	b.ledger.events[0].ErrorMessage = `=HYPERLINK("http://evil")`
	got := b.start().admin("GET", "/fail-events.csv?status=DEAD", "")
	require.Equal(t, http.StatusOK, got.Code)
	assert.Contains(t, got.Body.String(), `"'=HYPERLINK(""http://evil"")"`)
}

func TestABulkOrderIsCountedThenCarriedOut(t *testing.T) {
	b := newFixture(t)
	b.operated.matched = 500
	b.start()
	order := `{"action":"discard","reason":"a test","filter":{"status":"DEAD","user_id":"42","from":"2030-01-01T00:00:00Z","text":"x"}`
	dry := b.admin("POST", "/bulk-jobs", order+`,"dry_run":true}`)
	require.Equal(t, http.StatusOK, dry.Code, dry.Body.String())
	assert.JSONEq(t, `{"dry_run":true,"matched":500,"limit":100000}`, dry.Body.String())
	assert.Equal(t, domain.FailEventFilter{
		Status: domain.FailStatusDead, UserID: 42, From: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Text: "x",
	}, b.ledger.lastFilter)
	assert.Empty(t, b.operated.jobs)

	begun := b.admin("POST", "/bulk-jobs", order+`}`)
	require.Equal(t, http.StatusAccepted, begun.Code, begun.Body.String())
	location := strings.TrimPrefix(begun.Header().Get("Location"), "/v1/admin")
	require.Equal(t, "/bulk-jobs/1", location)
	var job reply
	require.Eventually(t, func() bool {
		job = b.admin("GET", location, "")
		return job.body["status"] == "done"
	}, 5*time.Second, time.Millisecond)
	assert.EqualValues(t, 500, job.body["done"])
	assert.Equal(t, "admin", job.body["actor"])
	assert.Len(t, b.admin("GET", "/bulk-jobs", "").body["bulk_jobs"], 1)
	requireProblem(t, b.admin("POST", "/bulk-jobs/1/resume", ""), 409, domain.CodeConflict)
	requireProblem(t, b.admin("POST", "/bulk-jobs/2/resume", ""), 404, domain.CodeNotFound)
}

func TestABulkJobThatLostItsLeaseIsLeftAndCanBeResumed(t *testing.T) {
	b := newFixture(t)
	b.operated.stepping = func(job *domain.BulkJob) error {
		job.Status = domain.BulkAbandoned
		return domain.Errorf(domain.CodeLeaseLost, "somebody else's")
	}
	b.start()
	require.Equal(t, http.StatusAccepted, b.admin("POST", "/bulk-jobs", `{"action":"retry","filter":{}}`).Code)
	require.Eventually(t, func() bool { return len(b.server.bulkPlaces) == 0 }, 5*time.Second, time.Millisecond)
	assert.Contains(t, b.log.String(), "a bulk job was left")
	assert.Equal(t, "abandoned", b.admin("GET", "/bulk-jobs/1", "").body["status"])
	assert.Equal(t, http.StatusAccepted, b.admin("POST", "/bulk-jobs/1/resume", "").Code)
}

func TestAProcessWorksOnSoManyBulkJobsAtOnce(t *testing.T) {
	b := newFixture(t)
	b.start()
	for range maxBulkAtOnce {
		b.server.bulkPlaces <- struct{}{}
	}
	requireProblem(t, b.admin("POST", "/bulk-jobs", `{"action":"retry","filter":{}}`), 503, domain.CodeOverloaded)
	assert.Empty(t, b.operated.jobs, "what is refused is not begun")
}

func TestBadBulkOrdersNameTheField(t *testing.T) {
	b := newFixture(t).start()
	for body, field := range map[string]string{
		`{"filter":{}}`:                                                           "action",
		`{"action":"delete","filter":{}}`:                                         "action",
		`{"action":"retry"}`:                                                      "filter",
		`{"action":"retry","filter":[]}`:                                          "body",
		`{"action":"retry","filter":{"stauts":"DEAD"}}`:                           "stauts",
		`{"action":"retry","filter":{"status":"LOST"}}`:                           "status",
		`{"action":"retry","filter":{"reason":"LOST"}}`:                           "reason",
		`{"action":"retry","filter":{"campaign":"No"}}`:                           "campaign",
		`{"action":"retry","filter":{"user_id":"-1"}}`:                            "user_id",
		`{"action":"retry","reason":"x","filter":{}}`:                             "reason",
		`{"action":"discard","filter":{}}`:                                        "reason",
		`{"action":"retry","filter":{},"dry_run":"yes"}`:                          "dry_run",
		`{"action":"retry","filter":{"from":"yesterday"}}`:                        "from",
		`{"action":"retry","filter":{"text":"` + strings.Repeat("x", 201) + `"}}`: "text",
	} {
		got := b.admin("POST", "/bulk-jobs", body)
		requireProblem(t, got, 400, domain.CodeInvalidRequest)
		assert.Equal(t, field, got.body["field"], body)
	}
	assert.Empty(t, b.ledger.actors)
}

func TestFailEventsAreCountedByStatusAndReason(t *testing.T) {
	b := newFixture(t).withEvents(3).start()
	got := b.admin("GET", "/fail-event-counts?campaign=spring", "")
	require.Equal(t, http.StatusOK, got.Code)
	assert.JSONEq(t, `[{"status":"DEAD","reason":"ROW_REFUSED","count":3}]`, mustJSON(t, got.body["cells"]))
	assert.EqualValues(t, 3, got.body["by_status"].(map[string]any)["DEAD"])
	assert.EqualValues(t, 3, got.body["by_reason"].(map[string]any)["ROW_REFUSED"])
}

func TestTheOperatorsHistoryIsListed(t *testing.T) {
	b := newFixture(t)
	for id := range int64(3) {
		b.operated.actions = append([]domain.OperatorAction{{
			ID: id + 1, Actor: "alice", Action: "set", Target: "setting x", Before: `"1"`, After: `"2"`, At: admissiontest.AdmittedAt,
		}}, b.operated.actions...)
	}
	b.start()
	got := b.admin("GET", "/actions?limit=2&actor=alice&action=set&target=setting%20x&from=2030-01-01T00:00:00Z", "")
	require.Equal(t, http.StatusOK, got.Code, got.Body.String())
	assert.Len(t, got.body["actions"], 2)
	assert.JSONEq(t, `{"id":"3","actor":"alice","action":"set","target":"setting x","before":"1","after":"2","at":"2030-01-02T03:04:05.678Z"}`,
		mustJSON(t, got.body["actions"].([]any)[0]))
	assert.Equal(t, "alice", b.operated.lastAction.Actor)
	next := b.admin("GET", "/actions?limit=2&cursor="+got.body["next_cursor"].(string), "")
	assert.Len(t, next.body["actions"], 1)
	assert.NotContains(t, next.body, "next_cursor")
}

func TestAnAuditIsKeptInTheHistory(t *testing.T) {
	b := newFixture(t).start()
	require.Equal(t, http.StatusOK, b.admin("POST", "/audit?campaign=spring&repair=true", "").Code)
	require.Len(t, b.operated.actions, 1)
	assert.Equal(t, "repair", b.operated.actions[0].Action)
	assert.Equal(t, "campaign spring", b.operated.actions[0].Target)
}

func TestThePipelineTellsWhatItCanWithoutTheLedger(t *testing.T) {
	b := newFixture(t)
	since := time.Now().Add(-time.Minute)
	b.self = func() domain.Heartbeat {
		return domain.Heartbeat{Process: "p1", Roles: []string{"consumer"}, StartedAt: since, SeenAt: time.Now(),
			Consumer: &domain.ConsumerState{Paused: "unavailable: the database is away", PausedSince: since}}
	}
	b.operated.beats = []domain.Heartbeat{
		{Process: "p1", SeenAt: since}, {Process: "p2", SeenAt: since, Retryer: &domain.RetryerState{Jobs: []domain.JobState{
			{Name: "retry", Every: time.Second, LastRunAt: since, NextRunAt: since.Add(time.Second)},
		}}}, {Process: "gone", SeenAt: since.Add(-time.Hour)},
	}
	b.start()
	processes := b.admin("GET", "/pipeline", "").body["processes"].([]any)
	require.Len(t, processes, 2, "who is gone for long is not shown")
	assert.Equal(t, false, processes[0].(map[string]any)["silent"], "this process knows itself best")
	assert.Equal(t, true, processes[1].(map[string]any)["silent"])

	b.ledger.fail(errAway())
	got := b.admin("GET", "/pipeline", "")
	require.Equal(t, http.StatusOK, got.Code)
	assert.Equal(t, "unavailable: the store is away", got.body["ledger_error"])
	consumer := got.body["processes"].([]any)[0].(map[string]any)["consumer"].(map[string]any)
	assert.Equal(t, "unavailable: the database is away", consumer["paused"])
}

func TestConsumersArePausedAndTheThrottleIsLeftToThem(t *testing.T) {
	b := newFixture(t).start()
	got := b.admin("PATCH", "/pipeline", `{"rows_per_second":"auto","consumers":"paused"}`)
	require.Equal(t, http.StatusOK, got.Code, got.Body.String())
	assert.Equal(t, "auto", got.body["rows_per_second"])
	assert.Equal(t, "paused", got.body["consumers"])
	assert.Equal(t, "auto", b.ledger.settings[domain.SettingRowsPerSecond])
	got = b.admin("PATCH", "/pipeline", `{"consumers":"running"}`)
	assert.Equal(t, "running", got.body["consumers"])
	assert.Equal(t, "auto", got.body["rows_per_second"], "what is not named stays")
	require.Equal(t, http.StatusNoContent, b.admin("POST", "/retryer/run", "").Code)
	assert.NotEmpty(t, b.ledger.settings[domain.SettingRetryerRun])
}
