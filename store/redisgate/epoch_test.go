//go:build !release

package redisgate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// testEditedEpoch has somebody write an epoch that no rebuild can have reached: the gate is closed, and the next rebuild
// opens it although its own epoch is far lower.
func testEditedEpoch(t *testing.T, b *bench) {
	for _, edited := range []int64{999_999_999_999_999, b.campaign.Epoch + 5 + domain.MaxEpochLead} {
		require.NoError(t, b.raw.HSet(t.Context(), b.key("meta"), "epoch", edited).Err())
		b.requireClosed(t, "an edited epoch")
		report, err := b.Inspect(t.Context(), b.campaign.Code)
		require.NoError(t, err)
		assert.Equal(t, "epoch-ahead", report.Closed)
		b.rebuild(t, b.campaign.Epoch+1)
	}
	ahead := b.campaign.Epoch + domain.MaxEpochLead
	require.NoError(t, b.raw.HSet(t.Context(), b.key("meta"), "epoch", ahead).Err())
	b.requireOpen(t)
	_, err := b.BeginRebuild(t.Context(), b.campaign.Code, b.campaign.Epoch+1)
	require.Equal(t, domain.CodeOvertaken, domain.CodeOf(err), "a ledger may have gone back: %v", err)
	b.SawEpoch(b.campaign.Code, b.campaign.Epoch-1)
	b.rebuild(t, b.campaign.Epoch-1)
}

// testSeenEpoch has Redis lose everything, and the ledger go back: the process alone knows which epochs there were.
func testSeenEpoch(t *testing.T, b *bench) {
	seen := b.campaign.Epoch + 3
	b.SawEpoch(b.campaign.Code, seen)
	b.SawEpoch(b.campaign.Code, b.campaign.Epoch-1)
	require.NoError(t, b.raw.Del(t.Context(), b.key("meta")).Err())
	report, err := b.Inspect(t.Context(), b.campaign.Code)
	require.NoError(t, err)
	assert.Zero(t, report.Epoch)
	assert.Equal(t, seen, report.SeenEpoch)
}
