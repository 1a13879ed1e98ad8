package main

import (
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/store/kafkaqueue"
	"firstcome/store/sqlledger"
)

// seed gives the seed of a randomised test, and prints it: FIRSTCOME_TEST_SEED repeats a run.
func seed(t *testing.T) uint64 {
	t.Helper()
	number := uint64(time.Now().UnixNano())
	if given := os.Getenv("FIRSTCOME_TEST_SEED"); given != "" {
		var err error
		number, err = strconv.ParseUint(given, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("FIRSTCOME_TEST_SEED=%d", number)
	return number
}

// office is where operators, and records that contradict what is known, come from during a sale.
type office struct {
	*system
	crowd     *crowd
	random    *rand.Rand
	campaign  string
	publisher *kafkaqueue.Publisher
	ledger    *sqlledger.Ledger
	// strangers are users who come by forged records and not by an application.
	strangers int64
	did       map[string]int
}

func (o *office) between(low, high int64) int64 { return low + o.random.Int64N(high-low+1) }

func (o *office) view() answer {
	return o.must(http.MethodGet, "/v1/admin/campaigns/"+o.campaign, nil)
}

func (o *office) operate(verb string) {
	o.t.Helper()
	got := o.must(http.MethodPost, "/v1/admin/campaigns/"+o.campaign+"/"+verb, nil)
	require.Equal(o.t, http.StatusOK, got.status, "%s: %v", verb, got.body)
}

func (o *office) setQuota(quota int64) answer {
	return o.must(http.MethodPatch, "/v1/admin/campaigns/"+o.campaign, map[string]any{"quota": quota})
}

func (o *office) raiseQuota() {
	got := o.setQuota(o.view().number("quota") + o.between(1, 40))
	require.Equal(o.t, http.StatusOK, got.status, "%v", got.body)
}

// lowerQuota asks for something near what is in use: it is granted, or stays a wish until the holders fit.
func (o *office) lowerQuota() {
	view := o.must(http.MethodGet, "/v1/campaigns/"+o.campaign, nil)
	got := o.setQuota(max(view.number("quota")-view.number("remaining")+o.between(-5, 10), 1))
	require.Equal(o.t, http.StatusOK, got.status, "%v", got.body)
}

func (o *office) pauseAndResume() {
	o.operate("pause")
	pass(o.t, time.Duration(o.between(0, 300))*time.Millisecond)
	o.operate("resume")
}

// someCoupon gives a user who has a coupon, and its slot; ok is false while there is none.
func (o *office) someCoupon() (user, slot int64, ok bool) {
	var issued []string
	rows := o.coupons(o.campaign)
	for name, slot := range rows {
		if slot != 0 {
			issued = append(issued, name)
		}
	}
	if len(issued) == 0 {
		return 0, 0, false
	}
	slices.Sort(issued)
	name := issued[o.random.IntN(len(issued))]
	user, err := strconv.ParseInt(name, 10, 64)
	require.NoError(o.t, err)
	return user, rows[name], true
}

func (o *office) revoke() {
	user, _, ok := o.someCoupon()
	if !ok {
		return
	}
	o.crowd.giveUp(user)
	_, err := o.ledger.RevokeCoupon(o.t.Context(), o.campaign, domain.UserID(user), "a test", "the test")
	if domain.CodeOf(err) != domain.CodeUnavailable { // then it had no effect
		require.NoError(o.t, err)
	}
}

// refuseUntilDead has the database refuse a winner's row until the fail event is dead, and then discards or retries it.
func (o *office) refuseUntilDead() {
	user := o.crowd.newUser()
	o.env.refuseUser(user)
	won := o.crowd.apply(o.system, user)
	if won {
		o.eventually("the refused row is a dead event", func() bool { return o.deadEvent(user) != "" })
	}
	o.env.acceptUser(user)
	if !won {
		return
	}
	path, verb := "/v1/admin/fail-events/"+o.deadEvent(user), "/retry"
	if o.random.IntN(2) == 0 {
		o.crowd.giveUp(user)
		verb = "/discard"
	}
	got := o.must(http.MethodPost, path+verb, map[string]any{"reason": "a test"})
	require.Equal(o.t, http.StatusOK, got.status, "%v", got.body)
}

func (o *office) deadEvent(user int64) string {
	for _, event := range o.failEvents(o.campaign) {
		if event["user_id"] == strconv.FormatInt(user, 10) && event["status"] == "DEAD" {
			return eventID(event)
		}
	}
	return ""
}

// forge puts a record on the topic that says something else than the gate.
func (o *office) forge(user, slot, epoch int64) {
	require.NoError(o.t, o.publisher.Publish(o.t.Context(), domain.Winner{
		Campaign: o.campaign, UserID: domain.UserID(user), Slot: domain.Slot(slot), Epoch: epoch, AdmittedAt: time.Now(),
	}))
}

func (o *office) newStranger() int64 {
	o.strangers++
	return 1_000_000 + o.strangers
}

// sameUserOtherSlot: the row stays as it is.
func (o *office) sameUserOtherSlot() {
	if user, slot, ok := o.someCoupon(); ok {
		o.forge(user, slot+o.between(1, 20), o.view().number("epoch"))
	}
}

// sameSlotOtherUser: the row stays as it is, and the other user waits for another slot as a fail event.
func (o *office) sameSlotOtherUser() {
	if _, slot, ok := o.someCoupon(); ok {
		o.forge(o.newStranger(), slot, o.view().number("epoch"))
	}
}

// olderEpoch: the promise of an older epoch is honoured with a slot of the present one, and a known user keeps theirs.
func (o *office) olderEpoch() {
	epoch := max(o.view().number("epoch")-1, 1)
	if user, slot, ok := o.someCoupon(); ok {
		o.forge(user, slot, epoch)
		o.forge(o.newStranger(), slot, epoch)
	}
}

func (o *office) steps() map[string]func() {
	return map[string]func(){
		"raise quota": o.raiseQuota, "lower quota": o.lowerQuota, "pause and resume": o.pauseAndResume, "revoke": o.revoke,
		"refuse a row until it is dead": o.refuseUntilDead, "same user, other slot": o.sameUserOtherSlot,
		"same slot, other user": o.sameSlotOtherUser, "older epoch": o.olderEpoch, "empty Redis": o.env.emptyRedis,
	}
}

// work takes every step once in a random order, and then random ones until the time is over.
func (o *office) work(duration time.Duration) {
	steps := o.steps()
	var names []string
	for name := range steps {
		names = append(names, name)
	}
	slices.Sort(names)
	begin := time.Now()
	for first := true; first || time.Since(begin) < duration; first = false {
		for _, n := range o.random.Perm(len(names)) {
			o.did[names[n]]++
			steps[names[n]]()
			pass(o.t, time.Duration(o.between(0, 200))*time.Millisecond)
		}
	}
}

// Two whole programs sell, while operators and contradicting records do everything at random that can be done.
func TestNoPromiseBreaksWhateverOperatorsDoDuringASale(t *testing.T) {
	env := newAuditEnvironment(t)
	s, other := env.start(t), env.start(t)
	campaign := s.newCampaign(newCode("operators"), 100)
	number := seed(t)
	publisher, err := kafkaqueue.OpenPublisher(env.config.kafkaConfig(env.at), prometheus.NewRegistry(), env.config.logger())
	require.NoError(t, err)
	t.Cleanup(func() { _ = publisher.Close() })
	ledger, err := openLedger(env.config, env.at, instruments{registry: prometheus.NewRegistry(), logger: env.config.logger()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = ledger.Close() })
	crowd := newCrowd(t, campaign, s, other)
	office := &office{
		system: s, crowd: crowd, random: rand.New(rand.NewPCG(number, 0)), //nolint:gosec // a test's dice
		campaign: campaign, publisher: publisher, ledger: ledger, did: map[string]int{},
	}
	crowd.start(3)
	office.work(12 * time.Second)
	crowd.stop()
	t.Log("steps:", office.did, "promised:", len(crowd.promised), "given up:", len(crowd.givenUp), "strangers:", office.strangers)

	quota := office.view().number("quota") + office.strangers + 30
	require.Equal(t, http.StatusOK, office.setQuota(quota).status)
	s.settle(campaign) // anybody who waits for a slot has one now
	crowd.start(3)
	s.eventually("every slot is a coupon", func() bool { return len(s.issued(campaign)) == int(quota) })
	crowd.setEnded()
	office.operate("end")
	s.eventually("the end is heard of", func() bool { return other.apply(campaign, 2_000_000).problem() == "ended" })
	crowd.stop()
	s.auditWhenAtRest(campaign)
	crowd.requireKept(s, quota)
}

// issued gives the user of each slot that is a good coupon.
func (s *system) issued(campaign string) map[int64]string {
	s.t.Helper()
	issued := map[int64]string{}
	for user, slot := range s.coupons(campaign) {
		if slot != 0 {
			require.Empty(s.t, issued[slot], "slot %d is user %s's too", slot, user)
			issued[slot] = user
		}
	}
	return issued
}

// auditWhenAtRest waits until nothing is on its way any more, and requires that the audit finds no difference.
func (s *system) auditWhenAtRest(campaign string) {
	s.t.Helper()
	s.eventually("everything is at rest", func() bool { return s.audit(campaign, false).Settled })
	result := s.audit(campaign, false)
	require.Empty(s.t, result.Error)
	require.Empty(s.t, result.Differences)
}

// requireKept holds what was promised against the coupons.
func (c *crowd) requireKept(s *system, quota int64) {
	c.t.Helper()
	rows, issued := s.coupons(c.campaign), s.issued(c.campaign)
	assert.Len(c.t, issued, int(quota))
	for slot := int64(1); slot <= quota; slot++ {
		assert.NotEmpty(c.t, issued[slot], "slot %d is nobody's", slot)
	}
	for user, slot := range c.promised {
		held, stored := rows[strconv.FormatInt(user, 10)]
		require.True(c.t, stored, "user %d was promised slot %d and has no row", user, slot)
		switch {
		case held == 0:
			require.True(c.t, c.givenUp[user], "the coupon of user %d was taken away by nobody", user)
		case slot != 0:
			require.Equal(c.t, slot, held, "user %d", user)
		}
	}
}
