//go:build realservers

package main

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/store/storetest"
)

// movingAddress forwards connections to a server, which can be exchanged: new connections lead to the new one, those that
// are open still to the old one.
type movingAddress struct {
	listener net.Listener

	mu       sync.Mutex
	upstream string
}

func startMovingAddress(t *testing.T, upstream string) *movingAddress {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a := &movingAddress{listener: listener, upstream: upstream}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { a.forward(from) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return a
}

func (a *movingAddress) forward(from net.Conn) {
	a.mu.Lock()
	upstream := a.upstream
	a.mu.Unlock()
	storetest.Forward(from, upstream)
}

func (a *movingAddress) addr() string { return a.listener.Addr().String() }

func (a *movingAddress) moveTo(upstream string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.upstream = upstream
}

// A replica is promoted and the address moves to it, while the old primary stays alive on the connections that are open:
// it admits as well. Nobody may be told a slot that isn't kept, and the processes may not rebuild against each other.
func TestAnOldPrimaryOnOldConnectionsMakesNobodyLoseTheSlotThatWasTold(t *testing.T) {
	t.Parallel()
	env := newAuditEnvironment(t)
	old := storetest.StartRedis(t, durable...)
	host, port, err := net.SplitHostPort(old.Addr)
	require.NoError(t, err)
	next := storetest.StartRedis(t, append(durable, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")...)
	client := redis.NewClient(&redis.Options{Addr: next.Addr})
	defer func() { _ = client.Close() }()
	patiently(t, "the replica follows", func() bool {
		return strings.Contains(client.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	address := startMovingAddress(t, old.Addr)
	env.at.redis = []string{address.addr()}
	s, other := env.start(t), env.start(t)
	campaign := s.newCampaign(newCode("moved"), 100_000)
	load := startApplicants(s, campaign, 8)
	elsewhere := startApplicantsAfter(other, campaign, 8, 1_000_000)
	s.eventually("the sale goes on at both", func() bool { return load.won() > 200 && elsewhere.won() > 200 })
	before, _ := s.epoch(campaign)

	require.NoError(t, client.ReplicaOf(t.Context(), "NO", "ONE").Err())
	address.moveTo(next.Addr)
	patiently(t, "connections end, and the gate is rebuilt where the address leads now", func() bool {
		return client.HGet(t.Context(), "coupon:{"+campaign+"}:meta", "epoch").Val() > fmt.Sprint(before)
	})
	pass(t, env.outage)
	s.eventually("the gate is open", func() bool { _, open := s.epoch(campaign); return open })
	won := load.won()
	s.eventually("the sale goes on", func() bool { return load.won() > won+100 })
	promised, promisedElsewhere := load.stop(), elsewhere.stop()
	other.stop()
	s.auditWhenAtRest(campaign)
	after, _ := s.epoch(campaign)
	t.Logf("%d rebuilds", after-before)
	assert.LessOrEqual(t, after-before, int64(3), "rebuilds")
	s.requireIssued(campaign, promised)
	s.requireIssued(campaign, promisedElsewhere)
}
