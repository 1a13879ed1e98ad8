//go:build !release

package redisgate

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func idOf(id string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return id, nil }
}

// ownedBench is a bench whose gate belongs to an installation.
func ownedBench(t *testing.T, addrs []string, id string) *bench {
	t.Helper()
	b := newBench(t, addrs)
	b.Gate = openGate(t, Config{Addrs: addrs, CallTimeout: patience, Installation: idOf(id)})
	return b
}

// anothersGate: two shops have a campaign of the same name on one Redis.
func anothersGate(t *testing.T, addrs []string) {
	t.Helper()
	theirs := ownedBench(t, addrs, "their-shop")
	theirs.reopen(t)
	ours := ownedBench(t, addrs, "our-shop")
	code := theirs.campaign.Code
	target := domain.RebuildTarget{Campaign: code, Epoch: theirs.campaign.Epoch + 100}
	requireForeign := func(what string, err error) {
		t.Helper()
		require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "%s: %v", what, err)
		require.ErrorContains(t, err, "another installation", what)
	}
	_, err := ours.Admit(t.Context(), code, 1)
	requireForeign("their winner asks us", err)
	_, err = ours.Lookup(t.Context(), code, 1)
	requireForeign("a status", err)
	_, err = ours.Inspect(t.Context(), code)
	requireForeign("the sweep looks at it, and so starts no rebuild", err)
	_, err = ours.BeginRebuild(t.Context(), code, target.Epoch)
	requireForeign("a rebuild", err)
	_, err = ours.Pending(t.Context(), code, "", 10)
	requireForeign("the relay would send their winners to our topic", err)
	requireForeign("the audit would issue their winners",
		ours.VisitWinners(t.Context(), code, func(domain.GateWinner) error { return nil }))
	_, err = ours.FindWinners(t.Context(), code, []domain.UserID{1})
	requireForeign("the audit", err)
	_, err = ours.PutBack(t.Context(), domain.Winner{Campaign: code, UserID: 1, Slot: 1, Epoch: theirs.campaign.Epoch})
	requireForeign("the audit's repair", err)
	requireForeign("a contradiction of our ledger", ours.Dispute(t.Context(), domain.Winner{Campaign: code, UserID: 1, Slot: 1, Epoch: 100}))
	assert.Contains(t, fmt.Sprint(ours.Warnings(t.Context())), "1 campaigns can't admit anybody ("+code+")")

	theirs.requireOpen(t)
	admission, err := theirs.Admit(t.Context(), code, 50)
	require.NoError(t, err, "the other shop noticed nothing")
	assert.Equal(t, domain.Slot(2), admission.Slot)

	ours.Gate = openGate(t, Config{Addrs: addrs, CallTimeout: patience, Installation: idOf("our-shop"), KeyPrefix: "ours:"})
	ours.campaign.Code = code
	ours.reopen(t)
	theirs.requireOpen(t)
}

func TestAnotherInstallationsGateIsNeitherReadNorChanged(t *testing.T) {
	anothersGate(t, []string{startRedis(t).Addr()})
}

// Gates that were made before installations had IDs become ours by the next rebuild.
func TestAGateWithoutAnOwnerIsRebuiltAndOwnedFromThenOn(t *testing.T) {
	server := startRedis(t)
	b := newBench(t, []string{server.Addr()})
	b.reopen(t)
	require.NoError(t, b.raw.HDel(t.Context(), b.key("meta"), "installation").Err())
	b.requireOpen(t)
	b.Gate = openGate(t, Config{Addrs: b.addrs, CallTimeout: patience, Installation: idOf("our-shop")})
	_, err := b.Admit(t.Context(), b.campaign.Code, 50)
	require.Equal(t, domain.CodeGateClosed, domain.CodeOf(err), "%v", err)
	b.reopen(t)
	owner, err := b.raw.HGet(t.Context(), b.key("meta"), "installation").Result()
	require.NoError(t, err)
	assert.Equal(t, "our-shop", owner)
}

func TestNothingIsAskedBeforeTheInstallationIsKnown(t *testing.T) {
	server := startRedis(t)
	away := errors.New("the database is away")
	calls := 0
	gate := openGate(t, Config{Addrs: []string{server.Addr()}, CallTimeout: patience, Installation: func(context.Context) (string, error) {
		calls++
		if calls == 1 {
			return "", away
		}
		return "our-shop", nil
	}})
	for range 3 {
		_, err := domain.Admit(t.Context(), gate, "sale", 1)
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
		require.ErrorIs(t, err, away)
	}
	assert.Equal(t, 1, calls, "the database is not asked once an application")
	require.Eventually(t, func() bool { return gate.Ping(t.Context()) == nil }, patience, 10*time.Millisecond)
	assert.Equal(t, 2, calls)
}

// Without its identity nobody knows whether a server is the one that was verified. A rebuild would be overtaken by itself,
// and raise the epoch again and again.
func TestAServerThatHidesItsIdentityIsNamedAndNeverRebuilt(t *testing.T) {
	server := miniredis.RunT(t)
	server.Server().SetPreHook(func(peer *miniserver.Peer, command string, _ ...string) bool {
		if command == "INFO" {
			peer.WriteBulk("# Server\r\n")
		}
		return command == "INFO"
	})
	gate := openGate(t, Config{Addrs: []string{server.Addr()}, CallTimeout: patience})
	_, inspected := gate.Inspect(t.Context(), "sale")
	_, admitted := domain.Admit(t.Context(), gate, "sale", 1)
	for what, err := range map[string]error{"ping": gate.Ping(t.Context()), "inspect": inspected, "admit": admitted} {
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%s: %v", what, err)
		require.ErrorContains(t, err, "run_id", what)
	}
}
