//go:build realservers && !release

package redisgate

import "testing"

func TestSpoiledKeysOnRealRedis(t *testing.T) { spoiledKeys(t, realAddrs(t)) }
