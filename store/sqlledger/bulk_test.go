package sqlledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestAnAbandonedBulkJobIsTakenUpOnSQLite(t *testing.T) { testAbandonedBulk(t, openSQLiteLedger(t)) }

// testAbandonedBulk has a job's worker fall silent in the middle, and another operator go on with it.
func testAbandonedBulk(t *testing.T, ledger *Ledger) {
	t.Helper()
	ctx := t.Context()
	const events = domain.BulkPage + 10
	for offset := range int64(events) {
		event := domain.FailEvent{
			Winner: domain.Winner{Campaign: "spring", UserID: domain.UserID(offset + 1), Epoch: 1}, Reason: domain.ReasonRowRefused,
			Position: domain.RecordPosition{Topic: "coupon_create", Offset: offset}, NextAttemptAt: time.Now().Add(time.Hour),
		}
		require.NoError(t, ledger.RecordFailEvent(ctx, event))
	}
	job, err := ledger.StartBulk(ctx, domain.BulkOrder{Action: domain.BulkDiscard, Reason: "a test"}, "first")
	require.NoError(t, err)
	stepped, err := ledger.StepBulk(ctx, job)
	require.NoError(t, err)
	require.EqualValues(t, domain.BulkPage, stepped.Done)
	past := storedTime(time.Now().Add(-time.Second))
	require.NoError(t, ledger.db.Exec("UPDATE bulk_job SET lease_until = ? WHERE id = ?", past, job.ID).Error)
	silent, err := ledger.BulkJob(ctx, job.ID)
	require.NoError(t, err)
	require.Equal(t, domain.BulkAbandoned, silent.Status)

	taken, err := ledger.TakeBulk(ctx, job.ID, "second")
	require.NoError(t, err)
	assert.Equal(t, domain.BulkRunning, taken.Status)
	assert.EqualValues(t, domain.BulkPage, taken.Done, "what was done stays done")
	_, err = ledger.StepBulk(ctx, stepped)
	assert.Equal(t, domain.CodeLeaseLost, domain.CodeOf(err), "the first worker changes nothing any more")
	done, err := ledger.StepBulk(ctx, taken)
	require.NoError(t, err)
	assert.Equal(t, domain.BulkDone, done.Status)
	assert.EqualValues(t, events, done.Done)
	left, err := ledger.FailEvents(ctx, domain.FailEventFilter{Status: domain.FailStatusFail, Limit: 1})
	require.NoError(t, err)
	assert.Empty(t, left)
	var twice int64
	require.NoError(t, ledger.db.Raw("SELECT COUNT(*) - COUNT(DISTINCT fail_event_id) FROM fail_event_attempt").Scan(&twice).Error)
	assert.Zero(t, twice, "no event was discarded twice")
}
