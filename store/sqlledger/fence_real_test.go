//go:build realservers

package sqlledger

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// blocker runs a statement in a transaction that stays open, so that anybody who needs the same row or key must wait. At
// READ COMMITTED it locks nothing of the campaign that it reads.
func blocker(t *testing.T, ledger *Ledger, statement string) (release func()) {
	t.Helper()
	tx, err := ledger.pool.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), statement)
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback()) }
}

const (
	blockSlot = `INSERT INTO coupon (campaign_id, user_id, slot, admitted_at) SELECT id, 999, 1, created_at FROM campaign`
	blockUser = `INSERT INTO coupon (campaign_id, user_id, slot, admitted_at) SELECT id, 7, 999, created_at FROM campaign`
	blockRow  = `UPDATE fail_event SET attempts = attempts + 1`
)

// blockRecord takes the place of a fail event whose record stood at the start of the topic "fresh".
func blockRecord(event domain.FailEvent) string {
	return `INSERT INTO fail_event (campaign_code, user_id, slot, epoch, status, reason, error_message, raw_record,
		kafka_topic, kafka_partition, kafka_offset, content_key, attempts, next_attempt_at, lease_token, created_at, updated_at)
		SELECT '', 0, 0, 0, 'DEAD', '', '', '', 'fresh', 0, 0, '` + contentKey(event) + `', 0, created_at, '', created_at, created_at
		FROM campaign`
}

// TestARebuildWaitsForEverythingOfTheOldEpoch stops each call that relies on the epoch in the midst of its transaction,
// after it has read the epoch. A rebuild that began must not return before that call has ended: it would not see what
// the call is about to commit, and give the slot to somebody else.
func TestARebuildWaitsForEverythingOfTheOldEpoch(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		fresh := domain.FailEvent{
			Winner: domain.Winner{Campaign: "spring", UserID: 7}, Position: domain.RecordPosition{Topic: "fresh"},
		}
		for name, test := range map[string]struct {
			block string
			call  func(ctx context.Context, ledger *Ledger, winner domain.Winner, claimed domain.FailEvent) error
		}{
			"StoreCoupons": {blockSlot, func(ctx context.Context, l *Ledger, winner domain.Winner, _ domain.FailEvent) error {
				_, err := store(ctx, l, winner)
				return err
			}},
			"StoreClaimed": {blockUser, func(ctx context.Context, l *Ledger, winner domain.Winner, claimed domain.FailEvent) error {
				_, err := l.StoreClaimed(ctx, claimed, winner)
				return err
			}},
			"FailClaimed": {blockRow, func(ctx context.Context, l *Ledger, _ domain.Winner, claimed domain.FailEvent) error {
				_, err := l.FailClaimed(ctx, claimed, domain.Failure{Slot: 3, Message: "a new slot"})
				return err
			}},
			"RecordFailEvent": {blockRecord(fresh), func(ctx context.Context, l *Ledger, winner domain.Winner, _ domain.FailEvent) error {
				event := fresh
				event.Winner = winner
				return l.RecordFailEvent(ctx, event)
			}},
		} {
			t.Run(name, func(t *testing.T) {
				ledger := openRealLedger(t, settings)
				winner := campaignFor(t, ledger)
				require.NoError(t, ledger.RecordFailEvent(t.Context(), domain.FailEvent{Winner: winner}))
				claimed, err := ledger.ClaimFailEvents(t.Context(), 1, time.Hour, time.Hour)
				require.NoError(t, err)
				release := blocker(t, ledger, test.block)
				called, begun := make(chan error, 1), make(chan error, 1)
				go func() { called <- test.call(t.Context(), ledger, winner, claimed[0]) }()
				waitForLocks(t, ledger, 1)
				go func() {
					_, err := ledger.BeginRebuild(t.Context(), "spring", 0)
					begun <- err
				}()
				waitForLocks(t, ledger, 2)
				select {
				case err := <-begun:
					begun <- err
					assert.Fail(t, "the rebuild has begun while a call of the old epoch was under way")
				default:
				}
				release()
				require.NoError(t, <-called)
				require.NoError(t, <-begun)
			})
		}
	})
}

// reread is longer than the 0.1 s for which InnoDB shows the transactions as they were at the last look.
const reread = 150 * time.Millisecond

// waitForLocks waits until so many transactions of this database wait for a lock.
func waitForLocks(t *testing.T, ledger *Ledger, count int) {
	t.Helper()
	var waiting int
	assert.Eventually(t, func() bool {
		err := ledger.pool.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM information_schema.innodb_trx
			JOIN information_schema.processlist ON processlist.id = innodb_trx.trx_mysql_thread_id
			WHERE processlist.db = DATABASE() AND innodb_trx.trx_state = 'LOCK WAIT'`).Scan(&waiting)
		return assert.NoError(t, err) && waiting == count
	}, 30*time.Second, reread, fmt.Sprintf("not %d transactions wait for a lock", count))
}
