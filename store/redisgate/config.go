package redisgate

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config says where Redis is and how long it is waited for. A zero limit means its default.
type Config struct {
	// Addrs holds one host:port for a single server, or several nodes of a Redis Cluster; with SentinelMaster, sentinels.
	Addrs []string
	// SentinelMaster is the name under which the sentinels know the server; empty without sentinels.
	SentinelMaster string
	// SentinelUsername and SentinelPassword are those of the sentinels, which have users of their own.
	SentinelUsername, SentinelPassword string
	// Username and Password are those of an ACL user; both empty for a server without.
	Username, Password string
	TLS                bool
	// KeyPrefix stands before the names of all keys, so that several installations can share a server.
	KeyPrefix string
	// Installation gives the ID of the ledger to which the gates belong, the same each time; nothing is asked of Redis
	// before it is known. Nil leaves the ID out: then gates of any installation are taken for ours.
	Installation func(context.Context) (string, error)
	// CallTimeout bounds one call to Redis, dialling included. Default 300 ms.
	CallTimeout time.Duration
	// WaitReplicas is how many replicas must have a batch of winners before they are answered; 0 asks none.
	WaitReplicas int
	// WaitReplicasTimeout bounds that wait, within CallTimeout. Default half of CallTimeout.
	WaitReplicasTimeout time.Duration
}

const (
	defaultCallTimeout = 300 * time.Millisecond
	// poolSize is per node: a few batches a campaign are under way at most, and lookups come one by one.
	poolSize = 64
	// connectionLifetime and its jitter end connections that lead to a server which an address no longer leads to.
	connectionLifetime       = 30 * time.Second
	connectionLifetimeJitter = 10 * time.Second
)

func (c Config) withDefaults() (Config, error) {
	if len(c.Addrs) == 0 {
		return c, errors.New("the address of Redis is missing")
	}
	if c.CallTimeout <= 0 {
		c.CallTimeout = defaultCallTimeout
	}
	if c.WaitReplicasTimeout <= 0 || c.WaitReplicasTimeout >= c.CallTimeout {
		c.WaitReplicasTimeout = max(c.CallTimeout/2, time.Millisecond)
	}
	return c, nil
}

// options leaves no retry to the client: it would hide from us whether a call that failed had been sent before.
func (c Config) options() *redis.UniversalOptions {
	options := &redis.UniversalOptions{
		Addrs: c.Addrs, Username: c.Username, Password: c.Password, ClientName: "firstcome",
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: c.CallTimeout, ReadTimeout: c.CallTimeout, WriteTimeout: c.CallTimeout, PoolTimeout: c.CallTimeout,
		PoolSize:        poolSize,
		ConnMaxLifetime: connectionLifetime, ConnMaxLifetimeJitter: connectionLifetimeJitter,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if c.TLS {
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return options
}
