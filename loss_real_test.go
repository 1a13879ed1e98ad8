//go:build realservers

package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/store/storetest"
)

// door is an address behind which a test changes the server, as a failover does, or slows down what goes through.
type door struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

func openDoor(t *testing.T, upstream string) *door {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	d := &door{t: t, proxy: toxiproxy.NewProxy(server, t.Name(), freeAddress(t), upstream)}
	require.NoError(t, d.proxy.Start())
	t.Cleanup(d.proxy.Stop)
	return d
}

func (d *door) addr() string { return d.proxy.Listen }

// leadTo breaks the connections that are open; new ones go to another server.
func (d *door) leadTo(upstream string) {
	d.t.Helper()
	d.close()
	d.proxy.Upstream = upstream
	d.open()
}

// close breaks the connections that are open, and lets no others through until open.
func (d *door) close() { d.proxy.Stop() }

func (d *door) open() {
	d.t.Helper()
	require.NoError(d.t, d.proxy.Start())
}

// delay makes every answer late by so many milliseconds.
func (d *door) delay(milliseconds int) {
	d.t.Helper()
	toxic := fmt.Sprintf(`{"name": "late", "type": "latency", "stream": "downstream", "attributes": {"latency": %d}}`, milliseconds)
	_, err := d.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	require.NoError(d.t, err)
}

// epoch gives the epoch of the campaign's row, and whether the gate is open under it.
func (s *system) epoch(campaign string) (epoch int64, open bool) {
	s.t.Helper()
	view := s.must(http.MethodGet, "/v1/admin/campaigns/"+campaign, nil)
	require.Equal(s.t, http.StatusOK, view.status, "%v", view.body)
	gate, _ := view.body["gate"].(map[string]any)
	closed, _ := gate["closed"].(string)
	inGate, _ := gate["epoch"].(float64)
	epoch = view.number("epoch")
	return epoch, gate != nil && closed == "" && int64(inGate) == epoch
}

// lossyRedis is a Redis of the test's own behind a door, and a client that goes through that door.
type lossyRedis struct {
	t      *testing.T
	server *storetest.RedisServer
	door   *door
	client *redis.Client
	// goOn returns once the sale has gone on for a while.
	goOn func()
}

var durable = []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"}

func startLossyRedis(t *testing.T) *lossyRedis {
	t.Helper()
	r := &lossyRedis{t: t, server: storetest.StartRedis(t, durable...)}
	r.door = openDoor(t, r.server.Addr)
	r.client = redis.NewClient(&redis.Options{Addr: r.door.addr()})
	t.Cleanup(func() { _ = r.client.Close() })
	return r
}

func (r *lossyRedis) restartEmpty() {
	r.server.Stop(r.t)
	r.emptyFolder()
	r.server.Start(r.t, durable...)
}

func (r *lossyRedis) emptyFolder() {
	entries, err := os.ReadDir(r.server.Folder)
	require.NoError(r.t, err)
	for _, entry := range entries {
		require.NoError(r.t, os.RemoveAll(filepath.Join(r.server.Folder, entry.Name())))
	}
}

// restartOlder brings back the append-only file as it was before the last applications.
func (r *lossyRedis) restartOlder() {
	older := r.t.TempDir()
	require.NoError(r.t, os.CopyFS(older, os.DirFS(r.server.Folder)))
	r.goOn()
	r.server.Stop(r.t)
	r.emptyFolder()
	require.NoError(r.t, os.CopyFS(r.server.Folder, os.DirFS(older)))
	r.server.Start(r.t, durable...)
}

// restartFromSnapshot brings back a snapshot that lacks the last applications.
func (r *lossyRedis) restartFromSnapshot() {
	require.NoError(r.t, r.client.Save(r.t.Context()).Err())
	r.goOn()
	r.server.Stop(r.t)
	r.server.Start(r.t, "--appendonly", "no")
}

// failOver leads everybody to a replica that lacks the last applications, and ends the primary.
func (r *lossyRedis) failOver() {
	host, port, err := net.SplitHostPort(r.server.Addr)
	require.NoError(r.t, err)
	replica := storetest.StartRedis(r.t, append(durable, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")...)
	client := redis.NewClient(&redis.Options{Addr: replica.Addr})
	defer func() { _ = client.Close() }()
	require.Eventually(r.t, func() bool {
		return strings.Contains(client.Info(r.t.Context(), "replication").Val(), "master_link_status:up")
	}, patience, tick)
	require.NoError(r.t, client.ReplicaOf(r.t.Context(), "NO", "ONE").Err())
	r.goOn()
	r.server.Stop(r.t)
	r.server = replica
	r.door.leadTo(replica.Addr)
}

func (r *lossyRedis) do(command ...any) {
	r.t.Helper()
	require.NoError(r.t, r.client.Do(r.t.Context(), command...).Err(), "%v", command)
}

// replace puts a set in a key's place, in one step.
func (r *lossyRedis) replace(key string) {
	_, err := r.client.TxPipelined(r.t.Context(), func(pipe redis.Pipeliner) error {
		pipe.Del(r.t.Context(), key)
		return pipe.SAdd(r.t.Context(), key, "a set").Err()
	})
	require.NoError(r.t, err)
}

type loss struct {
	name string
	lose func()
}

func (r *lossyRedis) losses(campaign string) []loss {
	key := func(name string) string { return "coupon:{" + campaign + "}:" + name }
	all := []loss{
		{name: "restarted from an older snapshot", lose: r.restartFromSnapshot},
		{name: "restarted empty", lose: r.restartEmpty},
		{name: "restarted from an older append-only file", lose: r.restartOlder},
		{name: "failed over to a replica that lacks the last writes", lose: r.failOver},
		{name: "FLUSHALL", lose: func() { r.do("FLUSHALL") }},
		{name: "epoch set back", lose: func() { r.do("HSET", key("meta"), "epoch", 1) }},
		{name: "another server's run ID", lose: func() { r.do("HSET", key("meta"), "run_id", "0123") }},
		{name: "a sum that is wrong", lose: func() { r.do("HINCRBY", key("meta"), "revoked", 1) }},
		{name: "a field deleted", lose: func() { r.do("HDEL", key("meta"), "quota") }},
		{name: "the count set back", lose: func() { r.do("DECRBY", key("count"), 5) }},
	}
	for _, name := range []string{"meta", "count", "users", "pending"} {
		all = append(all, loss{name: name + " deleted", lose: func() { r.do("DEL", key(name)) }})
	}
	for _, name := range []string{"meta", "count", "users", "free", "pending"} {
		all = append(all, loss{name: name + " of a wrong type", lose: func() { r.replace(key(name)) }})
	}
	return all
}

// Two whole programs run on one Redis while a sale goes on, and the Redis loses what it knew in every way.
func TestAfterEachLossOfRedisTheGateOpensByItselfAndNobodyIsForgotten(t *testing.T) {
	env := newAuditEnvironment(t)
	lossy := startLossyRedis(t)
	env.at.redis = []string{lossy.door.addr()}
	s, other := env.start(t), env.start(t)
	campaign := s.newCampaign(newCode("losses"), 100_000)
	load := startApplicants(s, campaign, 4)
	lossy.goOn = func() {
		before := load.won()
		s.eventually("the sale goes on", func() bool { return load.won() >= before+30 })
	}
	reopened := func(what string, after int64) {
		s.eventually("after "+what+" the gate opens by itself", func() bool {
			epoch, open := s.epoch(campaign)
			return open && epoch > after
		})
	}
	for _, loss := range lossy.losses(campaign) {
		lossy.goOn()
		epoch, _ := s.epoch(campaign)
		refused := load.answered(http.StatusServiceUnavailable)
		loss.lose()
		s.eventually("somebody meets the gate closed after "+loss.name, func() bool {
			return load.answered(http.StatusServiceUnavailable) > refused
		})
		reopened(loss.name, epoch)
	}

	t.Run("a quota nobody set is put right while the gate stays open", func(t *testing.T) {
		meta := "coupon:{" + campaign + "}:meta"
		epoch, _ := s.epoch(campaign)
		lossy.do("HINCRBY", meta, "quota", 100)
		s.eventually("the gate has its row's quota", func() bool {
			return lossy.client.HGet(t.Context(), meta, "quota").Val() == "100000"
		})
		now, open := s.epoch(campaign)
		assert.True(t, open)
		assert.Equal(t, epoch, now)
	})

	lossy.goOn()
	t.Run("out of memory", func(t *testing.T) {
		epoch, _ := s.epoch(campaign)
		refuse := func() {
			refused := load.answered(http.StatusServiceUnavailable)
			s.eventually("applications are refused", func() bool { return load.answered(http.StatusServiceUnavailable) > refused+20 })
		}
		lossy.do("CONFIG", "SET", "maxmemory", "1mb")
		refuse()
		lossy.do("CONFIG", "SET", "maxmemory", "0")
		lossy.goOn()
		now, _ := s.epoch(campaign)
		assert.Equal(t, epoch, now, "nothing was lost, so there is nothing to rebuild")

		lossy.do("CONFIG", "SET", "maxmemory", "1mb")
		lossy.do("FLUSHALL")
		lossy.do("CONFIG", "SET", "maxmemory", "500kb")
		refuse()
		lossy.do("CONFIG", "SET", "maxmemory", "0")
		reopened("a rebuild that found no memory", epoch)
		lossy.goOn()
	})
	other.stop()
	promised := load.stop()
	s.auditWhenAtRest(campaign)
	s.requireIssued(campaign, promised)
	s.deleteFreeSlots(lossy, campaign)
}

// deleteFreeSlots: a slot is free only while nobody applies, so its loss comes after the sale.
func (s *system) deleteFreeSlots(lossy *lossyRedis, campaign string) {
	s.t.Helper()
	free := "coupon:{" + campaign + "}:free"
	s.env.execSQL(s.t, `UPDATE coupon SET revoked_slot = slot, slot = NULL, revoked_at = UTC_TIMESTAMP(6)
		WHERE slot = 7 AND campaign_id = (SELECT id FROM campaign WHERE code = ?)`, campaign)
	s.eventually("slot 7 is free", func() bool { return lossy.client.ZCard(s.t.Context(), free).Val() == 1 })
	epoch, _ := s.epoch(campaign)
	lossy.do("DEL", free)
	s.eventually("the gate opens by itself", func() bool {
		now, open := s.epoch(campaign)
		return open && now > epoch
	})
	var next answer
	s.eventually("somebody new is admitted, once no process refuses from memory what was", func() bool {
		next = s.apply(campaign, 1_000_001)
		return next.status == http.StatusAccepted
	})
	assert.Equal(s.t, int64(7), next.number("slot"))
}
