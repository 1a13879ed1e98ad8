package storetest

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"firstcome/domain"
)

var ledgerConcurrencyTests = map[string]func(*testing.T, Ledger){
	"WritersThatOverlapStoreEachWinnerOnce":      testConcurrentStores,
	"WritersThatDisagreeNeverGoOverTheQuota":     testConcurrentDisagreement,
	"NothingOfAnOldEpochCommitsAfterARebuild":    testRebuildFence,
	"AnEventOfAnOldEpochIsNotKeptAfterARebuild":  testRebuildFenceForEvents,
	"ManyRetryersClaimEachEventOnce":             testConcurrentClaims,
	"ManyRescuersRescueEachEventOnce":            testConcurrentRescues,
	"ManyOperatorsDiscardAnEventOnce":            testConcurrentDiscards,
	"ManyRebuildersGetEpochsOfTheirOwn":          testConcurrentRebuilds,
	"OneRecordAtManyConsumersIsOneEvent":         testConcurrentEvents,
	"OneWinnerAtManyStoresIsNewOnce":             testConcurrentSameWinner,
	"ManySettersOfASettingLeaveOneOfTheirValues": testConcurrentSettings,
}

const writers = 4

// together runs the same thing at all writers at once, and requires that none fails.
func together(t *testing.T, do func(ctx context.Context, writer int) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	for writer := range writers {
		group.Go(func() error { return do(ctx, writer) })
	}
	require.NoError(t, group.Wait())
}

// testConcurrentStores has all writers store all winners, each in its own order and in its own batches.
func testConcurrentStores(t *testing.T, ledger Ledger) {
	const quota, batch = 300, 25
	campaign := openCampaign(t, ledger, "spring", quota)
	all := manyWinners(campaign, quota)
	var mutex sync.Mutex
	stored := map[domain.UserID]int{}
	together(t, func(ctx context.Context, writer int) error {
		for n := range quota / batch {
			part := make([]domain.Winner, batch)
			for i := range part {
				part[i] = all[((n*batch+i)*(2*writer+1)+writer*37)%quota]
			}
			results, err := ledger.StoreCoupons(ctx, "spring", part)
			if err != nil {
				return err
			}
			mutex.Lock()
			for i, result := range results {
				if result.Outcome == domain.Stored {
					stored[part[i].UserID]++
				} else if result.Outcome != domain.AlreadyStored {
					t.Errorf("outcome %d for a winner", result.Outcome)
				}
			}
			mutex.Unlock()
		}
		return nil
	})
	require.Len(t, allCoupons(t, ledger, "spring"), len(stored))
	for user, times := range stored {
		require.Equal(t, 1, times, "user %d was said to be new more than once", user)
	}
	require.Len(t, stored, quota)
}

// testConcurrentDisagreement has each writer give the slots to other users, as after a split brain of the gate.
func testConcurrentDisagreement(t *testing.T, ledger Ledger) {
	const quota, batch = 100, 25
	campaign := openCampaign(t, ledger, "spring", quota)
	together(t, func(ctx context.Context, writer int) error {
		for n := range quota / batch {
			part := make([]domain.Winner, 0, batch)
			for i := n * batch; i < (n+1)*batch; i++ {
				user := domain.UserID(1 + (i+writer*13)%(quota+40))
				part = append(part, winner(campaign, user, domain.Slot(i+1)))
			}
			if _, err := ledger.StoreCoupons(ctx, "spring", part); err != nil {
				return err
			}
		}
		return nil
	})
	users, slots := map[domain.UserID]bool{}, map[domain.Slot]bool{}
	for _, coupon := range allCoupons(t, ledger, "spring") {
		assert.False(t, users[coupon.UserID] || slots[coupon.Slot], "two coupons for a user or a slot")
		assert.LessOrEqual(t, int64(coupon.Slot), int64(quota))
		users[coupon.UserID], slots[coupon.Slot] = true, true
	}
	assert.NotEmpty(t, users)
}

// testRebuildFence stores winners of one epoch without a pause, and raises the epoch in the midst of it.
func testRebuildFence(t *testing.T, ledger Ledger) {
	const quota, batch = 4000, 10
	old := openCampaign(t, ledger, "spring", quota)
	begun := make(chan struct{})
	var once sync.Once
	group, ctx := errgroup.WithContext(t.Context())
	for writer := range writers {
		group.Go(func() error {
			for n := writer; n < quota/batch; n += writers {
				part := make([]domain.Winner, batch)
				for i := range part {
					part[i] = winner(old, domain.UserID(1+n*batch+i), domain.Slot(1+n*batch+i))
				}
				results, err := ledger.StoreCoupons(ctx, "spring", part)
				if err != nil || results[0].Outcome == domain.OtherEpoch {
					return err
				}
				once.Do(func() { close(begun) })
			}
			return nil
		})
	}
	<-begun
	_, err := ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	after := len(holders(t, ledger, "spring"))
	require.NoError(t, group.Wait())
	assert.Len(t, holders(t, ledger, "spring"), after, "rows of the old epoch were stored after the rebuild had begun")
	assert.Less(t, after, quota, "the rebuild came too late to show anything")
}

func testRebuildFenceForEvents(t *testing.T, ledger Ledger) {
	const events = 1000
	old := openCampaign(t, ledger, "spring", events)
	begun := make(chan struct{})
	var once sync.Once
	group, ctx := errgroup.WithContext(t.Context())
	for writer := range writers {
		group.Go(func() error {
			for n := writer; n < events; n += writers {
				err := ledger.RecordFailEvent(ctx, failEvent(winner(old, domain.UserID(n+1), domain.Slot(n+1)), int64(n)))
				if domain.CodeOf(err) == domain.CodeEpochChanged {
					return nil
				}
				if err != nil {
					return err
				}
				once.Do(func() { close(begun) })
			}
			return nil
		})
	}
	<-begun
	_, err := ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	after := len(holders(t, ledger, "spring"))
	require.NoError(t, group.Wait())
	assert.Len(t, holders(t, ledger, "spring"), after, "slots that the rebuild has not seen were kept by events")
	assert.Less(t, after, events, "the rebuild came too late to show anything")
}

func testConcurrentClaims(t *testing.T, ledger Ledger) {
	const events = 60
	campaign := openCampaign(t, ledger, "spring", events)
	for i := range int64(events) {
		require.NoError(t, ledger.RecordFailEvent(t.Context(),
			failEvent(winner(campaign, domain.UserID(i+1), domain.Slot(i+1)), i)))
	}
	var mutex sync.Mutex
	claimed := map[int64]int{}
	together(t, func(ctx context.Context, _ int) error {
		for {
			mine, err := ledger.ClaimFailEvents(ctx, 7, lease, longestWait)
			if err != nil {
				return err
			}
			mutex.Lock()
			for _, event := range mine {
				claimed[event.ID]++
			}
			done := len(claimed) == events
			mutex.Unlock()
			if done {
				return nil
			}
		}
	})
	for id, times := range claimed {
		assert.Equal(t, 1, times, "event %d was claimed by more than one", id)
	}
}

func testConcurrentRescues(t *testing.T, ledger Ledger) {
	const events = 20
	campaign := openCampaign(t, ledger, "spring", events)
	for i := range int64(events) {
		record(t, ledger, failEvent(winner(campaign, domain.UserID(i+1), domain.Slot(i+1)), i))
		expire(t, ledger)
	}
	var mutex sync.Mutex
	rescued := 0
	together(t, func(ctx context.Context, _ int) error {
		count, err := ledger.RescueFailEvents(ctx, 100, 10, lease)
		mutex.Lock()
		rescued += count
		mutex.Unlock()
		return err
	})
	assert.Equal(t, events, rescued)
	all, err := ledger.FailEvents(t.Context(), domain.FailEventFilter{Limit: 100})
	require.NoError(t, err)
	for _, event := range all {
		assert.Equal(t, domain.FailStatusFail, event.Status)
		assert.Equal(t, 1, event.Attempts)
	}
}

func testConcurrentDiscards(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 1)
	event := record(t, ledger, failEvent(winner(campaign, 11, 1), 1))
	var mutex sync.Mutex
	done := 0
	together(t, func(ctx context.Context, _ int) error {
		_, err := ledger.DiscardFailEvent(ctx, event.ID, "a test", operatorName)
		if domain.CodeOf(err) == domain.CodeConflict {
			return nil
		}
		mutex.Lock()
		done++
		mutex.Unlock()
		return err
	})
	assert.Equal(t, 1, done)
	_, attempts := current(t, ledger, event.ID)
	assert.Len(t, attempts, 1)
}

func testConcurrentRebuilds(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 1)
	var mutex sync.Mutex
	epochs := map[int64]bool{}
	together(t, func(ctx context.Context, _ int) error {
		for range 5 {
			campaign, err := ledger.BeginRebuild(ctx, "spring", 0)
			if err != nil {
				return err
			}
			mutex.Lock()
			epochs[campaign.Epoch] = true
			mutex.Unlock()
		}
		return nil
	})
	assert.Len(t, epochs, 5*writers)
}

func testConcurrentEvents(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 1)
	together(t, func(ctx context.Context, _ int) error {
		return ledger.RecordFailEvent(ctx, failEvent(winner(campaign, 11, 1), 1))
	})
	events, err := ledger.FailEvents(t.Context(), domain.FailEventFilter{Limit: 10})
	require.NoError(t, err)
	assert.Len(t, events, 1)
}

func testConcurrentSameWinner(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 1)
	outcomes := make([]domain.StoreOutcome, writers)
	together(t, func(ctx context.Context, writer int) error {
		results, err := ledger.StoreCoupons(ctx, "spring", []domain.Winner{winner(campaign, 11, 1)})
		if err == nil {
			outcomes[writer] = results[0].Outcome
		}
		return err
	})
	assert.ElementsMatch(t, []domain.StoreOutcome{
		domain.Stored, domain.AlreadyStored, domain.AlreadyStored, domain.AlreadyStored,
	}, outcomes)
}

func testConcurrentSettings(t *testing.T, ledger Ledger) {
	together(t, func(ctx context.Context, writer int) error {
		for range 5 {
			if err := ledger.SetSetting(ctx, "rows", string(rune('a'+writer)), operatorName); err != nil {
				return err
			}
		}
		return nil
	})
	value, err := ledger.Setting(t.Context(), "rows")
	require.NoError(t, err)
	assert.Contains(t, "abcd", value)
	assert.Len(t, value, 1)
}

// testEndedContext is about callers that give up: whatever they asked for did not happen.
func testEndedContext(t *testing.T, ledger Ledger) {
	campaign := openCampaign(t, ledger, "spring", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := ledger.StoreCoupons(ctx, "spring", []domain.Winner{winner(campaign, 11, 1)})
	requireCode(t, domain.CodeUnavailable, err)
	require.ErrorIs(t, err, context.Canceled)
	_, err = ledger.Campaign(ctx, "spring")
	requireCode(t, domain.CodeUnavailable, err)
	assert.Empty(t, allCoupons(t, ledger, "spring"))
}
