package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// Ledger is all that a ledger does.
type Ledger interface {
	domain.CampaignReader
	domain.CampaignWriter
	domain.CouponStore
	domain.FailEventClaimer
	domain.FailEventSettler
	domain.FailEventReader
	domain.FailEventOperator
	domain.CouponReader
	domain.LedgerRebuild
	domain.RevocationLedger
	domain.LedgerCounter
	domain.AuditLedger
	domain.AuditStore
	domain.SettingStore
	domain.FunnelWriter
	domain.FunnelReader
	domain.CouponFinder
	domain.CouponRevoker
	domain.BulkReader
	domain.BulkRunner
	domain.HeartbeatStore
	domain.ActionLog
	domain.InstallationNamer
	domain.LedgerVerifier
}

// RefusedUser is a user whose coupon the database must refuse by a trigger of its own, as a corrupt row would be.
const RefusedUser domain.UserID = 666_000_666

// operatorName is who acts in the tests.
const operatorName = "ada"

// lease is longer than any test, and longestWait longer than what any test plans.
const (
	lease       = time.Hour
	longestWait = 100 * time.Hour
)

// RunLedger runs the conformance suite of the interfaces in domain/ports_ledger.go. open must give each test an empty
// ledger whose database refuses the coupons of RefusedUser.
func RunLedger(t *testing.T, open func(t *testing.T) Ledger) {
	t.Helper()
	for _, group := range []map[string]func(*testing.T, Ledger){
		ledgerCampaignTests, ledgerCouponTests, ledgerFailEventTests, ledgerClaimTests, ledgerOperatorTests,
		ledgerReaderTests, ledgerConcurrencyTests, ledgerAuditTests, ledgerOperationTests,
	} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) { test(t, open(t)) })
		}
	}
}

// moment is a time with microseconds that a coarser column would lose.
var moment = time.Date(2031, 3, 4, 5, 6, 7, 123_457_000, time.UTC)

func newCampaign(code string, quota int64) domain.Campaign {
	return domain.Campaign{
		Code: code, Name: "Sale “" + code + "” 🎟", Quota: quota, State: domain.CampaignOpen,
		StartsAt: time.Date(2030, 1, 2, 3, 4, 5, 678_901_000, time.UTC), EndsAt: domain.NoEnd,
	}
}

// openCampaign stores a campaign whose gate was rebuilt once, as a sweep would have done.
func openCampaign(t *testing.T, ledger Ledger, code string, quota int64) domain.Campaign {
	t.Helper()
	_, err := ledger.CreateCampaign(t.Context(), newCampaign(code, quota), operatorName)
	require.NoError(t, err)
	return rebuild(t, ledger, code)
}

func rebuild(t *testing.T, ledger Ledger, code string) domain.Campaign {
	t.Helper()
	campaign, err := ledger.BeginRebuild(t.Context(), code, 0)
	require.NoError(t, err)
	campaign, err = ledger.FinishRebuild(t.Context(), campaign, domain.SlotUse{})
	require.NoError(t, err)
	return campaign
}

func winner(campaign domain.Campaign, user domain.UserID, slot domain.Slot) domain.Winner {
	return domain.Winner{
		Campaign: campaign.Code, UserID: user, Slot: slot, Epoch: campaign.Epoch,
		AdmittedAt: moment.Add(time.Duration(slot) * time.Microsecond),
	}
}

// storeAll stores winners and requires that each row is new.
func storeAll(t *testing.T, ledger Ledger, campaign domain.Campaign, winners ...domain.Winner) {
	t.Helper()
	results, err := ledger.StoreCoupons(t.Context(), campaign.Code, winners)
	require.NoError(t, err)
	for _, result := range results {
		require.Equal(t, domain.Stored, result.Outcome)
	}
}

// allCoupons reads the whole list, two at a time.
func allCoupons(t *testing.T, ledger Ledger, code string) []domain.Coupon {
	t.Helper()
	var all []domain.Coupon
	for after := int64(0); ; {
		page, next, err := ledger.Coupons(t.Context(), code, after, 2)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), 2)
		all = append(all, page...)
		if next == 0 {
			return all
		}
		require.Greater(t, next, after)
		after = next
	}
}

func holders(t *testing.T, ledger Ledger, code string) []domain.Holder {
	t.Helper()
	var all []domain.Holder
	campaign, err := ledger.Campaign(t.Context(), code)
	require.NoError(t, err)
	require.NoError(t, ledger.VisitHolders(t.Context(), campaign, func(holder domain.Holder) error {
		all = append(all, holder)
		return nil
	}))
	return all
}

// position names a record by its offset.
func position(offset int64) domain.RecordPosition {
	return domain.RecordPosition{Topic: "coupon_create", Partition: 3, Offset: offset}
}

// failEvent is a due event of a winner.
func failEvent(w domain.Winner, offset int64) domain.FailEvent {
	return domain.FailEvent{
		Winner: w, Status: domain.FailStatusFail, Reason: domain.ReasonRowRefused, ErrorMessage: "refused",
		Raw: []byte(w.UserID.String()), Position: position(offset), NextAttemptAt: time.Now().Add(-time.Minute),
	}
}

// record keeps an event and gives it as it was stored.
func record(t *testing.T, ledger Ledger, event domain.FailEvent) domain.FailEvent {
	t.Helper()
	require.NoError(t, ledger.RecordFailEvent(t.Context(), event))
	events, err := ledger.FailEvents(t.Context(), domain.FailEventFilter{Limit: domain.MaxPage})
	require.NoError(t, err)
	for _, stored := range events {
		if stored.Position == event.Position {
			return stored
		}
	}
	require.Fail(t, "the event was not kept")
	return domain.FailEvent{}
}

// claim takes the one due event.
func claim(t *testing.T, ledger Ledger) domain.FailEvent {
	t.Helper()
	events, err := ledger.ClaimFailEvents(t.Context(), 10, lease, longestWait)
	require.NoError(t, err)
	require.Len(t, events, 1)
	return events[0]
}

func current(t *testing.T, ledger Ledger, id int64) (domain.FailEvent, []domain.FailEventAttempt) {
	t.Helper()
	event, attempts, err := ledger.FailEvent(t.Context(), id)
	require.NoError(t, err)
	return event, attempts
}

// assertRecent requires a time that the ledger took itself: UTC, to the microsecond, of this test.
func assertRecent(t *testing.T, at time.Time) {
	t.Helper()
	assert.WithinDuration(t, time.Now(), at, time.Minute)
	assert.Equal(t, time.UTC, at.Location())
	assert.Zero(t, at.Nanosecond()%1000)
}

// largestUser is the largest user ID that there is.
const largestUser domain.UserID = math.MaxInt64
