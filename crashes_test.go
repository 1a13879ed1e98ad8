package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"firstcome/crashpoint"
	"firstcome/domain"
	"firstcome/store/kafkaqueue"
)

// This file says, for every crash point, how a process is led there.

// applicationCrashes are those of the api and of the relay, which goes on where it died.
func applicationCrashes() []crash {
	higherQuota := func(w *crashWorld, arm func()) {
		arm()
		_, quota, _ := w.campaignNow(w.campaign)
		// Who dies first, the api or the retryer that follows, decides whether there is an answer.
		_, _ = w.call(http.MethodPatch, "/v1/admin/campaigns/"+w.campaign, map[string]any{"quota": quota + 1})
	}
	relayed := func(w *crashWorld, arm func()) {
		arm()
		w.hold(roleAPI, crashpoint.APIAdmitted)
	}
	release := func(w *crashWorld) { w.arm(roleAPI) }
	return []crash{
		{point: crashpoint.APIFound, role: roleAPI},
		{point: crashpoint.APITaken, role: roleAPI, hit: 2},
		{point: crashpoint.GateDecided, role: roleAPI, hit: 3},
		{point: crashpoint.APIAdmitted, role: roleAPI},
		{point: crashpoint.QueueHanded, role: roleAPI},
		{point: crashpoint.QueueAcknowledged, role: roleAPI, hit: 3},
		{point: crashpoint.APIPublished, role: roleAPI},
		{point: crashpoint.GateAcknowledged, role: roleAPI},
		{point: crashpoint.APIConfirmed, role: roleAPI},
		{point: crashpoint.APIHonoured, role: roleAPI, lead: heldDuringARebuild(roleAPI, crashpoint.APIPublished)},
		{point: crashpoint.RelayRead, role: roleRetryer, lead: relayed, heal: release},
		{point: crashpoint.RelayPublished, role: roleRetryer, lead: relayed, heal: release},
		{point: crashpoint.RelayAcknowledged, role: roleRetryer, lead: relayed, heal: release},
		{point: crashpoint.APICampaignChanged, role: roleAPI, lead: higherQuota, heal: gateFollowsRow},
		{point: crashpoint.SweepApplied, role: roleRetryer, lead: higherQuota, heal: gateFollowsRow},
	}
}

func gateFollowsRow(w *crashWorld) {
	w.eventually("the gate has the quota of the campaign's row", func() bool {
		got, _ := w.call(http.MethodGet, "/v1/admin/campaigns/"+w.campaign, nil)
		_, quota, open := w.campaignNow(w.campaign)
		return open && quota == got.number("quota")
	})
}

// heldDuringARebuild has a process find, once it goes on from the point, that the gate was rebuilt meanwhile.
func heldDuringARebuild(role string, at crashpoint.Point) func(w *crashWorld, arm func()) {
	return func(w *crashWorld, arm func()) {
		w.hold(role, at)
		w.rebuilt(w.campaign)
		arm()
	}
}

func consumerCrashes() []crash {
	poison := func(w *crashWorld, arm func()) { arm(); w.env.produce(w.t, []byte("no user")) }
	outside := func(w *crashWorld, arm func()) {
		arm()
		w.env.produce(w.t, []byte(strconv.FormatInt(w.newUser(), 10)))
	}
	contradiction := func(w *crashWorld, arm func()) { arm(); w.contradict() }
	refused := &refusal{}
	return []crash{
		{point: crashpoint.ConsumerPolled, role: roleConsumer},
		{point: crashpoint.ConsumerAdmitted, role: roleConsumer, lead: outside},
		{point: crashpoint.ConsumerThrottled, role: roleConsumer},
		{point: crashpoint.LedgerInserted, role: roleConsumer, hit: 3},
		{point: crashpoint.ConsumerStored, role: roleConsumer, hit: 2},
		{point: crashpoint.ConsumerHonoured, role: roleConsumer, lead: heldDuringARebuild(roleConsumer, crashpoint.ConsumerPolled)},
		{point: crashpoint.ConsumerKept, role: roleConsumer, lead: poison},
		{point: crashpoint.ConsumerKept, role: roleConsumer, lead: func(w *crashWorld, arm func()) { arm(); refused.begin(w) }, heal: refused.end},
		{point: crashpoint.ConsumerKept, role: roleConsumer, lead: contradiction},
		{point: crashpoint.ConsumerDisputed, role: roleConsumer, lead: contradiction},
		{point: crashpoint.ConsumerFinished, role: roleConsumer},
		{point: crashpoint.GateAcknowledged, role: roleConsumer, lead: outside},
		{point: crashpoint.ConsumerConfirmed, role: roleConsumer, lead: outside},
		{point: crashpoint.ConsumerCommitted, role: roleConsumer, hit: 3},
	}
}

// contradict has the gate say that a new user holds a slot which is somebody's row, and puts that winner on the topic.
func (w *crashWorld) contradict() {
	w.t.Helper()
	winner := w.impostor()
	keys := "coupon:{" + w.campaign + "}:"
	// In one step, with the count that goes with one user more: else the gate itself would notice.
	pipeline := w.env.redisClient(w.t).TxPipeline()
	pipeline.HSet(w.t.Context(), keys+"users", winner.UserID.String(), fmt.Sprintf("%d:%d", winner.Slot, winner.AdmittedAt.UnixMilli()))
	pipeline.Incr(w.t.Context(), keys+"count")
	_, err := pipeline.Exec(w.t.Context())
	require.NoError(w.t, err)
	w.publish(winner)
}

// impostor makes a winner of a new user with a slot that has a row.
func (w *crashWorld) impostor() domain.Winner {
	w.t.Helper()
	epoch, _, _ := w.campaignNow(w.campaign)
	winner := domain.Winner{Campaign: w.campaign, UserID: domain.UserID(w.newUser()), Epoch: epoch, AdmittedAt: time.Now().UTC()}
	w.eventually("somebody has a coupon", func() bool {
		for _, slot := range w.coupons(w.campaign) {
			winner.Slot = domain.Slot(slot)
		}
		return winner.Slot > 0
	})
	return winner
}

// publish puts winners on the topic as the program does.
func (w *crashWorld) publish(winners ...domain.Winner) {
	w.t.Helper()
	publisher, err := kafkaqueue.OpenPublisher(w.env.config.kafkaConfig(w.env.at), prometheus.NewRegistry(), w.env.config.logger())
	require.NoError(w.t, err)
	require.NoError(w.t, publisher.PublishAll(w.t.Context(), winners))
	require.NoError(w.t, publisher.Close())
}

// refusal is a winner whose row the database refuses for a while.
type refusal struct{ user int64 }

func (r *refusal) begin(w *crashWorld) {
	r.user = w.newUser()
	w.env.refuseUser(r.user)
	w.applyAs(r.user)
}

func (r *refusal) end(w *crashWorld) {
	w.env.acceptUser(r.user)
	w.expireLeases()
}

// event gives the winner's fail event, once there is one.
func (r *refusal) event(w *crashWorld) map[string]any {
	var found map[string]any
	w.eventually("the refused winner is a fail event", func() bool {
		for _, event := range w.failEvents(w.campaign) {
			if event["user_id"] == strconv.FormatInt(r.user, 10) {
				found = event
			}
		}
		return found != nil
	})
	return found
}

// expireLeases lets the time pass after which nobody waits for a dead retryer any more.
func (w *crashWorld) expireLeases() {
	w.env.execSQL(w.t, "UPDATE fail_event SET lease_until = ? WHERE status = 'PROCESSING'", time.Now().UTC().Add(-time.Second))
}

func retryerCrashes() []crash {
	refused := &refusal{}
	begin := func(w *crashWorld, arm func()) { arm(); refused.begin(w) }
	accepted := func(w *crashWorld, arm func()) {
		refused.begin(w)
		refused.event(w)
		arm()
		w.env.acceptUser(refused.user)
	}
	owed := func(w *crashWorld, arm func()) { arm(); w.publish(w.impostor()) }
	stuck := func(w *crashWorld, arm func()) {
		refused.begin(w)
		refused.event(w)
		arm()
		w.env.execSQL(w.t, "UPDATE fail_event SET status = 'PROCESSING', lease_token = 'gone' WHERE user_id = ?", refused.user)
		w.expireLeases()
	}
	discarded := func(w *crashWorld, arm func()) {
		refused.begin(w)
		id := eventID(refused.event(w))
		arm()
		refused.discard(w, id)
	}
	discardedInBulk := func(w *crashWorld, arm func()) {
		refused.begin(w)
		refused.die(w)
		arm()
		refused.discardInBulk(w)
	}
	expire := func(w *crashWorld) { w.expireLeases() }
	return []crash{
		{point: crashpoint.RetryClaimed, role: roleRetryer, lead: begin, heal: refused.end},
		{point: crashpoint.RetryHonoured, role: roleRetryer, lead: owed, heal: expire},
		{point: crashpoint.LedgerClaimedInserted, role: roleRetryer, lead: accepted, heal: expire},
		{point: crashpoint.RetryStored, role: roleRetryer, lead: accepted},
		{point: crashpoint.RetryTold, role: roleRetryer, lead: owed},
		{point: crashpoint.RetryFailed, role: roleRetryer, lead: begin, heal: refused.end},
		{point: crashpoint.Rescued, role: roleRetryer, lead: stuck, heal: refused.end},
		{point: crashpoint.LedgerRevoked, role: roleAPI, lead: discarded, heal: refused.stayDiscarded},
		{point: crashpoint.LedgerBulkChanged, role: roleAPI, lead: discardedInBulk, heal: refused.resumeBulk},
		{point: crashpoint.APIBulkStepped, role: roleAPI, lead: discardedInBulk, heal: refused.resumeBulk},
		{point: crashpoint.APIDiscarded, role: roleAPI, lead: discarded, heal: refused.stayDiscarded},
		{point: crashpoint.ReleaseTold, role: roleRetryer, lead: discarded, heal: refused.stayDiscarded},
		{point: crashpoint.ReleaseMarked, role: roleRetryer, lead: discarded, heal: refused.stayDiscarded},
	}
}

// discard gives the winner's event up. There is no answer when the api dies of it.
func (r *refusal) discard(w *crashWorld, id string) {
	w.eventually("the event is not just being tried", func() bool {
		got, err := w.call(http.MethodPost, "/v1/admin/fail-events/"+id+"/discard", map[string]any{"reason": "a test account"})
		return err != nil || got.status == http.StatusOK || strings.HasSuffix(got.text("detail"), "is resolved")
	})
}

// die ends the retries of the winner's event, so that no retryer is just at it when an operator comes.
func (r *refusal) die(w *crashWorld) {
	r.event(w)
	w.eventually("the refused winner's event is dead", func() bool {
		w.env.execSQL(w.t, "UPDATE fail_event SET status = 'DEAD' WHERE status = 'FAIL' AND user_id = ?", r.user)
		return r.event(w)["status"] == string(domain.FailStatusDead)
	})
}

// discardInBulk has the api begin a job that gives the winner's event up, and may die of it before it has answered.
func (r *refusal) discardInBulk(w *crashWorld) {
	_, _ = w.call(http.MethodPost, "/v1/admin/bulk-jobs", map[string]any{
		"action": "discard", "reason": "a test account", "filter": map[string]any{"user_id": strconv.FormatInt(r.user, 10)},
	})
}

// resumeBulk goes on with the newest job once its lease has run out, and requires that it has discarded the event once.
func (r *refusal) resumeBulk(w *crashWorld) {
	w.env.execSQL(w.t, "UPDATE bulk_job SET lease_until = ? WHERE finished_at IS NULL", time.Now().UTC().Add(-time.Second))
	newest := func() map[string]any {
		jobs, _ := w.must(http.MethodGet, "/v1/admin/bulk-jobs", nil).body["bulk_jobs"].([]any)
		require.NotEmpty(w.t, jobs)
		return jobs[0].(map[string]any)
	}
	if job := newest(); job["status"] == string(domain.BulkAbandoned) {
		resumed := w.must(http.MethodPost, fmt.Sprintf("/v1/admin/bulk-jobs/%v/resume", job["id"]), nil)
		require.Equal(w.t, http.StatusAccepted, resumed.status, "%v", resumed.body)
	}
	w.eventually("the job is done", func() bool { return newest()["status"] == string(domain.BulkDone) })
	require.EqualValues(w.t, 1, newest()["done"])
	r.stayDiscarded(w)
}

// stayDiscarded discards again those that the crash may have left as they were, and requires that they stay revoked.
func (r *refusal) stayDiscarded(w *crashWorld) {
	r.discard(w, eventID(r.event(w)))
	w.env.acceptUser(r.user)
	w.eventually("the user is revoked", func() bool {
		got, err := w.call(http.MethodPost, "/v1/campaigns/"+w.campaign+"/apply", map[string]any{"user_id": r.user})
		return err == nil && got.problem() == "revoked"
	})
	w.mutex.Lock()
	defer w.mutex.Unlock()
	delete(w.promised, r.user)
}

func rebuildCrashes() []crash {
	lost := func(w *crashWorld, arm func()) { arm(); w.loseGate(w.campaign) }
	lowered := func(w *crashWorld, arm func()) {
		arm()
		_, quota, _ := w.campaignNow(w.campaign)
		w.changeQuota(w.campaign, int(quota)-1)
		w.loseGate(w.campaign) // else the gate takes the wish over as it is
	}
	owed := &owing{}
	var crashes []crash
	for _, point := range []crashpoint.Point{
		crashpoint.RebuildRaised, crashpoint.RebuildClosed, crashpoint.RebuildPendingRead, crashpoint.RebuildTailRead,
		crashpoint.RebuildHoldersWritten, crashpoint.RebuildRecalled, crashpoint.RebuildUpstreamWritten,
		crashpoint.RebuildLateWritten, crashpoint.RebuildGapsWritten, crashpoint.RebuildOpened,
	} {
		crashes = append(crashes, crash{point: point, role: roleRetryer, lead: lost})
	}
	return append(crashes,
		crash{point: crashpoint.RebuildSettled, role: roleRetryer, lead: lowered, heal: gateFollowsRow},
		crash{point: crashpoint.RebuildUpstreamWritten, role: roleRetryer, lead: owed.begin, heal: owed.end},
		crash{point: crashpoint.RebuildOwedSent, role: roleRetryer, lead: owed.begin, heal: owed.end})
}

// owing is a campaign whose topic names more winners than it has slots, as two masters of one Redis may leave it.
type owing struct{ campaign string }

// begin fills a campaign, puts two winners more on its topic behind a consumer that stands still, and loses the gate.
func (o *owing) begin(w *crashWorld, arm func()) {
	o.campaign = w.newCampaign(newCode("owing"), 2)
	for user := range int64(2) {
		require.Equal(w.t, http.StatusAccepted, w.apply(o.campaign, 1+user).status)
	}
	w.settle(o.campaign)
	epoch, _, _ := w.campaignNow(o.campaign)
	w.hold(roleConsumer, crashpoint.ConsumerPolled)
	for user := range int64(2) {
		w.publish(domain.Winner{
			Campaign: o.campaign, UserID: domain.UserID(11 + user), Slot: domain.Slot(1 + user), Epoch: epoch, AdmittedAt: time.Now().UTC(),
		})
	}
	arm()
	w.loseGate(o.campaign)
}

// end lets the consumer go on, and gives the campaign the slots that it owes.
func (o *owing) end(w *crashWorld) {
	w.arm(roleConsumer)
	w.eventually("both winners wait for a slot", func() bool {
		waiting := map[any]bool{} // each may have several events, as each time that the rebuild began again it sent a record
		for _, event := range w.failEvents(o.campaign) {
			waiting[event["user_id"]] = true
		}
		return len(waiting) == 2
	})
	w.changeQuota(o.campaign, 4)
	w.requireAtRest(o.campaign)
	w.requireSlots(o.campaign, 4)
}
