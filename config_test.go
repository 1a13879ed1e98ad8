package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/consumer"
	"firstcome/retryer"
)

// flagsOf parses arguments as a command would.
func flagsOf(t *testing.T, arguments ...string) *cobra.Command {
	t.Helper()
	command := configured("test", "", nil)
	require.NoError(t, command.ParseFlags(arguments))
	return command
}

func TestAFlagWinsOverTheEnvironment(t *testing.T) {
	config, unknown, err := loadConfig(
		[]string{"FIRSTCOME_HTTP_ADDR=127.0.0.1:1", "FIRSTCOME_LINGER=30ms", "FIRSTCOME_REDIS_ADDRS=a:1,b:2", "HOME=/"},
		flagsOf(t, "--http-addr", "127.0.0.1:2", "--batch-size=7").Flags())
	require.NoError(t, err)
	assert.Empty(t, unknown)
	assert.Equal(t, "127.0.0.1:2", config.HTTPAddr)
	assert.Equal(t, 7, config.BatchSize)
	assert.Equal(t, 30*time.Millisecond, config.Linger)
	assert.Equal(t, []string{"a:1", "b:2"}, config.RedisAddrs)
	assert.Equal(t, "welcome", config.DefaultCampaign)
}

func TestAVariableThatMeansNothingIsReported(t *testing.T) {
	_, unknown, err := loadConfig([]string{"FIRSTCOME_HTTP_ADR=x", "FIRSTCOME_TEST_REDIS_ADDRS=y"}, flagsOf(t).Flags())
	require.NoError(t, err)
	assert.Equal(t, []string{"FIRSTCOME_HTTP_ADR"}, unknown)
}

func TestAWrongValueIsRefusedByItsName(t *testing.T) {
	for variable, value := range map[string]string{
		"FIRSTCOME_ROLES": "api,cashier", "FIRSTCOME_BATCH_SIZE": "0", "FIRSTCOME_ROWS_PER_SECOND": "-1",
		"FIRSTCOME_DEFAULT_CAMPAIGN": "No Code", "FIRSTCOME_LOG_LEVEL": "loud", "FIRSTCOME_REDIS_TIMEOUT": "1ms",
		"FIRSTCOME_KAFKA_PARTITIONS": "0", "FIRSTCOME_LOG_FORMAT": "xml", "FIRSTCOME_MAX_ATTEMPTS": "0",
		"FIRSTCOME_RELAY_AFTER": "0s", "FIRSTCOME_BACKOFF_MAX": "1ms", "FIRSTCOME_KAFKA_MECHANISM": "MAGIC",
	} {
		_, _, err := loadConfig([]string{variable + "=" + value}, flagsOf(t).Flags())
		var usage usageError
		require.ErrorAs(t, err, &usage, variable)
		assert.Contains(t, err.Error(), variable)
	}
	_, _, err := loadConfig([]string{"FIRSTCOME_LINGER=soon"}, flagsOf(t).Flags())
	require.Error(t, err)
	assert.Contains(t, err.Error(), "FIRSTCOME_LINGER: ")
}

func TestNoSecretIsPrinted(t *testing.T) {
	config, _, err := loadConfig([]string{
		"FIRSTCOME_ADMIN_TOKEN=secret-1", "FIRSTCOME_MYSQL_DSN=root:secret-2@tcp(db)/x",
		"FIRSTCOME_REDIS_PASSWORD=secret-3", "FIRSTCOME_KAFKA_PASSWORD=secret-4",
	}, flagsOf(t).Flags())
	require.NoError(t, err)
	var printed bytes.Buffer
	config.print(&printed)
	assert.NotContains(t, printed.String(), "secret-")
	assert.Contains(t, printed.String(), "FIRSTCOME_ADMIN_TOKEN=(hidden)")
	assert.Contains(t, printed.String(), "FIRSTCOME_DEFAULT_CAMPAIGN=welcome")
}

func FuzzLoadConfig(f *testing.F) {
	f.Add("FIRSTCOME_LINGER", "20ms")
	f.Add("FIRSTCOME_ROLES", ",,")
	f.Add("FIRSTCOME_KAFKA_PARTITIONS", "99999999999")
	f.Fuzz(func(t *testing.T, name, value string) {
		config, _, err := loadConfig([]string{name + "=" + value}, flagsOf(t).Flags())
		if err == nil && (config.BatchSize < 1 || config.KafkaPartitions < 1 || config.ShutdownTimeout <= 0) {
			t.Fatalf("%s=%q gives a configuration that can't be run: %+v", name, value, config)
		}
	})
}

func TestEachSettingHasOneDefault(t *testing.T) {
	config, _, err := loadConfig(nil, flagsOf(t).Flags())
	require.NoError(t, err)
	p := &program{config: config}
	assert.Equal(t, consumer.Defaults().Linger, p.consumerConfig().Linger)
	assert.Equal(t, consumer.Defaults().BatchSize, p.consumerConfig().BatchSize)
	own, given := retryer.Defaults(), p.retryerConfig()
	assert.Equal(t, own.MaxAttempts, given.MaxAttempts)
	for name, pair := range map[string][2]time.Duration{
		"BACKOFF_MIN": {own.BackoffMin, given.BackoffMin}, "BACKOFF_MAX": {own.BackoffMax, given.BackoffMax},
		"RELAY_AFTER": {own.RelayAfter, given.RelayAfter}, "AUDIT_EVERY": {own.AuditEvery, given.AuditEvery},
		"AUDIT_WAIT": {own.AuditWait, given.AuditWait}, "VERIFY_EVERY": {own.VerifyEvery, given.VerifyEvery},
	} {
		assert.Equal(t, pair[0], pair[1], name)
	}
}

func TestALingerOfNothingIsNoWaitAndNotTheDefault(t *testing.T) {
	p := &program{config: Config{Linger: 0}}
	assert.Less(t, p.consumerConfig().Linger, time.Millisecond)
	assert.Positive(t, p.consumerConfig().Linger)
}
