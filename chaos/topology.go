package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// topology is what a run's servers are, and how they can be broken.
type topology struct {
	name string
	// servers are what docker/servers.sh starts.
	servers []string
	// linked are the servers that each process reaches through a proxy of its own. The nodes of a cluster tell clients
	// where the others are, so no proxy can stand between.
	linked []string
	faults []fault
	// pair is true when the database is a primary and a replica, behind an address that moves.
	pair bool
	// shiftedClocks is true when the clocks of our own processes can be set.
	shiftedClocks bool
}

// Names of the topologies.
const (
	singleWorld     = "single"
	replicatedWorld = "replicated"
)

// single is one server of each kind.
var single = topology{
	name: singleWorld, servers: []string{redisServer, kafkaServer, mysqlServer}, linked: []string{redisServer, kafkaServer, mysqlServer},
	faults: faults,
}

// replicated is a Redis Cluster of three masters and three replicas, three brokers of Kafka of which two must have each
// record, and a database that has a replica.
var replicated = topology{
	name:    replicatedWorld,
	servers: slices.Concat(clusterNodes, brokers, pairNames), linked: []string{mysqlServer},
	faults: replicatedFaults, pair: true, shiftedClocks: true,
}

var topologies = map[string]topology{singleWorld: single, replicatedWorld: replicated}

func topologyNamed(name string) (topology, error) {
	found, known := topologies[name]
	if !known {
		return found, fmt.Errorf("no world is called %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(topologies)), " and "))
	}
	return found, nil
}

// Names of the servers of the replicated topology, as docker/servers.sh knows them.
var (
	clusterNodes = []string{"cluster1", "cluster2", "cluster3", "cluster4", "cluster5", "cluster6"}
	brokers      = []string{"broker1", "broker2", "broker3"}
	pairNames    = []string{"pair1", "pair2"}
)

// portsOf gives the names of the settings of docker/servers.sh for ports, and how many ports in a row each stands for.
func (t topology) portsOf() map[string]int {
	if t.name == replicatedWorld {
		// The cluster's nodes, and the controllers beside the brokers, have another port each, ten further up.
		return map[string]int{"CLUSTER": 16, "BROKER": 13, "PAIR": 2}
	}
	return map[string]int{"REDIS": 1, "KAFKA": 1, "KAFKA_CONTROLLER": 1, "MYSQL": 1}
}

// addresses are where a process finds its servers.
type addresses struct {
	redis, kafka []string
	mysqlPort    int
}

// direct are the servers' own addresses, past all proxies.
func (s *servers) direct() addresses {
	if s.topology.name == replicatedWorld {
		return addresses{redis: s.row("CLUSTER", len(clusterNodes)), kafka: s.row("BROKER", len(brokers)), mysqlPort: s.moving.port}
	}
	return addresses{redis: s.row("REDIS", 1), kafka: s.row("KAFKA", 1), mysqlPort: s.ports["MYSQL"]}
}

func (s *servers) row(setting string, count int) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = address(s.ports[setting] + i)
	}
	return all
}

// openRedis is the supervisor's own way to Redis.
func (s *servers) openRedis() redis.UniversalClient {
	at := s.direct().redis
	if s.topology.name == replicatedWorld {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: at})
	}
	return redis.NewClient(&redis.Options{Addr: at[0]})
}

// flush deletes all that Redis holds.
func (w *world) flush(ctx context.Context) error {
	nodes, isCluster := w.redis.(*redis.ClusterClient)
	if !isCluster {
		return w.redis.FlushAll(ctx).Err()
	}
	return errors.Join(nodes.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return node.FlushAll(ctx).Err() }))
}
