package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/loadtest"
	"firstcome/store/kafkaqueue"
)

// environment is a set of servers for one test: embedded ones in "make test", real ones in "make test-real".
type environment struct {
	at     addresses
	config Config
	// outage is how long the tests keep a server away.
	outage time.Duration

	stopKafka, startKafka       func()
	stopDatabase, startDatabase func()
	emptyRedis                  func()
	// refuseUser makes the database refuse every coupon of a user that holds a slot; acceptUser ends that.
	refuseUser, acceptUser func(user int64)
}

const (
	testToken = "token-of-the-tests"
	// patience bounds every wait for something that must happen.
	patience = 60 * time.Second
	tick     = 20 * time.Millisecond
)

// testConfig is the configuration of the tests: retries are quick, so that an event's whole life fits into a test.
func testConfig(t *testing.T, variables ...string) Config {
	t.Helper()
	config, _, err := loadConfig(append([]string{
		"FIRSTCOME_ADMIN_TOKEN=" + testToken, "FIRSTCOME_LOG_LEVEL=error",
		"FIRSTCOME_BACKOFF_MIN=50ms", "FIRSTCOME_BACKOFF_MAX=200ms", "FIRSTCOME_MAX_ATTEMPTS=4",
		"FIRSTCOME_PRODUCE_TIMEOUT=10s", "FIRSTCOME_ROWS_PER_SECOND=0",
		"FIRSTCOME_REDIS_TIMEOUT=2s", // the race detector and a busy machine make everything slower
		"FIRSTCOME_KAFKA_PARTITIONS=4", "FIRSTCOME_KAFKA_REPLICATION_FACTOR=1",
	}, variables...), rootCommand().Flags())
	require.NoError(t, err)
	return config
}

// system is a running firstcome.
type system struct {
	t       *testing.T
	env     *environment
	baseURL string
	stop    func()
}

// start runs a program with all roles on the environment's servers, with its tables, topic and default campaign.
func (env *environment) start(t *testing.T) *system {
	t.Helper()
	p, err := newProgram(env.config, env.at)
	require.NoError(t, err)
	require.NoError(t, p.stores.ledger.Migrate(t.Context()))
	require.NoError(t, kafkaqueue.EnsureTopic(t.Context(), env.config.kafkaConfig(env.at)))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, listener) }()
	s := &system{t: t, env: env, baseURL: "http://" + listener.Addr().String()}
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(t, <-ended)
	}
	t.Cleanup(s.stop)
	return s
}

// answer is what one call gave back.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) text(field string) string { value, _ := a.body[field].(string); return value }
func (a answer) number(field string) int64 {
	value, _ := a.body[field].(float64)
	return int64(value)
}

// problem gives the code at the end of a problem's type.
func (a answer) problem() string {
	kind := a.text("type")
	return kind[strings.LastIndexAny(kind, ":/")+1:]
}

// call sends one request; err tells of a connection that failed.
func (s *system) call(method, path string, body any) (answer, error) {
	var content []byte
	if body != nil {
		content, _ = json.Marshal(body)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.baseURL+path, bytes.NewReader(content))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+testToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	got := answer{status: response.StatusCode, header: response.Header}
	_ = json.Unmarshal(read, &got.body)
	return got, nil
}

// must is call for a connection that must hold.
func (s *system) must(method, path string, body any) answer {
	s.t.Helper()
	got, err := s.call(method, path, body)
	require.NoError(s.t, err)
	return got
}

func (s *system) apply(campaign string, user int64) answer {
	s.t.Helper()
	return s.must(http.MethodPost, "/v1/campaigns/"+campaign+"/apply", map[string]any{"user_id": user})
}

// newCampaign creates a campaign and waits until its gate is open.
func (s *system) newCampaign(code string, quota int64) string {
	s.t.Helper()
	created := s.must(http.MethodPost, "/v1/admin/campaigns", map[string]any{
		"code": code, "name": code, "quota": quota, "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z",
	})
	require.Equal(s.t, http.StatusCreated, created.status, "%v", created.body)
	s.eventually("the gate of "+code+" opens", func() bool {
		return s.must(http.MethodGet, "/v1/campaigns/"+code, nil).text("gate") == "open"
	})
	return code
}

func (s *system) eventually(what string, condition func() bool) {
	s.t.Helper()
	require.Eventually(s.t, condition, patience, tick, what)
}

// figuresAge is how old the figures of a campaign may be that the api shares among those who ask.
const figuresAge = 600 * time.Millisecond

// settle waits until nothing of the campaign is on its way any more. An answer that may be from before the call does
// not count.
func (s *system) settle(campaign string) {
	s.t.Helper()
	begin := time.Now()
	s.eventually(campaign+" settles", func() bool {
		got, err := s.call(http.MethodGet, "/v1/campaigns/"+campaign, nil)
		settled, _ := got.body["settled"].(bool)
		return err == nil && settled && time.Since(begin) > figuresAge
	})
}

// coupons gives a campaign's rows, slot by user.
func (s *system) coupons(campaign string) map[string]int64 {
	s.t.Helper()
	rows, cursor := map[string]int64{}, ""
	for {
		page := s.must(http.MethodGet, "/v1/admin/coupons?limit=1000&campaign="+campaign+"&cursor="+cursor, nil)
		require.Equal(s.t, http.StatusOK, page.status, "%v", page.body)
		list, _ := page.body["coupons"].([]any)
		for _, item := range list {
			coupon, _ := item.(map[string]any)
			user, _ := coupon["user_id"].(string)
			slot, _ := coupon["slot"].(float64)
			_, twice := rows[user]
			require.False(s.t, twice, "two coupons for user %s", user)
			rows[user] = int64(slot)
		}
		if cursor = page.text("next_cursor"); cursor == "" {
			return rows
		}
	}
}

// requireSlots asserts that the campaign has exactly n rows, with the slots 1..n.
func (s *system) requireSlots(campaign string, n int) {
	s.t.Helper()
	holders := s.issued(campaign)
	require.Len(s.t, holders, n)
	for slot := int64(1); slot <= int64(n); slot++ {
		require.NotEmpty(s.t, holders[slot], "slot %d is nobody's", slot)
	}
}

// failEvents lists a campaign's fail events, newest first; "" lists all.
func (s *system) failEvents(campaign string) []map[string]any {
	s.t.Helper()
	page := s.must(http.MethodGet, "/v1/admin/fail-events?limit=1000&campaign="+campaign, nil)
	require.Equal(s.t, http.StatusOK, page.status, "%v", page.body)
	list, _ := page.body["fail_events"].([]any)
	events := make([]map[string]any, len(list))
	for i, item := range list {
		events[i], _ = item.(map[string]any)
	}
	return events
}

// load applies with users at a concurrency, waits until all is settled and requires that promises and rows agree.
func (s *system) load(config loadtest.Config) loadtest.Report {
	s.t.Helper()
	config.BaseURL, config.AdminToken = s.baseURL, testToken
	config.RequestTimeout, config.SettleTimeout = 20*time.Second, 2*patience
	var printed bytes.Buffer
	report, err := loadtest.Run(s.t.Context(), config, &printed)
	require.NoError(s.t, err, printed.String())
	require.Empty(s.t, report.Differences, printed.String())
	return report
}

// produce puts a record without headers on the topic, as another program would.
func (env *environment) produce(t *testing.T, value []byte) {
	t.Helper()
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.MaxMessageBytes = 4 << 20
	producer, err := sarama.NewSyncProducer(env.at.kafka, config)
	require.NoError(t, err)
	defer func() { _ = producer.Close() }()
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: env.config.KafkaTopic, Value: sarama.ByteEncoder(value)})
	require.NoError(t, err)
}

// uncommitted counts the records of the topic that the consumer group has not committed.
func (env *environment) uncommitted(t *testing.T) int {
	t.Helper()
	tail, err := kafkaqueue.OpenTail(env.config.kafkaConfig(env.at), env.config.logger())
	require.NoError(t, err)
	defer func() { _ = tail.Close() }()
	count := 0
	_, err = tail.ReadTail(t.Context(), nil, func(domain.Delivery) error { count++; return nil })
	require.NoError(t, err)
	return count
}

// pass lets the outage last; its length is the test's input, not a guess at when something is done.
func pass(t *testing.T, outage time.Duration) {
	t.Helper()
	select {
	case <-time.After(outage):
	case <-t.Context().Done():
		t.Fatal("the test ended during an outage")
	}
}

var campaignCounter atomic.Int64

// newCode gives a campaign code that no other test uses.
func newCode(prefix string) string {
	return fmt.Sprintf("%s-%d-%d", prefix, time.Now().UnixMilli(), campaignCounter.Add(1))
}
