package redisgate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// hasNews takes the news of a gate, if there is some.
func hasNews(gate *Gate) bool {
	select {
	case <-gate.News():
		return true
	default:
		return false
	}
}

// The retryer rebuilds a gate sooner than its next sweep would find it closed.
func TestAClosedGateIsNewsOnceForAllWhoMeetIt(t *testing.T) {
	server := startRedis(t)
	b := newBench(t, []string{server.Addr()})
	b.reopen(t)
	hasNews(b.Gate)
	_, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.NoError(t, err)
	assert.False(t, hasNews(b.Gate), "an open gate is no news")

	require.NoError(t, b.raw.Del(t.Context(), b.key("meta")).Err())
	for range 5 {
		_, err := b.Admit(t.Context(), b.campaign.Code, 51)
		require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err))
	}
	assert.True(t, hasNews(b.Gate))
	_, err = b.Admit(t.Context(), b.campaign.Code, 52)
	require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err))
	assert.False(t, hasNews(b.Gate), "that it is closed was told")
}
