package loadtest

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestTimeoutsAreUnknownAndMayBeEither(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.beforeApply = func(_ http.ResponseWriter, r *http.Request, user string) bool {
		switch user {
		case "1": // never admitted, never answered
			<-r.Context().Done()
			return true
		case "2": // admitted, never answered
			server.admit(user, 100)
			<-r.Context().Done()
			return true
		}
		return false
	}
	cfg := configFor(server.start(t))
	cfg.RequestTimeout = 500 * time.Millisecond
	report, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.NoError(t, err)
	assert.Empty(t, report.Differences)
	assert.Equal(t, 2, report.Answers["unknown (timeout)"])
	assert.GreaterOrEqual(t, report.Latency.Max, 490*time.Millisecond, "a timeout counts with the time that was waited")
	assert.EqualValues(t, 300, report.Requests, "an application without an answer is not sent again")
}

func TestABrokenConnectionIsUnknown(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.beforeApply = func(http.ResponseWriter, *http.Request, string) bool { panic(http.ErrAbortHandler) }
	cfg := configFor(server.start(t))
	cfg.Users = 10
	report, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"unknown (connection)": 10}, report.Answers)
	assert.Empty(t, report.Differences)
}

// refuseFirst answers 503 to the first times applications of each user.
func refuseFirst(times int) func(http.ResponseWriter, *http.Request, string) bool {
	var mutex sync.Mutex
	seen := map[string]int{}
	return func(w http.ResponseWriter, _ *http.Request, user string) bool {
		mutex.Lock()
		defer mutex.Unlock()
		seen[user]++
		if seen[user] > times {
			return false
		}
		w.Header().Set("Retry-After", "0")
		problem(w, http.StatusServiceUnavailable, "overloaded")
		return true
	}
}

func TestA503WithRetryAfterIsAskedAgain(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.beforeApply = refuseFirst(2)
	cfg := configFor(server.start(t))
	cfg.Users, cfg.Quota = 60, 20
	var out bytes.Buffer
	report, err := Run(t.Context(), cfg, &out)
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"202 accepted": 20, "409 sold-out": 40}, report.Answers)
	assert.Equal(t, map[string]int{"503 overloaded": 120}, report.Retried)
	assert.EqualValues(t, 180, report.Requests)
	assert.Contains(t, out.String(), "120  503 overloaded")
	assert.Empty(t, report.Differences)
}

func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.beforeApply = refuseFirst(1000)
	cfg := configFor(server.start(t))
	cfg.Users, cfg.MaxRetries = 16, 3
	report, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"503 overloaded": 16}, report.Answers)
	assert.EqualValues(t, 16*4, report.Requests)
	assert.Empty(t, report.Differences, "a 503 promises nothing and refuses nothing")
}

func TestWhoIsToAskOnceAsksOnceAndNothingIsCompared(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.beforeApply = refuseFirst(1000)
	cfg := configFor(server.start(t))
	cfg.Users, cfg.Once = 16, true
	report, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"503 overloaded": 16}, report.Answers)
	assert.EqualValues(t, 16, report.Requests)
	assert.False(t, report.Settled)
}

func TestTheLatencyOfWinnersKnowsNobodyElse(t *testing.T) {
	t.Parallel()
	found := winnerLatency([]Answer{
		{Outcome: Accepted, Latency: 10 * time.Millisecond}, {Outcome: Refused, Latency: time.Minute},
		{Outcome: Unknown, Latency: time.Minute}, {Outcome: Accepted, Latency: 20 * time.Millisecond},
	})
	assert.InDelta(t, 10, millis(found.P50), 0.1)
	assert.InDelta(t, 20, millis(found.Max), 0.1)
	assert.Zero(t, winnerLatency(nil).P50)
}

func TestA503WithoutRetryAfterIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.beforeApply = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		problem(w, http.StatusServiceUnavailable, "gate-closed")
		return true
	}
	cfg := configFor(server.start(t))
	cfg.Users = 16
	report, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.NoError(t, err)
	assert.EqualValues(t, 16, report.Requests)
}

func never() bool { return false }

// The server shares one status among all who ask within a while. One that it made before the applications says
// "settled", because nothing was on its way then.
func TestAStatusOfBeforeTheApplicationsIsNotBelieved(t *testing.T) {
	t.Parallel()
	server := newFake()
	var lastApplication atomic.Int64
	since := func() time.Duration { return time.Since(time.Unix(0, lastApplication.Load())) }
	server.beforeApply = func(http.ResponseWriter, *http.Request, string) bool {
		lastApplication.Store(time.Now().UnixNano())
		return false
	}
	server.settled = func() bool { return since() < 200*time.Millisecond || since() > 600*time.Millisecond }
	server.coupons = func(rows []row) []row {
		if since() < 600*time.Millisecond {
			return []row{}
		}
		return rows
	}
	cfg := configFor(server.start(t))
	cfg.Users, cfg.statusAge = 16, 300*time.Millisecond
	report, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.NoError(t, err)
	assert.Empty(t, report.Differences)
}

func TestACampaignOfOurOwnMustBeNew(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusConflict, "conflict")
	}))
	t.Cleanup(server.Close)
	_, err := Run(t.Context(), configFor(server.URL), &bytes.Buffer{})
	assert.Equal(t, domain.CodeConflict, domain.CodeOf(err))
	require.ErrorContains(t, err, "creating campaign")
}

func TestACampaignThatNeverSettlesIsAnErrorThatSaysSo(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.settled = never
	cfg := configFor(server.start(t))
	cfg.SettleTimeout = 200 * time.Millisecond
	var out bytes.Buffer
	report, err := Run(t.Context(), cfg, &out)
	require.ErrorContains(t, err, "is settled, in vain: not yet")
	assert.False(t, report.Settled)
	assert.Equal(t, 100, report.Answers["202 accepted"], "what was measured is not thrown away")
	assert.Contains(t, out.String(), "100  202 accepted")
	assert.NotContains(t, out.String(), "differences", "nothing is said about promises that were not compared")
}

func TestAGateThatNeverOpensIsAnErrorAndNobodyApplies(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.closedPolls = 1 << 30
	server.beforeApply = func(http.ResponseWriter, *http.Request, string) bool {
		t.Error("an application was sent to a closed gate")
		return false
	}
	cfg := configFor(server.start(t))
	cfg.OpenTimeout = 200 * time.Millisecond
	_, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.ErrorContains(t, err, "is open, in vain: not yet")
}

func TestAStoreThatIsAwayForAMomentIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, momentarily := range map[string]func(http.ResponseWriter){
		"unavailable":      func(w http.ResponseWriter) { problem(w, http.StatusServiceUnavailable, "unavailable") },
		"not heard of yet": func(w http.ResponseWriter) { problem(w, http.StatusNotFound, "unknown-campaign") },
		"connection lost":  func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newFake()
			server.badPolls, server.statusProblem = 3, momentarily
			cfg := configFor(server.start(t))
			cfg.Users = 16
			report, err := Run(t.Context(), cfg, &bytes.Buffer{})
			require.NoError(t, err)
			assert.Equal(t, 16, report.Issued)
		})
	}
}

func TestARefusalThatWillNotPassIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.badPolls = 1
	server.statusProblem = func(w http.ResponseWriter) { problem(w, http.StatusBadRequest, "invalid-request") }
	cfg := configFor(server.start(t))
	_, err := Run(t.Context(), cfg, &bytes.Buffer{})
	assert.Equal(t, domain.CodeInvalidRequest, domain.CodeOf(err))
	require.ErrorContains(t, err, "because", "the server's reason is passed on")
}

func TestAWrongTokenIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	cfg := configFor(newFake().start(t))
	cfg.AdminToken = "wrong-token"
	_, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.ErrorContains(t, err, "admin token")
	assert.Equal(t, domain.CodeUnauthorized, domain.CodeOf(err))
	assert.NotContains(t, err.Error(), "wrong-token")
}

func TestAServerThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), Config{BaseURL: "http://127.0.0.1:1"}, &bytes.Buffer{})
	require.ErrorContains(t, err, "creating campaign")
}

func TestAListWithoutEndIsAnError(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.endless = true
	cfg := configFor(server.start(t))
	cfg.SettleTimeout = 300 * time.Millisecond
	_, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.ErrorContains(t, err, "does not end")
}

// An answer that names its list otherwise must not pass for a campaign without coupons.
func TestAListUnderAnotherNameIsAnError(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.listName = "rows"
	cfg := configFor(server.start(t))
	cfg.Users, cfg.SettleTimeout = 16, 300*time.Millisecond
	_, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.ErrorContains(t, err, "has no rows")
}

func TestUsersWhomAStoppedRunDidNotReachAreNotCounted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := newFake()
	var arrived atomic.Int64
	server.beforeApply = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		if arrived.Add(1) == 16 {
			cancel()
		}
		<-r.Context().Done()
		return true
	}
	report, err := Run(ctx, configFor(server.start(t)), &bytes.Buffer{})
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, map[string]int{"unknown (cancelled)": 16}, report.Answers)
}

func TestWhatAStoppedRunWasPromisedIsCompared(t *testing.T) {
	t.Parallel()
	withoutSeven := func(rows []row) []row {
		return slices.DeleteFunc(rows, func(coupon row) bool { return coupon["user_id"] == "7" })
	}
	for name, c := range map[string]struct {
		given func(*fake)
		check func(t *testing.T, report Report, printed string)
	}{
		"kept": {given: func(*fake) {}, check: func(t *testing.T, report Report, _ string) {
			assert.True(t, report.Settled)
			assert.Empty(t, report.Differences)
		}},
		"broken": {given: func(f *fake) { f.coupons = withoutSeven }, check: func(t *testing.T, report Report, printed string) {
			assert.Contains(t, kinds(report), LostAccepted)
			assert.Contains(t, printed, "user 7 was told")
		}},
		"not settled": {given: func(f *fake) { f.coupons, f.settled = withoutSeven, never }, check: func(t *testing.T, report Report, printed string) {
			assert.False(t, report.Settled)
			assert.Empty(t, report.Differences, "what is on its way is no difference")
			assert.Equal(t, []domain.UserID{7}, report.Open)
			assert.Contains(t, printed, "1 promises have not become coupons yet")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			server := newFake()
			c.given(server)
			var served atomic.Int64
			server.beforeApply = func(http.ResponseWriter, *http.Request, string) bool {
				if served.Add(1) > 60 {
					cancel()
				}
				return false
			}
			cfg := configFor(server.start(t))
			cfg.Users, cfg.Quota, cfg.SettleTimeout = 64, 1000, 300*time.Millisecond
			cfg.Concurrency, cfg.FirstUserID = 1, 1
			cfg.Seed = seedThatSendsEarly(cfg, 7)
			var printed bytes.Buffer
			report, err := Run(ctx, cfg, &printed)
			require.ErrorIs(t, err, context.Canceled)
			assert.True(t, report.Interrupted)
			assert.Contains(t, printed.String(), "interrupted")
			c.check(t, report, printed.String())
		})
	}
}

// seedThatSendsEarly gives a seed by which the user is among the first half of those who apply.
func seedThatSendsEarly(cfg Config, user domain.UserID) uint64 {
	cfg.Seed = 1
	for slices.Index(shuffledUsers(cfg), user) >= cfg.Users/2 {
		cfg.Seed++
	}
	return cfg.Seed
}

func TestCancellingStopsAtOnceWhereverTheRunIs(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]func(*fake){
		"waiting for the gate": func(f *fake) { f.closedPolls = 1 << 30 },
		"waiting for answers": func(f *fake) {
			f.beforeApply = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
				<-r.Context().Done()
				return true
			}
		},
		"waiting to send again": func(f *fake) {
			f.beforeApply = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
				w.Header().Set("Retry-After", "3600")
				problem(w, http.StatusServiceUnavailable, "gate-closed")
				return true
			}
		},
		"waiting until it is settled": func(f *fake) { f.settled = never },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newFake()
			hang(server)
			cfg := configFor(server.start(t))
			cfg.RequestTimeout, cfg.OpenTimeout, cfg.SettleTimeout = time.Hour, time.Hour, time.Hour
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err := Run(ctx, cfg, &bytes.Buffer{})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Less(t, time.Since(began), 30*time.Second)
		})
	}
}
