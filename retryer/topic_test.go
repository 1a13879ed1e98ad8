package retryer

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestWhenLostWinnersAreSearched(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	var w topicWatch
	assert.False(t, w.mustSearch("a", "a", at(0)), "nothing has changed")
	assert.True(t, w.mustSearch("b", "a", at(1)), "another topic")
	assert.True(t, w.mustSearch("b", "a", at(2)), "the search failed")
	assert.False(t, w.searchedNow("b", at(3)), "somebody may have been about to be acknowledged")
	assert.False(t, w.mustSearch("b", "a", at(4)))
	assert.True(t, w.mustSearch("b", "a", at(23)))
	assert.True(t, w.searchedNow("b", at(24)), "it is noted")
	assert.False(t, w.mustSearch("b", "b", at(25)))

	w.see([]string{"the log is shorter"})
	assert.True(t, w.mustSearch("b", "b", at(30)), "a loss is told once")
	assert.False(t, w.searchedNow("b", at(31)))
	assert.True(t, w.mustSearch("c", "b", at(32)), "and another topic at once")
	assert.False(t, w.searchedNow("c", at(33)))
	assert.True(t, w.mustSearch("c", "b", at(53)))
	assert.True(t, w.searchedNow("c", at(53)))
	assert.False(t, w.mustSearch("c", "c", at(54)))
}

// topicOf is a topic of an identity, and the settings of a ledger that may be away. It tells losses once.
type topicOf struct {
	identity string
	losses   []string
	noted    string
	away     bool
	searches int
}

func (s *topicOf) TopicState(context.Context) (domain.TopicState, error) {
	losses := s.losses
	s.losses = nil
	return domain.TopicState{Identity: s.identity, Losses: losses}, nil
}

func (s *topicOf) Setting(context.Context, string) (string, error) {
	if s.away {
		return "", errAway
	}
	return s.noted, nil
}

func (s *topicOf) SetSetting(_ context.Context, _, value, _ string) error {
	s.noted = value
	return nil
}

func TestATopicThatWasMadeAnewIsNotedOnceLostWinnersWereSearchedTwice(t *testing.T) {
	t.Parallel()
	w := newWorld()
	topic := &topicOf{identity: "a"}
	ports := w.ports()
	ports.Topic = TopicPorts{Watcher: topic, Settings: topic}
	r, err := New(Config{}, ports, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	assert.NoError(t, err)
	run := func() {
		assert.NoError(t, r.topicOnce(t.Context()))
		topic.searches = w.calls["campaigns"]
	}
	run()
	assert.Equal(t, "a", topic.noted, "the first time there is nothing to compare with")
	assert.Zero(t, topic.searches)
	topic.identity = "b"
	run()
	run()
	assert.Equal(t, 1, topic.searches, "the second search comes later")
	assert.Equal(t, "a", topic.noted, "a crash here begins again")
	r.topic.searched = time.Now().Add(-searchAgainAfter)
	run()
	assert.Equal(t, 2, topic.searches)
	assert.Equal(t, "b", topic.noted)
	run()
	assert.Equal(t, 2, topic.searches)
}

// TestALossThatIsToldAtABadMomentIsSearchedForLater: it is told once, so whatever fails must not forget it.
func TestALossThatIsToldAtABadMomentIsSearchedForLater(t *testing.T) {
	t.Parallel()
	for name, topic := range map[string]*topicOf{
		"the ledger is away":         {identity: "a", noted: "a", away: true},
		"no identity is noted yet":   {identity: "a"},
		"the topic is another one":   {identity: "b", noted: "a", away: true},
		"nothing else is in the way": {identity: "a", noted: "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			ports := w.ports()
			ports.Topic = TopicPorts{Watcher: topic, Settings: topic}
			r, err := New(Config{}, ports, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			topic.losses = []string{"partition 0 lost its end"}
			err = r.topicOnce(t.Context())
			assert.Equal(t, topic.away, err != nil)
			topic.away = false
			for range 3 {
				require.NoError(t, r.topicOnce(t.Context()))
			}
			assert.Equal(t, 1, w.calls["campaigns"], "the second search comes later")
			r.topic.searched = time.Now().Add(-searchAgainAfter)
			for range 3 {
				require.NoError(t, r.topicOnce(t.Context()))
			}
			assert.Equal(t, 2, w.calls["campaigns"])
		})
	}
}

// TestAComparisonThatFailsIsPutOffForLongerEachTime, up to a bound, and begins anew once one did not fail.
func TestAComparisonThatFailsIsPutOffForLongerEachTime(t *testing.T) {
	t.Parallel()
	var p pacing
	assert.True(t, p.isDue(start))
	waits := []time.Duration{}
	for range 8 {
		p.ended(assert.AnError, start)
		assert.False(t, p.isDue(start.Add(p.wait-1)))
		assert.True(t, p.isDue(start.Add(p.wait)))
		waits = append(waits, p.wait)
	}
	assert.Equal(t, []time.Duration{
		10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 320 * time.Second,
		10 * time.Minute, 10 * time.Minute,
	}, waits)
	p.ended(nil, start)
	assert.True(t, p.isDue(start))
}

// TestAWinnerWhoIsStillLostMakesAComparisonFail: the topic's identity and the database's run are noted only afterwards.
func TestAWinnerWhoIsStillLostMakesAComparisonFail(t *testing.T) {
	t.Parallel()
	r, err := New(Config{}, newWorld().ports(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	assert.NoError(t, err)
	result := func(kind domain.AuditKind) domain.AuditResult {
		return domain.AuditResult{Differences: []domain.AuditDifference{{Kind: kind}}, DifferencesTotal: 1}
	}
	assert.Equal(t, domain.CodeConflict, domain.CodeOf(r.mended(result(domain.AuditWinnerLost))))
	assert.NoError(t, r.mended(result(domain.AuditRowsOverQuota)), "only a person can decide about it")
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(r.mended(domain.AuditResult{Error: "the gate moved"})))
	assert.NoError(t, r.mended(domain.AuditResult{}))
}
