package loadtest

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// stallingServer answers in a millisecond, but for the time of its stall, in which it answers nobody.
type stallingServer struct {
	began       time.Time
	stall, over time.Duration
	answered    *atomic.Int64
}

func (s stallingServer) post(ctx context.Context, _ []byte) (reply, error) {
	wait(ctx, time.Millisecond)
	if now := time.Since(s.began); now >= s.stall && now < s.over {
		wait(ctx, s.over-now)
	}
	s.answered.Add(1)
	return reply{status: http.StatusConflict, body: []byte(`{"type":"urn:firstcome:problem:sold-out"}`)}, nil
}

func (stallingServer) close() {}

// runAgainstStall sends 3,000 users at 1,000 a second, or in the closed loop, to a server that stalls for a second.
func runAgainstStall(t *testing.T, cfg Config) (latency Latency, elapsed time.Duration, measured *recorder) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		server := stallingServer{began: began, stall: time.Second, over: 2 * time.Second, answered: new(atomic.Int64)}
		measured = newRecorder()
		sender := &applicant{open: func() poster { return server }, maxRetries: 1, recorder: measured}
		send(t.Context(), sender, shuffledUsers(cfg), cfg)
		latency, elapsed = measured.percentiles(), time.Since(began)
		assert.EqualValues(t, cfg.Users, server.answered.Load())
	})
	return latency, elapsed, measured
}

// A third of the users come while nobody is answered, so a sixth of all wait for half a second and more. A generator
// that stops sending while the server stalls would see four slow requests, and percentiles that tell of none.
func TestAStallShowsInThePercentiles(t *testing.T) {
	cfg := Config{Users: 3000, Concurrency: 4, Rate: 1000, FirstUserID: 1}
	latency, elapsed, measured := runAgainstStall(t, cfg)
	assert.Greater(t, latency.P90, 400*time.Millisecond)
	assert.Greater(t, latency.P99, 900*time.Millisecond)
	assert.InDelta(t, time.Second, latency.Max, float64(20*time.Millisecond))
	assert.InDelta(t, time.Second, time.Duration(measured.latest.Load()), float64(20*time.Millisecond))
	assert.InDelta(t, 3*time.Second, elapsed, float64(20*time.Millisecond), "what was held up is caught up with")

	cfg.Rate = 0
	closed, _, _ := runAgainstStall(t, cfg)
	assert.Less(t, closed.P99, 2*time.Millisecond, "the closed loop does not see it, as its documentation says")
}

func TestUsersComeAtTheStatedTimes(t *testing.T) {
	steady := arrivalsOf(Config{Users: 100, Rate: 10})
	assert.Equal(t, time.Duration(0), steady.at(0))
	assert.Equal(t, 2500*time.Millisecond, steady.at(25))

	ramp := arrivalsOf(Config{Users: 1000, Rate: 100, Ramp: 10 * time.Second})
	assert.Equal(t, 5*time.Second, ramp.at(125).Round(time.Millisecond), "a quarter of the 500 who come during the ramp")
	assert.Equal(t, 10*time.Second, ramp.at(500))
	assert.Equal(t, 11*time.Second, ramp.at(600))

	burst := arrivalsOf(Config{Users: 100, Rate: 10, BurstAt: 2 * time.Second, BurstUsers: 50})
	assert.Equal(t, 1900*time.Millisecond, burst.at(19))
	for index := 20; index < 70; index++ {
		assert.Equal(t, 2*time.Second, burst.at(index))
	}
	assert.Equal(t, 2*time.Second, burst.at(70), "the stream goes on where it was")
	assert.Equal(t, 2100*time.Millisecond, burst.at(71))
	assert.False(t, arrivalsOf(Config{Users: 100}).open())
}

func TestNobodyComesBeforeWhoStandsBeforeHim(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.IntRange(1, 2000).Draw(t, "users")
		cfg := Config{
			Users: users, Rate: rapid.Float64Range(0.1, MaxRate).Draw(t, "rate"),
			Ramp:       time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "ramp")),
			BurstUsers: rapid.IntRange(0, users).Draw(t, "burst"), BurstAt: time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "at")),
		}
		times, last := arrivalsOf(cfg), time.Duration(0)
		atBurst := 0
		for index := range users {
			at := times.at(index)
			require.GreaterOrEqual(t, at, last)
			if last = at; at == cfg.BurstAt {
				atBurst++
			}
		}
		require.GreaterOrEqual(t, atBurst, cfg.BurstUsers)
	})
}

func TestRatesAreRead(t *testing.T) {
	for text, want := range map[string]float64{"5000/s": 5000, " 0.5 ": 0.5, "10 /s": 10} {
		got, err := ParseRate(text)
		require.NoError(t, err, text)
		assert.InDelta(t, want, got, 1e-9)
	}
	for _, text := range []string{"", "0", "-1", "5000/m", "NaN", "Inf", "1e7", "fast"} {
		_, err := ParseRate(text)
		assert.Equal(t, domain.CodeInvalidRequest, domain.CodeOf(err), text)
	}
}
