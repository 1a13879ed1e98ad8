package sqlledger

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// TestAnyBatchLeavesOneCouponAUserAndASlot: whatever a batch holds, what it stores breaks neither unique key, stays
// within the quota, and loses nobody who could have had the slot.
func TestAnyBatchLeavesOneCouponAUserAndASlot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		campaign := campaignRow{Quota: rapid.Int64Range(1, 5).Draw(t, "quota"), Epoch: 2}
		known := newKnownRows(0)
		for user := domain.UserID(1); user <= 6; user++ {
			slot := domain.Slot(rapid.Int64Range(-8, 6).Draw(t, "slot of a row"))
			if slot == domain.NoSlot || slot > 0 && !known.taken[slot] {
				known.add(user, slot)
			}
		}
		before := newKnownRows(0)
		for user, slot := range known.slotOf {
			before.add(user, slot)
		}
		winners := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) domain.Winner {
			return domain.Winner{
				UserID: domain.UserID(rapid.Int64Range(1, 9).Draw(t, "user")),
				Slot:   domain.Slot(rapid.Int64Range(-1, 6).Draw(t, "slot")),
				Epoch:  rapid.Int64Range(1, 3).Draw(t, "epoch"),
			}
		}), 0, 12).Draw(t, "winners")

		results := settle(campaign, winners, known)

		for i, result := range results {
			winner := winners[i]
			if result.Outcome == domain.Stored {
				require.NotContains(t, before.slotOf, winner.UserID, "a second coupon for a user")
				require.False(t, before.taken[winner.Slot], "a second coupon for a slot")
				require.True(t, winner.Slot >= 1 && int64(winner.Slot) <= campaign.Quota && winner.Epoch == campaign.Epoch)
				before.add(winner.UserID, winner.Slot)
			}
			_, hasRow := before.slotOf[winner.UserID]
			require.Equal(t, hasRow, leavesRow(result.Outcome), "the outcome says whether there is a row")
			require.Equal(t, before.slotOf[winner.UserID], result.Slot, "the slot is what the user's row holds")
			if result.Outcome == domain.SlotTaken {
				require.True(t, before.taken[winner.Slot])
			}
		}
	})
}

func FuzzCutText(f *testing.F) {
	for _, seed := range []string{"", "a", "ü", "\xff\xfe", "a\x00b", "🎟🎟🎟", "a\xe2\x82"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = min(max(limit, 0), 2000)
		cut := cutText(text, limit)
		if !utf8.ValidString(cut) || len(cut) > limit {
			t.Fatalf("%q cut to %d became %q", text, limit, cut)
		}
	})
}
