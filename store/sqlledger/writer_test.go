package sqlledger

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"firstcome/domain"
)

// TestAWriterThatWaitsForAnotherCanGiveUp: SQLite itself would have it wait to the end of its own patience.
func TestAWriterThatWaitsForAnotherCanGiveUp(t *testing.T) {
	ledger := openSQLiteLedger(t)
	err := ledger.transact(t.Context(), func(*gorm.DB) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := ledger.SetSetting(ctx, "name", "value", "ada")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, ledger.SetSetting(t.Context(), "name", "value", "ada"))
}

// TestAPanicLeavesNoTransactionBehind: the write lock would be held without end.
func TestAPanicLeavesNoTransactionBehind(t *testing.T) {
	ledger := openSQLiteLedger(t)
	assert.Panics(t, func() {
		_ = ledger.transact(t.Context(), func(*gorm.DB) error { panic("a defect") })
	})
	require.NoError(t, ledger.SetSetting(t.Context(), "name", "value", "ada"))
}

// TestOnlyARevokedCouponIsNotedAsReleased: a note on a good one would keep the gate from being told when it is revoked.
func TestOnlyARevokedCouponIsNotedAsReleased(t *testing.T) {
	ledger := openSQLiteLedger(t)
	campaign, err := ledger.CreateCampaign(t.Context(), domain.Campaign{
		Code: "spring", Quota: 1, State: domain.CampaignOpen, StartsAt: ledger.config.processNow(), EndsAt: domain.NoEnd,
	}, "ada")
	require.NoError(t, err)
	_, err = ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{{
		Campaign: "spring", UserID: 7, Slot: 1, AdmittedAt: campaign.CreatedAt,
	}})
	require.NoError(t, err)
	require.NoError(t, ledger.MarkReleased(t.Context(), "spring", 7, campaign.Epoch))
	execute(t, ledger, "UPDATE coupon SET slot = NULL, revoked_slot = slot, revoked_at = issued_at")
	unreleased, err := ledger.UnreleasedCoupons(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, unreleased, 1)
	assert.EqualValues(t, 1, unreleased[0].RevokedSlot)
}

// TestReadsThatDecideGoWhereWritesGo: a proxy sends a read outside of a transaction to a replica, which may lag behind.
func TestReadsThatDecideGoWhereWritesGo(t *testing.T) {
	ledger := openSQLiteLedger(t)
	campaignFor(t, ledger)
	asked, outside := 0, 0
	err := ledger.db.Callback().Query().Before("gorm:query").Register("test:where", func(db *gorm.DB) {
		asked++
		if _, inTransaction := db.Statement.ConnPool.(gorm.TxCommitter); !inTransaction {
			outside++
		}
	})
	require.NoError(t, err)
	for name, read := range map[string]func() error{
		"campaigns": func() error { _, err := ledger.Campaigns(t.Context()); return err },
		"campaign":  func() error { _, err := ledger.Campaign(t.Context(), "spring"); return err },
		"unreleased coupons": func() error {
			_, err := ledger.UnreleasedCoupons(t.Context(), 10)
			return err
		},
		"a setting":      func() error { _, err := ledger.Setting(t.Context(), domain.SettingTopic); return err },
		"installation":   func() error { _, err := ledger.InstallationID(t.Context()); return err },
		"unverified run": func() error { _, err := ledger.UnverifiedRun(t.Context()); return err },
		"stuck events": func() error {
			_, err := ledger.StuckFailEvents(t.Context(), "spring", time.Second, 10)
			return err
		},
	} {
		asked, outside = 0, 0
		require.NoError(t, read(), name)
		assert.NotZero(t, asked, name)
		assert.Zero(t, outside, name)
	}
}
