package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterFaults are those of a Redis Cluster. A master that is lost may take writes with it that no replica has, and one
// that was frozen takes some when it wakes, before it hears that it is no master any more.
var clusterFaults = []fault{
	{momentary("flush all", wholeCluster).losing(redisServer), flushAll},
	{lasting("kill master", 0, 12*time.Second, wholeCluster).losing(redisServer), onMaster(killServer)},
	{lasting("freeze master", 300*time.Millisecond, 12*time.Second, wholeCluster).losing(redisServer), onMaster(freezeServer)},
	{lasting("kill replica", 0, 6*time.Second, wholeCluster), killReplica},
	{momentary("ask for a fail-over", wholeCluster), askForFailOver},
	{momentary("move the campaign to another master", wholeCluster), moveSlot},
}

// clusterNode is a node as the cluster tells of it.
type clusterNode struct {
	name, id string
	// replicates is the ID of the master of a replica, "" for a master.
	replicates string
	// holds is true for the master of the campaign's keys.
	holds bool
}

// clusterNow asks for the nodes, and who has the campaign.
func (w *world) clusterNow(ctx context.Context) ([]clusterNode, error) {
	text, err := w.redis.ClusterNodes(ctx).Result()
	if err != nil {
		return nil, err
	}
	slot, err := w.redis.ClusterKeySlot(ctx, key("meta")).Result()
	if err != nil {
		return nil, err
	}
	var nodes []clusterNode
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 || strings.Contains(fields[2], "fail") {
			continue
		}
		node := clusterNode{name: w.nodeAt(fields[1]), id: fields[0]}
		if fields[3] != "-" {
			node.replicates = fields[3]
		}
		node.holds = slices.ContainsFunc(fields[8:], func(span string) bool { return within(span, slot) })
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// nodeAt names the node with an address such as 127.0.0.1:20001@20011.
func (w *world) nodeAt(place string) string {
	for i, name := range clusterNodes {
		if strings.HasPrefix(place, address(w.servers.ports["CLUSTER"]+i)+"@") {
			return name
		}
	}
	return place
}

// within says whether a span such as 0-5460 or 7 holds the slot.
func within(span string, slot int64) bool {
	var first, last int64
	if read, _ := fmt.Sscanf(span, "%d-%d", &first, &last); read == 2 {
		return first <= slot && slot <= last
	}
	read, _ := fmt.Sscanf(span, "%d", &first)
	return read == 1 && first == slot && !strings.HasPrefix(span, "[")
}

// find gives the first node of a kind.
func (w *world) find(ctx context.Context, want func(clusterNode) bool) (clusterNode, error) {
	nodes, err := w.clusterNow(ctx)
	if err != nil {
		return clusterNode{}, err
	}
	i := slices.IndexFunc(nodes, want)
	if i < 0 {
		return clusterNode{}, errors.New("the cluster has no such node now")
	}
	return nodes[i], nil
}

func (w *world) master(ctx context.Context) (clusterNode, error) {
	return w.find(ctx, func(node clusterNode) bool { return node.holds })
}

func (w *world) replicaOf(ctx context.Context, master clusterNode) (clusterNode, error) {
	return w.find(ctx, func(node clusterNode) bool { return node.replicates == master.id })
}

// onMaster strikes the master of the campaign, and ends when the cluster is whole again.
func onMaster(strike func(context.Context, *world, step) (healing, error)) func(context.Context, *world, step) (healing, error) {
	return func(ctx context.Context, w *world, s step) (healing, error) {
		master, err := w.master(ctx)
		if err != nil {
			return nil, err
		}
		s.Target = master.name
		w.redisLost()
		heal, err := strike(ctx, w, s)
		return w.untilWhole(heal), err
	}
}

func killReplica(ctx context.Context, w *world, s step) (healing, error) {
	master, err := w.master(ctx)
	if err != nil {
		return nil, err
	}
	replica, err := w.replicaOf(ctx, master)
	if err != nil {
		return nil, err
	}
	s.Target = replica.name
	heal, err := killServer(ctx, w, s)
	return w.untilWhole(heal), err
}

// untilWhole heals, and then waits until each master has a replica that follows it.
func (w *world) untilWhole(heal healing) healing {
	return func(ctx context.Context) error {
		if err := heal(ctx); err != nil {
			return err
		}
		err := eventually(ctx, time.Minute, "the cluster is whole", w.clusterIsWhole)
		w.redisLost()
		return err
	}
}

func (w *world) clusterIsWhole(ctx context.Context) error {
	for i, name := range clusterNodes {
		if err := w.nodeIsWhole(ctx, w.servers.ports["CLUSTER"]+i); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (w *world) nodeIsWhole(ctx context.Context, port int) error {
	node := redis.NewClient(&redis.Options{Addr: address(port)})
	defer func() { _ = node.Close() }()
	text, err := node.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if !strings.Contains(text, "master_link_status:up") && !strings.Contains(text, "connected_slaves:1") {
		return errors.New("neither follows a master nor has a replica")
	}
	state, err := node.ClusterInfo(ctx).Result()
	if err == nil && !strings.Contains(state, "cluster_state:ok") {
		err = errors.New("the cluster is not ok")
	}
	return err
}

// askForFailOver is planned: the replica takes over when it has everything.
func askForFailOver(ctx context.Context, w *world, _ step) (healing, error) {
	master, err := w.master(ctx)
	if err != nil {
		return nil, err
	}
	replica, err := w.replicaOf(ctx, master)
	if err != nil {
		return nil, err
	}
	return w.untilWhole(func(context.Context) error { return nil }), w.onNode(ctx, replica, func(node *redis.Client) error {
		return node.ClusterFailover(ctx).Err()
	})
}

func (w *world) onNode(_ context.Context, node clusterNode, do func(*redis.Client) error) error {
	port := w.servers.ports["CLUSTER"] + slices.Index(clusterNodes, node.name)
	client := redis.NewClient(&redis.Options{Addr: address(port)})
	defer func() { _ = client.Close() }()
	return do(client)
}

// moveSlot moves the campaign's hash slot to another master, key by key, as a resharding does.
func moveSlot(ctx context.Context, w *world, _ step) (healing, error) {
	from, err := w.master(ctx)
	if err != nil {
		return nil, err
	}
	to, err := w.find(ctx, func(node clusterNode) bool { return node.replicates == "" && !node.holds })
	if err != nil {
		return nil, err
	}
	slot, err := w.redis.ClusterKeySlot(ctx, key("meta")).Result()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		w.onNode(ctx, to, func(node *redis.Client) error {
			return node.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.id).Err()
		}),
		w.onNode(ctx, from, func(node *redis.Client) error {
			return node.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id).Err()
		}))
	// What was begun must be ended, whatever happens.
	return func(ctx context.Context) error {
		return eventually(ctx, time.Minute, "the slot is moved", func(ctx context.Context) error { return w.moveKeys(ctx, slot, from, to) })
	}, err
}

// moveKeys moves what is left in the slot, and then tells both masters whose it is.
func (w *world) moveKeys(ctx context.Context, slot int64, from, to clusterNode) error {
	port := w.servers.ports["CLUSTER"] + slices.Index(clusterNodes, to.name)
	err := w.onNode(ctx, from, func(node *redis.Client) error {
		for {
			keys, err := node.ClusterGetKeysInSlot(ctx, int(slot), 10).Result()
			if err != nil || len(keys) == 0 {
				return err
			}
			for _, one := range keys {
				if err := node.Migrate(ctx, "127.0.0.1", fmt.Sprint(port), one, 0, 5*time.Second).Err(); err != nil {
					return err
				}
			}
		}
	})
	if err != nil {
		return err
	}
	for _, node := range []clusterNode{to, from} {
		err := w.onNode(ctx, node, func(client *redis.Client) error {
			return client.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", to.id).Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
