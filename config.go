package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"firstcome/api"
	"firstcome/domain"
)

// envPrefix stands before the name of every variable that we read.
const envPrefix = "FIRSTCOME_"

// Config is everything that can be set from outside. Each field is an environment variable (the prefix and the
// name in its env tag) and a flag (the same name in lower case with hyphens); a flag wins over the variable.
// Durations are written with their unit: 300ms, 3s, 168h. Lists are separated by commas.
type Config struct {
	HTTPAddr    string   `env:"HTTP_ADDR" help:"address to listen on, host:port"`
	DataDir     string   `env:"DATA_DIR" envDefault:"data" help:"folder of dev's data"`
	AdminToken  string   `env:"ADMIN_TOKEN" secret:"true" help:"bearer token of the operators' calls"`
	ConsoleKey  string   `env:"CONSOLE_KEY" secret:"true" help:"signs the console's sessions; the same for all processes behind one address"`
	AdminTokens []string `env:"ADMIN_TOKENS" secret:"true" help:"operators' own tokens, as lines that 'firstcome token create' prints"`
	Roles       []string `env:"ROLES" envDefault:"api,consumer,retryer" help:"what serve runs in this process"`
	LogLevel    string   `env:"LOG_LEVEL" envDefault:"info" help:"debug, info, warn or error"`
	LogFormat   string   `env:"LOG_FORMAT" envDefault:"text" help:"text or json"`

	ProfileAddr string `env:"PROFILE_ADDR" help:"address for Go's profiler, host:port; none unless set, and never one that others reach"`

	RedisAddrs            []string      `env:"REDIS_ADDRS" help:"one address, or several nodes of a Redis Cluster, or Redis Sentinels"`
	RedisUsername         string        `env:"REDIS_USERNAME" help:"user name at Redis"`
	RedisPassword         string        `env:"REDIS_PASSWORD" secret:"true" help:"password at Redis"`
	RedisKeyPrefix        string        `env:"REDIS_KEY_PREFIX" help:"stands before the names of all keys, so that several installations can share a Redis"`
	RedisSentinelMaster   string        `env:"REDIS_SENTINEL_MASTER" help:"name of the primary at the Redis Sentinels whose addresses REDIS_ADDRS holds"`
	RedisSentinelUsername string        `env:"REDIS_SENTINEL_USERNAME" help:"user name at the Redis Sentinels"`
	RedisSentinelPassword string        `env:"REDIS_SENTINEL_PASSWORD" secret:"true" help:"password at the Redis Sentinels"`
	RedisTLS              bool          `env:"REDIS_TLS" help:"connect to Redis by TLS"`
	RedisTimeout          time.Duration `env:"REDIS_TIMEOUT" envDefault:"300ms" help:"how long one call to Redis may take"`
	RedisWaitReplicas     int           `env:"REDIS_WAIT_REPLICAS" help:"replicas that must have an admission before it is answered"`

	KafkaBrokers           []string      `env:"KAFKA_BROKERS" help:"addresses to find the cluster by"`
	KafkaTopic             string        `env:"KAFKA_TOPIC" envDefault:"coupon_create" help:"topic of the winners"`
	KafkaGroup             string        `env:"KAFKA_GROUP" envDefault:"group_1" help:"consumer group"`
	KafkaPartitions        int32         `env:"KAFKA_PARTITIONS" envDefault:"8" help:"partitions of the topic when it is created"`
	KafkaReplicationFactor int16         `env:"KAFKA_REPLICATION_FACTOR" envDefault:"-1" help:"copies of the topic when it is created; -1 leaves it to the brokers"`
	KafkaMinInSyncReplicas int           `env:"KAFKA_MIN_INSYNC_REPLICAS" help:"copies that must have a record before it is acknowledged, when the topic is created; 2 where there are 3 or more unless set"`
	KafkaRetention         time.Duration `env:"KAFKA_RETENTION" envDefault:"168h" help:"how long the topic keeps records, when it is created"`
	KafkaUsername          string        `env:"KAFKA_USERNAME" help:"user name at Kafka (SASL)"`
	KafkaPassword          string        `env:"KAFKA_PASSWORD" secret:"true" help:"password at Kafka (SASL)"`
	KafkaMechanism         string        `env:"KAFKA_MECHANISM" envDefault:"PLAIN" help:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"`
	KafkaTLS               bool          `env:"KAFKA_TLS" help:"connect to Kafka by TLS"`

	MySQLDSN            string        `env:"MYSQL_DSN" secret:"true" help:"user:password@tcp(host:port)/database of MySQL 8 or MariaDB 10.11"`
	MySQLMaxConnections int           `env:"MYSQL_MAX_CONNECTIONS" envDefault:"16" help:"connections of this process to the database"`
	MySQLTimeout        time.Duration `env:"MYSQL_TIMEOUT" envDefault:"5s" help:"how long one call to the database may take"`

	DefaultCampaign string        `env:"DEFAULT_CAMPAIGN" envDefault:"welcome" help:"campaign of /apply-coupon and of records without a campaign"`
	ProduceTimeout  time.Duration `env:"PRODUCE_TIMEOUT" envDefault:"3s" help:"how long an answer waits for Kafka before it is 'reserved'"`
	RefusalMemory   int           `env:"REFUSAL_MEMORY_MIB" envDefault:"64" help:"memory for refusals without Redis, in MiB; 8 bytes a winner of the campaigns most asked for"`
	CORSOrigins     []string      `env:"CORS_ORIGINS" help:"web origins that may call the API, or *"`
	TrustedProxies  []string      `env:"TRUSTED_PROXIES" help:"proxies whose X-Forwarded-For is believed"`

	RowsPerSecond domain.Rate   `env:"ROWS_PER_SECOND" envDefault:"5000" help:"rows stored a second, all consumers together; 0 sets no limit, auto follows the database"`
	BatchSize     int           `env:"BATCH_SIZE" envDefault:"500" help:"rows of one insert at the most"`
	Linger        time.Duration `env:"LINGER" envDefault:"20ms" help:"how long a batch waits to be filled"`

	MaxAttempts int           `env:"MAX_ATTEMPTS" envDefault:"10" help:"tries at a fail event before it is DEAD"`
	BackoffMin  time.Duration `env:"BACKOFF_MIN" envDefault:"1s" help:"wait before the second try"`
	BackoffMax  time.Duration `env:"BACKOFF_MAX" envDefault:"5m" help:"longest wait between two tries"`
	RelayAfter  time.Duration `env:"RELAY_AFTER" envDefault:"2s" help:"age at which an unconfirmed winner is sent to Kafka again"`
	AuditEvery  time.Duration `env:"AUDIT_EVERY" envDefault:"1h" help:"how often a retryer compares Redis, Kafka and the database"`
	AuditWait   time.Duration `env:"AUDIT_WAIT" envDefault:"1s" help:"how long an audit waits before it looks again at what seems wrong"`

	VerifyEvery time.Duration `env:"VERIFY_EVERY" envDefault:"2s" help:"how often a retryer looks whether the database server is another one or was restarted"`

	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"15s" help:"how long finishing may take after SIGTERM"`

	// tokens are AdminTokens, read.
	tokens []api.OperatorToken
}

// field is one setting as the flags, the printed configuration and the checks see it.
type field struct {
	name, help string
	secret     bool
	value      reflect.Value
}

// flag gives the setting's flag: HTTP_ADDR is --http-addr.
func (f field) flag() string { return strings.ReplaceAll(strings.ToLower(f.name), "_", "-") }

func (c *Config) fields() []field {
	structure := reflect.ValueOf(c).Elem()
	fields := make([]field, 0, structure.NumField())
	for i := range structure.NumField() {
		tag := structure.Type().Field(i).Tag
		if tag.Get("env") == "" {
			continue
		}
		fields = append(fields, field{
			name: tag.Get("env"), help: tag.Get("help"), secret: tag.Get("secret") == "true", value: structure.Field(i),
		})
	}
	return fields
}

// addFlags gives a command one flag for each setting.
func addFlags(command *cobra.Command) {
	for _, f := range new(Config).fields() {
		command.Flags().String(f.flag(), "", f.help+" ("+envPrefix+f.name+")")
	}
}

// loadConfig reads the environment, lets the flags win, and says which variables of ours it doesn't know.
func loadConfig(environment []string, flags *pflag.FlagSet) (Config, []string, error) {
	var config Config
	variables := map[string]string{}
	for _, entry := range environment {
		if name, value, found := strings.Cut(entry, "="); found && strings.HasPrefix(name, envPrefix) && value != "" {
			variables[name] = value
		}
	}
	unknown := unknownVariables(variables, config.fields())
	for _, f := range config.fields() {
		if given := flags.Lookup(f.flag()); given != nil && given.Changed {
			variables[envPrefix+f.name] = given.Value.String()
		}
	}
	err := env.ParseWithOptions(&config, env.Options{Environment: variables, Prefix: envPrefix})
	if err != nil {
		return config, unknown, usageError{"configuration: " + parseErrorText(err)}
	}
	err = config.check()
	return config, unknown, err
}

// parseErrorText names each variable that can't be read; the library knows the names of our fields only.
func parseErrorText(err error) string {
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return err.Error()
	}
	texts := make([]string, len(all.Errors))
	for i, one := range all.Errors {
		texts[i] = one.Error()
		if wrong, ok := errors.AsType[env.ParseError](one); ok {
			field, _ := reflect.TypeFor[Config]().FieldByName(wrong.Name)
			texts[i] = fmt.Sprintf("%s%s: %v", envPrefix, field.Tag.Get("env"), wrong.Err)
		}
	}
	return strings.Join(texts, "; ")
}

// Variables of our own tests and of docker/servers.sh, which are no settings of the program.
const (
	testPrefix    = envPrefix + "TEST_"
	serversPrefix = envPrefix + "SERVERS"
)

func unknownVariables(variables map[string]string, fields []field) []string {
	var unknown []string
	for name := range variables {
		known := slices.ContainsFunc(fields, func(f field) bool { return envPrefix+f.name == name })
		if !known && !strings.HasPrefix(name, testPrefix) && !strings.HasPrefix(name, serversPrefix) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// check refuses values that no command could use; what a command needs in addition, it asks for with require.
func (c *Config) check() error {
	for _, role := range c.Roles {
		if !slices.Contains([]string{roleAPI, roleConsumer, roleRetryer}, role) {
			return usageError{fmt.Sprintf("%sROLES: %q is no role; choose from api, consumer, retryer", envPrefix, role)}
		}
	}
	if err := domain.CheckCampaignCode(c.DefaultCampaign); err != nil {
		return usageError{fmt.Sprintf("%sDEFAULT_CAMPAIGN: %v", envPrefix, err)}
	}
	var err error
	if c.tokens, err = api.ParseOperatorTokens(c.AdminTokens); err != nil {
		return usageError{fmt.Sprintf("%sADMIN_TOKENS: %v", envPrefix, err)}
	}
	for _, limit := range c.limits() {
		if !limit.within {
			return usageError{fmt.Sprintf("%s%s must be %s", envPrefix, limit.name, limit.want)}
		}
	}
	return nil
}

// limit is what a setting must be, and whether it is.
type limit struct {
	name   string
	within bool
	want   string
}

func (c *Config) limits() []limit {
	return []limit{
		{"BATCH_SIZE", between(c.BatchSize, 1, domain.MaxPage), "1 to 1000"},
		{"REDIS_KEY_PREFIX", len(c.RedisKeyPrefix) <= 64 && !strings.ContainsAny(c.RedisKeyPrefix, "{} "), "up to 64 characters without { } and space"},
		{"KAFKA_PARTITIONS", between(c.KafkaPartitions, 1, 1000), "1 to 1000"},
		{"KAFKA_MIN_INSYNC_REPLICAS", between(c.KafkaMinInSyncReplicas, 0, 100), "0 to 100"},
		{"MYSQL_MAX_CONNECTIONS", between(c.MySQLMaxConnections, 2, 1000), "2 to 1000"},
		{"MAX_ATTEMPTS", between(c.MaxAttempts, 1, 1000), "1 to 1000"},
		{"REDIS_TIMEOUT", between(c.RedisTimeout, 10*time.Millisecond, time.Minute), "10ms to 1m"},
		{"PRODUCE_TIMEOUT", between(c.ProduceTimeout, 1, time.Minute), "above 0 to 1m"},
		{"SHUTDOWN_TIMEOUT", between(c.ShutdownTimeout, 1, 10*time.Minute), "above 0 to 10m"},
		{"REFUSAL_MEMORY_MIB", between(c.RefusalMemory, 1, 1<<20), "1 to 1048576"},
		{"LINGER", between(c.Linger, 0, 5*time.Second), "0 to 5s"},
		{"BACKOFF_MIN", c.BackoffMin > 0, "above 0"},
		{"BACKOFF_MAX", c.BackoffMax >= c.BackoffMin, "at least BACKOFF_MIN"},
		{"RELAY_AFTER", between(c.RelayAfter, time.Millisecond, time.Hour), "1ms to 1h"},
		{"LOG_LEVEL", new(slog.Level).UnmarshalText([]byte(c.LogLevel)) == nil, "debug, info, warn or error"},
		{"LOG_FORMAT", slices.Contains([]string{"text", "json"}, c.LogFormat), "text or json"},
		{"KAFKA_MECHANISM", slices.Contains([]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, c.KafkaMechanism),
			"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
	}
}

func between[T cmp.Ordered](value, lowest, highest T) bool {
	return lowest <= value && value <= highest
}

// require refuses, in one line, a configuration in which one of the named variables is empty.
func (c *Config) require(names ...string) error {
	for _, f := range c.fields() {
		if slices.Contains(names, f.name) && f.value.IsZero() {
			return usageError{fmt.Sprintf("%s%s is not set (%s)", envPrefix, f.name, f.help)}
		}
	}
	return nil
}

// print writes the configuration as it holds, one variable a line, secrets hidden.
func (c *Config) print(out io.Writer) {
	for _, f := range c.fields() {
		value := fmt.Sprint(f.value.Interface())
		if list, isList := f.value.Interface().([]string); isList {
			value = strings.Join(list, ",")
		}
		if f.secret && !f.value.IsZero() {
			value = "(hidden)"
		}
		_, _ = fmt.Fprintf(out, "  %s%s=%s\n", envPrefix, f.name, value)
	}
}

func (c *Config) hasRole(role string) bool { return slices.Contains(c.Roles, role) }

// logger writes to standard error, so that what a command prints can be piped.
func (c *Config) logger() *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // check has parsed it already
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
