//go:build !release

package embedded

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// Redis is a Redis server inside this process. It keeps everything in memory: what it holds is gone when it stops, as
// on a real server without persistence, and the gate is rebuilt from Kafka and the database.
type Redis struct {
	server *miniredis.Miniredis
	runID  atomic.Pointer[string]
}

// StartRedis starts a server on the address; port 0 takes any free one.
func StartRedis(addr string) (*Redis, error) {
	r := &Redis{server: miniredis.NewMiniRedis()}
	r.ChangeIdentity()
	if err := r.server.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("start the embedded Redis on %s: %w", addr, err)
	}
	r.server.Server().SetPreHook(r.answer)
	return r, nil
}

// Addr is the host and port on which the server listens.
func (r *Redis) Addr() string { return r.server.Addr() }

// Close stops the server.
func (r *Redis) Close() { r.server.Close() }

// FlushAll deletes every key, as an operator's mistake would.
func (r *Redis) FlushAll() { r.server.FlushAll() }

// ChangeIdentity gives the server a new run_id, as a restart or a failover does.
func (r *Redis) ChangeIdentity() {
	var random [20]byte
	_, _ = rand.Read(random[:]) // never fails: the runtime would end the process instead
	runID := hex.EncodeToString(random[:])
	r.runID.Store(&runID)
}

// answer stands in for what the server lacks: the identity in INFO, and the two settings that are checked at start.
func (r *Redis) answer(peer *server.Peer, command string, args ...string) bool {
	switch {
	case command == "INFO" && len(args) == 1 && strings.EqualFold(args[0], "server"):
		peer.WriteBulk("# Server\r\nrun_id:" + *r.runID.Load() + "\r\n")
	case command == "CONFIG" && len(args) > 1 && strings.EqualFold(args[0], "get"):
		peer.WriteStrings(settings(args[1:]))
	default:
		return false
	}
	return true
}

// settings gives name and value of each setting that is known. "appendonly" is answered with "yes" because a warning
// about it would be no news: that nothing here survives a stop is known, and the gate is rebuilt at each start.
func settings(names []string) []string {
	var found []string
	for _, name := range names {
		switch strings.ToLower(name) {
		case "maxmemory-policy":
			found = append(found, "maxmemory-policy", "noeviction")
		case "appendonly":
			found = append(found, "appendonly", "yes")
		}
	}
	return found
}
