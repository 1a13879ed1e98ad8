package redisgate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// probes are names that no campaign can have, whose keys Ping writes and removes. In a cluster they lie on different
// masters.
var probes = [...]string{"~1", "~2", "~3", "~4"}

// Ping says whether the gate's scripts can do their work now: it runs one that does what they do, writes included.
// CodeUnavailable, CodeOutcomeUnknown, CodeGateClosed.
func (g *Gate) Ping(ctx context.Context) error {
	if err := g.learnInstallation(ctx); err != nil {
		return err
	}
	some := probes[:1]
	if g.link.isCluster() {
		some = probes[:]
	}
	for _, probe := range some {
		if err := g.pingKeys(ctx, probe); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gate) pingKeys(ctx context.Context, probe string) error {
	ctx, cancel := context.WithTimeout(ctx, g.config.CallTimeout)
	defer cancel()
	keys := newCampaignKeys(g.config.KeyPrefix, probe, g.campaigns.installation)
	answer, err := g.call(ctx, pingScript, pingScript.appendHead(nil, &keys))
	if err != nil {
		return err
	}
	if why := answer.text(1); answer.text(0) == "CLOSED" && unusable[why] != nil {
		return unusable[why]
	}
	return nil
}

// Warnings names the settings of Redis under which promises would depend on luck. A server that does not show its
// settings is a warning too; one that can't be reached gives none, as Ping tells that. Gates that can't be used, and
// sentinels that can't be reached, are named as well.
func (g *Gate) Warnings(ctx context.Context) []string {
	warnings := append(g.unusableGates(), g.settingWarnings(ctx)...)
	if err := g.link.confirm(); err != nil {
		warnings = append(warnings, errUnconfirmed.Message)
	}
	return warnings
}

// maxNamedGates bounds the campaigns that one warning names.
const maxNamedGates = 5

func (g *Gate) unusableGates() []string {
	codes := map[string][]string{}
	g.campaigns.known.Range(func(code, known any) bool {
		if why := known.(*campaign).closedBy(); unusable[why] != nil {
			codes[why] = append(codes[why], fmt.Sprint(code))
		}
		return true
	})
	var warnings []string
	for why, named := range codes {
		slices.Sort(named)
		warnings = append(warnings, fmt.Sprintf("%d campaigns can't admit anybody (%s): %s", len(named),
			strings.Join(named[:min(len(named), maxNamedGates)], ", "), unusable[why].Message))
	}
	slices.Sort(warnings)
	return warnings
}

func (g *Gate) settingWarnings(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, g.config.CallTimeout)
	defer cancel()
	connection, err := g.link.get(ctx)
	if err != nil {
		return nil
	}
	if connection.cluster == nil {
		return warningsOf(ctx, connection)
	}
	var mu sync.Mutex
	var all []string
	err = connection.cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		found := warningsOf(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		for _, warning := range found {
			all = append(all, node.Options().Addr+": "+warning)
		}
		return nil
	})
	if err != nil {
		return append(all, "the nodes of the Redis Cluster can't be listed: "+err.Error())
	}
	return all
}

func warningsOf(ctx context.Context, node redis.Cmdable) []string {
	var warnings []string
	for _, setting := range []struct{ name, want, warning string }{
		{"maxmemory-policy", "noeviction", "Redis may evict keys of the gate (maxmemory-policy is %s, not noeviction)"},
		{"appendonly", "yes", "Redis forgets the gate when it restarts (appendonly is %s, not yes)"},
	} {
		values, err := node.ConfigGet(ctx, setting.name).Result()
		var answered redis.Error
		switch {
		case errors.As(err, &answered):
			warnings = append(warnings, fmt.Sprintf("Redis does not show its setting %s, so it can't be checked", setting.name))
		case err == nil && values[setting.name] != setting.want:
			warnings = append(warnings, fmt.Sprintf(setting.warning, values[setting.name]))
		}
	}
	return append(warnings, replicaWarnings(ctx, node)...)
}

// replicaWarnings: a primary that was cut off from its replicas goes on admitting, while one of them takes its place. What
// Redis does not tell is not warned of: the embedded one has no replicas.
func replicaWarnings(ctx context.Context, node redis.Cmdable) []string {
	info, err := node.Info(ctx, "replication").Result()
	if replicas := infoField(info, "connected_slaves"); err != nil || replicas == "" || replicas == "0" {
		return nil
	}
	values, err := node.ConfigGet(ctx, "min-replicas-to-write").Result()
	if err != nil || values["min-replicas-to-write"] != "0" {
		return nil
	}
	return []string{"two masters may admit at once after a failover: Redis has replicas, and min-replicas-to-write is 0"}
}
