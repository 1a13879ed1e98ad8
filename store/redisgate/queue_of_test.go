//go:build !release

package redisgate

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

const momentMS = 1_700_000_000_001

// openForPending opens a gate with this many users, all admitted in one millisecond, and nothing pending.
func openForPending(t *testing.T, users int) *bench {
	t.Helper()
	b := newBench(t, []string{startRedis(t).Addr()})
	b.campaign.Quota = domain.MaxQuota
	winners := make([]domain.GateWinner, users)
	for i := range winners {
		winners[i] = domain.GateWinner{UserID: domain.UserID(i + 1), Slot: domain.Slot(i + 1), AdmittedAt: time.UnixMilli(momentMS)}
	}
	b.campaign.Epoch = 1
	target, err := b.BeginRebuild(t.Context(), b.campaign.Code, b.campaign.Epoch)
	require.NoError(t, err)
	require.NoError(t, b.WriteWinners(t.Context(), target, winners))
	require.NoError(t, b.OpenRebuilt(t.Context(), target, b.campaign))
	return b
}

// pend adds a pending entry of that millisecond.
func (b *bench) pend(t *testing.T, sequence int, winners string) {
	t.Helper()
	require.NoError(t, b.raw.XAdd(t.Context(), &redis.XAddArgs{
		Stream: b.key("pending"), ID: fmt.Sprintf("%d-%d", momentMS, sequence), Values: []any{"e", b.campaign.Epoch, "w", winners},
	}).Err())
}

func (b *bench) inQueue(t *testing.T, user domain.UserID) bool {
	t.Helper()
	found, err := b.Lookup(t.Context(), b.campaign.Code, user)
	require.NoError(t, err)
	known, err := b.Admit(t.Context(), b.campaign.Code, user)
	require.NoError(t, err)
	assert.Equal(t, found.InQueue, known.InQueue)
	return known.InQueue
}

func TestABoundedNumberOfEntriesOfAMillisecondIsRead(t *testing.T) {
	b := openForPending(t, 21)
	for sequence := range 15 {
		b.pend(t, sequence, "11:11,21:21")
	}
	b.pend(t, 15, "3:3,4:4")
	for user, want := range map[domain.UserID]bool{1: true, 2: true, 3: false, 4: false, 11: false, 21: false} {
		assert.Equal(t, want, b.inQueue(t, user), "user %d", user)
	}
	b.pend(t, 16, "5:5")
	assert.False(t, b.inQueue(t, 1), "who can't be looked up is not taken for one who is in Kafka")
}

func TestOneQuestionLooksThroughABoundedPartOfTheEntries(t *testing.T) {
	const users = domain.MaxBatch
	b := openForPending(t, users)
	var winners strings.Builder
	for user := 1_000_000; winners.Len() < 1_000_000; user++ {
		winners.WriteString(strconv.Itoa(user) + ":1,")
	}
	b.pend(t, 0, winners.String()+"2:2")
	asked, decisions := make([]domain.UserID, users), make([]domain.Decision, users)
	for i := range asked {
		asked[i] = domain.UserID(i + 1)
	}
	require.NoError(t, b.AdmitAll(t.Context(), b.campaign.Code, asked, decisions))
	inQueue := 0
	for _, decision := range decisions {
		require.NoError(t, decision.Err)
		if decision.InQueue {
			inQueue++
		}
	}
	assert.InDelta(t, 7, inQueue, 1, "8 million bytes, of which user 2 is one who waits")
}
