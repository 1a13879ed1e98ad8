package kafkaqueue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"firstcome/domain"
)

// describeTopic gives the topic's partitions and the settings that were stated when it was made.
func describeTopic(t *testing.T, cfg Config) sarama.TopicDetail {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, sarama.NewConfig())
	require.NoError(t, err)
	defer admin.Close()
	topics, err := admin.ListTopics()
	require.NoError(t, err)
	require.Contains(t, topics, cfg.Topic)
	return topics[cfg.Topic]
}

func testTopicIsMadeAsStated(t *testing.T, brokers ...string) {
	t.Helper()
	cfg := newConfig(brokers...)
	cfg.Partitions, cfg.Retention, cfg.ReplicationFactor = 3, 36*time.Hour, 1
	require.NoError(t, EnsureTopic(t.Context(), cfg))
	made := describeTopic(t, cfg)
	assert.Equal(t, int32(3), made.NumPartitions)
	require.Contains(t, made.ConfigEntries, "retention.ms")
	assert.Equal(t, "129600000", *made.ConfigEntries["retention.ms"])

	require.NoError(t, EnsureTopic(t.Context(), cfg), "doing it again is harmless")
	cfg.Partitions, cfg.Retention = 6, time.Hour
	err := EnsureTopic(t.Context(), cfg)
	require.Equal(t, domain.CodeConflict, domain.CodeOf(err))
	assert.Equal(t, made, describeTopic(t, cfg), "an existing topic is never changed")
}

func TestTopicIsMadeAsStated(t *testing.T) {
	t.Parallel()
	testTopicIsMadeAsStated(t, startKafka(t).Addr())
}

func TestEnsureTopicWaitsForKafka(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	cfg := newConfig(address)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Equal(t, domain.CodeUnavailable, domain.CodeOf(EnsureTopic(ctx, cfg)))
	made := make(chan error, 1)
	go func() { made <- EnsureTopic(t.Context(), cfg) }()
	startKafkaAt(t, "", address)
	require.NoError(t, <-made)
}

func TestConfigurationErrorsAreNamed(t *testing.T) {
	t.Parallel()
	good := newConfig("127.0.0.1:1")
	for name, spoil := range map[string]func(*Config){
		"no broker":         func(c *Config) { c.Brokers = nil },
		"partitions":        func(c *Config) { c.Partitions = -1 },
		"in-flight limit":   func(c *Config) { c.MaxInFlight = -1 },
		"timeout":           func(c *Config) { c.PublishTimeout = -1 },
		"retention":         func(c *Config) { c.Retention = 1 },
		"unknown mechanism": func(c *Config) { c.Username, c.Password, c.Mechanism = "u", "p", "SCRAM-MD5" },
		"no password":       func(c *Config) { c.Username = "u" },
	} {
		cfg := good
		spoil(&cfg)
		_, err := OpenPublisher(cfg, prometheus.NewRegistry(), testLogger(t))
		assert.Equal(t, domain.CodeInvalidRequest, domain.CodeOf(err), name)
		_, err = OpenSource(cfg, prometheus.NewRegistry(), testLogger(t))
		assert.Equal(t, domain.CodeInvalidRequest, domain.CodeOf(err), name)
		_, err = OpenTail(cfg, testLogger(t))
		assert.Equal(t, domain.CodeInvalidRequest, domain.CodeOf(err), name)
		assert.Equal(t, domain.CodeInvalidRequest, domain.CodeOf(EnsureTopic(t.Context(), cfg)), name)
	}
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	cfg := newConfig(freeAddress(t))
	first, err := OpenSource(cfg, registry, testLogger(t))
	require.NoError(t, err)
	_, err = OpenSource(cfg, registry, testLogger(t))
	require.Error(t, err)
	_ = first.Close()
	second, err := OpenSource(cfg, registry, testLogger(t))
	require.NoError(t, err, "Close gives the names back")
	_ = second.Close()
}

func TestLoginBySASL(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		superuser := mechanism
		if mechanism == "" {
			superuser = "PLAIN"
		}
		t.Run(superuser, func(t *testing.T) {
			t.Parallel()
			kafka := startFaultyKafka(t, kfake.EnableSASL(), kfake.Superuser(superuser, "first,come=", "secret"))
			cfg := newConfig(kafka.addr)
			cfg.Username, cfg.Password, cfg.Mechanism = "first,come=", "secret", mechanism
			require.NoError(t, EnsureTopic(t.Context(), cfg))
			require.NoError(t, openPublisher(t, cfg).Publish(t.Context(), winner(1)))
			assert.Equal(t, []domain.UserID{1}, tailUsers(t, cfg))

			cfg.Password = "wrong"
			require.Equal(t, domain.CodeUnavailable, domain.CodeOf(openTail(t, cfg).Ping(t.Context())))
		})
	}
}

func TestAWrongPasswordIsToldFromAnOutage(t *testing.T) {
	t.Parallel()
	denied := fmt.Errorf("connect: %w", sarama.ErrSASLAuthenticationFailed)
	assert.ErrorContains(t, unavailable(denied, "commit"), "denies access")
	assert.NotContains(t, unavailable(sarama.ErrOutOfBrokers, "commit").Error(), "denies access")
}

func TestSCRAMRefusesAServerThatDoesNotKnowThePassword(t *testing.T) {
	t.Parallel()
	client := newSCRAM("SCRAM-SHA-256")()
	require.NoError(t, client.Begin("user", "secret", ""))
	first, err := client.Step("")
	require.NoError(t, err)
	nonce := scramFields(first)["r"]
	_, err = client.Step("r=" + nonce + "more,s=c2FsdA==,i=4096")
	require.NoError(t, err)
	_, err = client.Step("v=" + "bm90IHRoZSBzaWduYXR1cmU=")
	require.Error(t, err)
	for _, challenge := range []string{"", "r=other,s=c2FsdA==,i=4096", "r=" + nonce + ",s=?,i=1", "r=" + nonce + ",s=c2FsdA==,i=99999999"} {
		forged := newSCRAM("SCRAM-SHA-256")()
		require.NoError(t, forged.Begin("user", "secret", ""))
		_, err = forged.Step("")
		require.NoError(t, err)
		_, err = forged.Step(challenge)
		require.Error(t, err, challenge)
	}
}
