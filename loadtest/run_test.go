package loadtest

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func configFor(url string) Config {
	return Config{
		BaseURL: url, AdminToken: testToken, Quota: 100, Users: 300, Concurrency: 16,
		RequestTimeout: 5 * time.Second, SettleTimeout: 5 * time.Second, statusAge: time.Millisecond,
	}
}

func kinds(report Report) []DifferenceKind {
	var found []DifferenceKind
	for _, difference := range report.Differences {
		found = append(found, difference.Kind)
	}
	return found
}

func TestACorrectServerHasNoDifferences(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.closedPolls = 3
	var out bytes.Buffer
	report, err := Run(t.Context(), configFor(server.start(t)), &out)
	require.NoError(t, err)
	assert.Empty(t, report.Differences)
	assert.True(t, report.Settled)
	assert.Equal(t, 100, report.Issued, "the coupons of all pages")
	assert.Equal(t, map[string]int{"202 accepted": 100, "409 sold-out": 200}, report.Answers)
	assert.EqualValues(t, 300, report.Requests)
	assert.EqualValues(t, 100, report.Quota)
	assert.Positive(t, report.Latency.P50)
	assert.GreaterOrEqual(t, report.Latency.Max, report.Latency.P99)
	assert.True(t, strings.HasPrefix(report.Campaign, "loadtest-"), report.Campaign)
	require.NoError(t, domain.CheckCampaignCode(report.Campaign))
	assert.Contains(t, out.String(), "100  202 accepted")
	assert.Contains(t, out.String(), "differences  0")
	assert.NotContains(t, out.String(), testToken)
}

func TestAThousandAtATime(t *testing.T) {
	t.Parallel()
	server := newFake()
	var arrived atomic.Int64
	everybody := make(chan struct{})
	server.beforeApply = func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		if arrived.Add(1) == 1000 {
			close(everybody)
		}
		select {
		case <-everybody:
		case <-r.Context().Done():
		}
		return false
	}
	cfg := configFor(server.start(t))
	cfg.Users, cfg.Concurrency, cfg.RequestTimeout = 1500, 1000, time.Minute
	report, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"202 accepted": 100, "409 sold-out": 1400}, report.Answers,
		"nobody is answered before a thousand have applied")
	assert.Empty(t, report.Differences)
}

func TestAnExistingCampaignKeepsItsQuotaAndItsEarlierCoupons(t *testing.T) {
	t.Parallel()
	server := newFake()
	server.campaigns["welcome"] = 20
	cfg := configFor(server.start(t))
	cfg.Campaign, cfg.Users = "welcome", 15
	first, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.NoError(t, err)
	require.Empty(t, first.Differences)

	cfg.FirstUserID = 11
	second, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.NoError(t, err)
	assert.Empty(t, second.Differences)
	assert.EqualValues(t, 20, second.Quota)
	assert.Equal(t, 20, second.Issued)
	assert.Equal(t, map[string]int{"200 accepted": 5, "202 accepted": 5, "409 sold-out": 5}, second.Answers)
}

func TestLoadGoesToLoopbackUnlessRemoteIsAllowed(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"http://192.0.2.1:8080", "https://shop.example", "http://127.0.0.1.example:8080", "http://[2001:db8::1]:80",
	} {
		_, err := Run(t.Context(), Config{BaseURL: url}, &bytes.Buffer{})
		require.ErrorContains(t, err, "not this machine", url)
		require.NoError(t, checkBaseURL(url, true), url)
	}
	for _, url := range []string{"http://127.0.0.1:8080", "http://localhost", "https://[::1]:8443", "http://127.9.9.9"} {
		require.NoError(t, checkBaseURL(url, false), url)
	}
}

func TestTheTokenDoesNotFollowARedirect(t *testing.T) {
	t.Parallel()
	elsewhere := newFake()
	elsewhereURL := elsewhere.start(t)
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhereURL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(redirect.Close)
	_, err := Run(t.Context(), configFor(redirect.URL), &bytes.Buffer{})
	require.ErrorContains(t, err, "307")
	assert.Empty(t, elsewhere.campaigns)
}

func TestARunLeavesNoConnectionOpen(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	server := httptest.NewUnstartedServer(newFake().handler())
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	_, err := Run(t.Context(), configFor(server.URL), &bytes.Buffer{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return open.Load() == 0 }, 10*time.Second, time.Millisecond)
}

func TestTheSeedDecidesTheOrder(t *testing.T) {
	cfg := Config{Users: 1000, FirstUserID: 5, Seed: 42}
	order := shuffledUsers(cfg)
	assert.Equal(t, order, shuffledUsers(cfg))
	cfg.Seed = 43
	assert.NotEqual(t, order, shuffledUsers(cfg))
	slices.Sort(order)
	assert.Equal(t, domain.UserID(5), order[0])
	assert.Len(t, slices.Compact(order), 1000, "every user applies once")
}

func TestProgressIsShownInLinesWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()
	cfg := configFor(newFake().start(t))
	cfg.Progress = true
	var out bytes.Buffer
	_, err := Run(t.Context(), cfg, &out)
	require.NoError(t, err)
	assert.Contains(t, out.String(), "300 of 300 users answered  ")
	assert.NotContains(t, out.String(), "\r", "a bar would fill a log with control characters")
}

func TestACampaignThatIsMistypedIsNotMade(t *testing.T) {
	t.Parallel()
	server := newFake()
	cfg := configFor(server.start(t))
	cfg.Campaign = "nosuch"
	_, err := Run(t.Context(), cfg, &bytes.Buffer{})
	require.ErrorContains(t, err, "there is no campaign nosuch at "+cfg.BaseURL)
	server.mutex.Lock()
	defer server.mutex.Unlock()
	require.NotContains(t, server.campaigns, "nosuch")
}
