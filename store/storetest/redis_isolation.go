//go:build realservers

package storetest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// Near is a user of each server of a set, and Far another one; their passwords are their names. A server that is isolated
// answers Near alone: it is cut off from all other servers, and from those who use Far.
const Near = "near"

// Far is the user that an isolated server does not answer.
const Far = "far"

// users are the settings that make a server know Near and Far.
func users() []string {
	var settings []string
	for _, name := range []string{Near, Far} {
		settings = append(settings, "--user", name, "on", ">"+name, "~*", "&*", "+@all")
	}
	return settings
}

// Isolate cuts a node off from all other nodes, and from anybody who uses Far.
func (c *RedisCluster) Isolate(t *testing.T, node *RedisServer) {
	t.Helper()
	c.bus.cutOff(busCaller(slices.Index(c.Nodes, node)))
	node.answerNearOnly(t)
}

// Join ends Isolate.
func (c *RedisCluster) Join(t *testing.T, node *RedisServer) {
	t.Helper()
	node.answerAll(t)
	c.bus.mend()
}

// Isolate cuts a server off from all others, from the sentinels, and from anybody who uses Far.
func (s *RedisSentinels) Isolate(t *testing.T, server *RedisServer) {
	t.Helper()
	server.answerNearOnly(t)
}

// Join ends Isolate.
func (s *RedisSentinels) Join(t *testing.T, server *RedisServer) {
	t.Helper()
	server.answerAll(t)
}

// Without a name a caller is the user "default": so are other servers, sentinels, and Ask.
func (s *RedisServer) answerNearOnly(t *testing.T) {
	t.Helper()
	s.asNear(t, "ACL SETUSER default off", "ACL SETUSER "+Far+" off",
		"CLIENT KILL USER default", "CLIENT KILL USER "+Far, "CLIENT KILL TYPE replica")
}

func (s *RedisServer) answerAll(t *testing.T) {
	t.Helper()
	s.asNear(t, "ACL SETUSER default on", "ACL SETUSER "+Far+" on")
}

func (s *RedisServer) asNear(t *testing.T, commands ...string) {
	t.Helper()
	s.with(t, &redis.Options{Username: Near, Password: Near}, func(client *redis.Client) {
		for _, command := range commands {
			require.NoError(t, say(t.Context(), client, command).Err(), command)
		}
	})
}

func (s *RedisServer) with(t *testing.T, options *redis.Options, use func(*redis.Client)) {
	t.Helper()
	options.Addr = s.Addr
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	use(client)
}

func say(ctx context.Context, client interface {
	Do(context.Context, ...any) *redis.Cmd
}, command string) *redis.Cmd {
	words := strings.Fields(command)
	args := make([]any, len(words))
	for i, word := range words {
		args[i] = word
	}
	return client.Do(ctx, args...)
}

// noMaster is what a master says that has heard of the move, and has become a replica because it has no slots left.
const noMaster = "ERR Please use SETSLOT only with masters."

// MoveSlot gives the slot of a key, and the keys in it, to another master, step by step as redis-cli does.
func (c *RedisCluster) MoveSlot(t *testing.T, key string, from, to *RedisServer) {
	t.Helper()
	slot, source, target := from.Ask("CLUSTER KEYSLOT "+key), from.Ask("CLUSTER MYID"), to.Ask("CLUSTER MYID")
	to.mustSay(t, "CLUSTER SETSLOT "+slot+" IMPORTING "+source)
	from.mustSay(t, "CLUSTER SETSLOT "+slot+" MIGRATING "+target)
	host, port, _ := strings.Cut(to.Addr, ":")
	from.with(t, &redis.Options{}, func(client *redis.Client) {
		number, err := strconv.Atoi(slot)
		require.NoError(t, err)
		for {
			keys, err := client.ClusterGetKeysInSlot(t.Context(), number, 1).Result()
			require.NoError(t, err)
			if len(keys) == 0 {
				return
			}
			require.NoError(t, say(t.Context(), client, "MIGRATE "+host+" "+port+" "+keys[0]+" 0 5000").Err())
		}
	})
	// The new master first: it must know that the slot is its own before anybody is sent there.
	for _, node := range append([]*RedisServer{to, from}, c.Nodes...) {
		if node.IsRunning() && node.IsMaster() {
			require.Contains(t, []string{"OK", noMaster}, node.Ask("CLUSTER SETSLOT "+slot+" NODE "+target))
		}
	}
}

// MoveAll gives all slots of a master to another one, that of the key last: the others must hold no keys.
func (c *RedisCluster) MoveAll(t *testing.T, key string, from, to *RedisServer) {
	t.Helper()
	kept, target := from.Ask("CLUSTER KEYSLOT "+key), to.Ask("CLUSTER MYID")
	require.NotEmpty(t, to.Ask("CLUSTER BUMPEPOCH"))
	slots := c.slotsOf(t, from)
	for _, node := range []*RedisServer{from, to} {
		node.with(t, &redis.Options{}, func(client *redis.Client) {
			_, err := client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
				for _, slot := range slots {
					if slot != kept {
						say(t.Context(), pipe, "CLUSTER SETSLOT "+slot+" NODE "+target)
					}
				}
				return nil
			})
			require.NoError(t, err)
		})
	}
	c.MoveSlot(t, key, from, to)
}

// slotsOf lists the slots of a master.
func (c *RedisCluster) slotsOf(t *testing.T, master *RedisServer) (slots []string) {
	t.Helper()
	master.with(t, &redis.Options{}, func(client *redis.Client) {
		ranges := redis.NewClusterSlotsCmd(t.Context(), "cluster", "slots")
		require.NoError(t, client.Process(t.Context(), ranges))
		for _, one := range ranges.Val() {
			for slot := one.Start; one.Nodes[0].Addr == master.Addr && slot <= one.End; slot++ {
				slots = append(slots, strconv.Itoa(slot))
			}
		}
	})
	return slots
}
