package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"firstcome/crashpoint"
	"firstcome/domain"
	"firstcome/store/kafkaqueue"
)

// crashWorld is a firstcome whose roles are processes that can be ended at a crash point, one campaign, and what the
// applicants of that campaign were told.
type crashWorld struct {
	*system
	campaign string
	folder   string
	roles    map[string]*process

	mutex    sync.Mutex
	promised map[int64]answer
	nextUser int64
}

func newCrashWorld(t *testing.T) *crashWorld {
	t.Helper()
	env := newEnvironment(t)
	ledger, err := openLedger(env.config, env.at, instruments{registry: newRegistry(), logger: env.config.logger()})
	require.NoError(t, err)
	require.NoError(t, ledger.Migrate(t.Context()))
	require.NoError(t, ledger.Close())
	require.NoError(t, kafkaqueue.EnsureTopic(t.Context(), env.config.kafkaConfig(env.at)))

	w := &crashWorld{
		campaign: newCode("crash"), folder: t.TempDir(), roles: map[string]*process{}, promised: map[int64]answer{},
		nextUser: 1000,
	}
	for _, role := range []string{roleAPI, roleConsumer, roleRetryer} {
		p := &process{t: t, program: crashBuild, arguments: []string{"serve", "--roles", role}, address: freeAddress(t)}
		p.variables = w.variables(env, role, p.address)
		p.start()
		t.Cleanup(func() { p.kill() })
		w.roles[role] = p
	}
	w.system = &system{t: t, env: env, baseURL: "http://" + w.roles[roleAPI].address}
	w.newCampaign(w.campaign, 100_000)
	return w
}

func (w *crashWorld) variables(env *environment, role, address string) []string {
	return append(env.variables(),
		crashpoint.Variable+"=@"+w.armFile(role), "FIRSTCOME_HTTP_ADDR="+address, "FIRSTCOME_ADMIN_TOKEN="+testToken,
		"FIRSTCOME_REDIS_TIMEOUT=2s", "FIRSTCOME_DEFAULT_CAMPAIGN="+w.campaign, "FIRSTCOME_AUDIT_WAIT=50ms",
		"FIRSTCOME_RELAY_AFTER=200ms", "FIRSTCOME_BACKOFF_MIN=50ms", "FIRSTCOME_BACKOFF_MAX=200ms",
		"FIRSTCOME_MAX_ATTEMPTS=100")
}

// in makes a subtest the one that fails and waits.
func (w *crashWorld) in(t *testing.T) {
	w.t = t
	for _, p := range w.roles {
		p.t = t
	}
}

func (w *crashWorld) armFile(role string) string { return filepath.Join(w.folder, role) }

// arm arms points of a role's running process, such as "api.admitted:1"; none disarms it. The file changes at once and
// as a whole.
func (w *crashWorld) arm(role string, points ...string) {
	w.t.Helper()
	next := w.armFile(role) + ".next"
	require.NoError(w.t, os.WriteFile(next, []byte(strings.Join(points, ",")), 0o600))
	require.NoError(w.t, os.Rename(next, w.armFile(role)))
}

// hold waits until the load has led the role's process to the point, where it keeps anybody who came first until the role
// is armed anew.
func (w *crashWorld) hold(role string, point crashpoint.Point) {
	w.t.Helper()
	w.holdNext(role, point)()
}

// holdNext has the role's process hold anybody who comes to the point next. What it gives waits until somebody is held.
func (w *crashWorld) holdNext(role string, point crashpoint.Point) (wait func()) {
	held := func() int { return strings.Count(w.roles[role].output.String(), "held at "+string(point)) }
	before := held()
	w.arm(role, string(point)+":1:hold")
	return func() {
		w.eventually("somebody is held at "+string(point), func() bool { return held() > before })
	}
}

// awaitDeath requires that the role's process ends itself by kill -9, and starts it anew.
func (w *crashWorld) awaitDeath(role string, point crashpoint.Point) {
	w.t.Helper()
	p := w.roles[role]
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.command.Wait() // how it ended is in its ProcessState
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		_ = p.command.Process.Kill() // not p.kill: two waits for one command never end
		<-ended
		require.FailNow(w.t, "dead crash point", "%s never comes to %s: %s", role, point, p.output)
	}
	status, _ := p.command.ProcessState.Sys().(syscall.WaitStatus)
	require.True(w.t, status.Signaled() && status.Signal() == syscall.SIGKILL, "%s ended otherwise: %v %s", role, status, p.output)
	w.arm(role)
	if role == roleConsumer {
		w.env.evictConsumers(w.t)
	}
	p.start()
}

// evictConsumers takes the members out of the group, as Kafka does by itself when the session of a dead one times out.
func (env *environment) evictConsumers(t *testing.T) {
	t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	client, err := sarama.NewClient(env.at.kafka, config)
	require.NoError(t, err)
	admin, err := sarama.NewClusterAdminFromClient(client)
	require.NoError(t, err)
	defer func() { _ = admin.Close() }()
	groups, err := admin.DescribeConsumerGroups([]string{env.config.KafkaGroup})
	require.NoError(t, err)
	coordinator, err := client.Coordinator(env.config.KafkaGroup)
	require.NoError(t, err)
	for member := range groups[0].Members {
		_, err := coordinator.LeaveGroup(&sarama.LeaveGroupRequest{GroupId: env.config.KafkaGroup, MemberId: member})
		require.NoError(t, err)
	}
}

// The load of a scene: few applicants at a quick pace.
const (
	loadClients = 4
	loadPace    = 20 * time.Millisecond
)

// startLoad lets new users apply until stop. Who gets no answer asks again until there is one, as a person would.
func (w *crashWorld) startLoad() (stop func()) {
	halt := make(chan struct{})
	var clients sync.WaitGroup
	for range loadClients {
		clients.Go(func() {
			for {
				select {
				case <-halt:
					return
				case <-time.After(loadPace):
				}
				w.applyAs(w.newUser())
			}
		})
	}
	return sync.OnceFunc(func() { close(halt); clients.Wait() })
}

func (w *crashWorld) newUser() int64 {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.nextUser++
	return w.nextUser
}

// applyAs keeps what the user was promised; of two answers the one that names a slot.
func (w *crashWorld) applyAs(user int64) answer {
	got, answered := applyUntilAnswered(w.system, w.campaign, user)
	if answered && (got.status == http.StatusAccepted || got.status == http.StatusOK) {
		got.status = http.StatusAccepted
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.promised[user] = got
	}
	return got
}

// requireAtRest waits until nothing is on its way, and requires that the audit is clean and that every promise of the
// world's own campaign, to which nobody applies just now, is kept.
func (w *crashWorld) requireAtRest(campaign string) {
	w.t.Helper()
	w.settle(campaign)
	w.eventually("no fail event is on its way", func() bool {
		for _, event := range w.failEvents(campaign) {
			if event["status"] == string(domain.FailStatusFail) || event["status"] == string(domain.FailStatusProcessing) {
				return false
			}
		}
		return true
	})
	w.eventually("every record is consumed", func() bool { return w.env.uncommitted(w.t) == 0 })
	w.settle(campaign)
	result := w.audit(campaign, false)
	require.Empty(w.t, result.Error)
	require.Empty(w.t, result.Differences, "the audit of %s", campaign)
	if campaign == w.campaign {
		w.requireIssued(campaign, w.promised)
	}
}

// requireExactlyQuota gives the campaign few coupons more than it has handed out, lets more than enough apply, and
// requires a row for each slot.
func (w *crashWorld) requireExactlyQuota() {
	w.t.Helper()
	const more = 25
	quota := len(w.issued(w.campaign)) + more
	w.changeQuota(w.campaign, quota)
	w.awaitQuota(w.campaign, quota)
	soldOut := 0
	for range 2 * more {
		if w.applyAs(w.newUser()).problem() == "sold-out" {
			soldOut++
		}
	}
	w.requireAtRest(w.campaign)
	w.requireSlots(w.campaign, quota)
	require.Equal(w.t, more, soldOut)
}

func (w *crashWorld) changeQuota(campaign string, quota int) {
	w.t.Helper()
	changed := w.must(http.MethodPatch, "/v1/admin/campaigns/"+campaign, map[string]any{"quota": quota})
	require.Equal(w.t, http.StatusOK, changed.status, "%v", changed.body)
}

func (w *crashWorld) awaitQuota(campaign string, quota int) {
	w.t.Helper()
	w.eventually("the gate follows the quota", func() bool {
		_, now, open := w.campaignNow(campaign)
		return open && now == int64(quota)
	})
}

// campaignNow tells of a campaign as operators see it; open says that its gate admits, under the epoch of its row.
func (w *crashWorld) campaignNow(campaign string) (epoch, gateQuota int64, open bool) {
	got, _ := w.call(http.MethodGet, "/v1/admin/campaigns/"+campaign, nil)
	gate, _ := got.body["gate"].(map[string]any)
	seen := answer{body: gate}
	epoch = got.number("epoch")
	return epoch, seen.number("quota"), epoch > 0 && gate["closed"] == "" && seen.number("epoch") == epoch
}

// loseGate takes the gate's state away without touching its winners, which makes a retryer rebuild it.
func (w *crashWorld) loseGate(campaign string) {
	w.t.Helper()
	require.NoError(w.t, w.env.redisClient(w.t).Del(w.t.Context(), "coupon:{"+campaign+"}:meta").Err())
}

// rebuilt loses the gate and waits until it is open again, under a new epoch.
func (w *crashWorld) rebuilt(campaign string) {
	w.t.Helper()
	before, _, _ := w.campaignNow(campaign)
	w.loseGate(campaign)
	w.eventually("the gate of "+campaign+" is rebuilt", func() bool {
		epoch, _, open := w.campaignNow(campaign)
		return epoch > before && open
	})
}
