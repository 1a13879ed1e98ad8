package consumer

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

func winners(count int) []domain.Winner {
	all := make([]domain.Winner, count)
	for i := range all {
		all[i] = winner(domain.UserID(i+1), domain.Slot(i+1), 1)
	}
	return all
}

// refusing stores everybody but the bad ones, and never a batch with a bad one.
func refusing(bad map[domain.UserID]bool, stored map[domain.UserID]int, calls *int) func([]domain.Winner) ([]domain.StoreResult, error) {
	return func(winners []domain.Winner) ([]domain.StoreResult, error) {
		*calls++
		for _, winner := range winners {
			if bad[winner.UserID] {
				return nil, domain.Errorf(domain.CodeRowRefused, "user %d", winner.UserID)
			}
		}
		for _, winner := range winners {
			stored[winner.UserID]++
		}
		return make([]domain.StoreResult, len(winners)), nil
	}
}

func TestBisectFindsOneBadRowOf500InFewCalls(t *testing.T) {
	for _, bad := range []domain.UserID{1, 250, 251, 377, 500} {
		stored, calls := map[domain.UserID]int{}, 0
		verdicts, err := bisect(winners(500), refusing(map[domain.UserID]bool{bad: true}, stored, &calls))
		require.NoError(t, err)
		require.Error(t, verdicts[bad-1].refused)
		assert.Len(t, stored, 499)
		assert.LessOrEqual(t, calls, 2*bits.Len(500)+1)
	}
}

func TestBisectStoresEveryGoodRowOnceAndNamesEveryBadOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := winners(rapid.IntRange(1, 300).Draw(t, "rows"))
		bad := map[domain.UserID]bool{}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, len(all)-1)).Draw(t, "bad") {
			bad[all[i].UserID] = true
		}
		stored, calls := map[domain.UserID]int{}, 0
		verdicts, err := bisect(all, refusing(bad, stored, &calls))
		require.NoError(t, err)
		require.Len(t, verdicts, len(all))
		for i, winner := range all {
			require.Equal(t, bad[winner.UserID], verdicts[i].refused != nil)
			if !bad[winner.UserID] {
				require.Equal(t, 1, stored[winner.UserID])
			}
		}
		require.LessOrEqual(t, calls, 2*len(all)-1)
	})
}

func TestBisectEndsWhenTheLedgerIsAway(t *testing.T) {
	calls := 0
	_, err := bisect(winners(500), func([]domain.Winner) ([]domain.StoreResult, error) {
		calls++
		if calls == 1 {
			return nil, domain.Errorf(domain.CodeRowRefused, "one of them")
		}
		return nil, errAway
	})
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	assert.Equal(t, 2, calls)
}

func TestBisectRefusesAWrongNumberOfResults(t *testing.T) {
	_, err := bisect(winners(2), func([]domain.Winner) ([]domain.StoreResult, error) {
		return make([]domain.StoreResult, 1), nil
	})
	assert.Equal(t, domain.CodeInternal, domain.CodeOf(err))
}
