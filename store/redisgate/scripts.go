package redisgate

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by SHA-1.
	"embed"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"firstcome/domain"
)

//go:embed script/*.lua
var scriptFiles embed.FS

// script is one Lua file behind the shared part. Its texts are boxed once, because each call puts them into a []any.
type script struct {
	name        string
	source, sha any
	// repeatable says that a call whose answer was lost may be made again.
	repeatable bool
}

var (
	admitScript        = loadScript("admit", true)
	acknowledgeScript  = loadScript("acknowledge", true)
	lookupScript       = loadScript("lookup", true)
	inspectScript      = loadScript("inspect", true)
	settingsScript     = loadScript("settings", true)
	disputeScript      = loadScript("dispute", true)
	releaseScript      = loadScript("release", true)
	pendingScript      = loadScript("pending", true)
	beginRebuildScript = loadScript("begin_rebuild", false)
	writeRebuiltScript = loadScript("write_rebuilt", false)
	openRebuiltScript  = loadScript("open_rebuilt", false)
	scanUsersScript    = loadScript("scan_users", true)
	listFreeScript     = loadScript("list_free", true)
	findUsersScript    = loadScript("find_users", true)
	putBackScript      = loadScript("put_back", true)
	pingScript         = loadScript("ping", true)
)

func loadScript(name string, repeatable bool) *script {
	source := mustRead("gate") + mustRead(name)
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see above
	return &script{name: name, source: source, sha: hex.EncodeToString(sum[:]), repeatable: repeatable}
}

// mustRead panics only when the program was built without its own files.
func mustRead(name string) string {
	text, err := scriptFiles.ReadFile("script/" + name + ".lua")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// keyCount is how many keys each script gets: script/gate.lua lists them.
const keyCount = 9

// headLength is how many elements a command has before ARGV: EVALSHA, the hash, the number of keys, the keys.
const headLength = 3 + keyCount

var (
	evalsha any = "evalsha"
	eval    any = "eval"
	numKeys any = strconv.Itoa(keyCount)
)

// campaignKeys are the keys of one campaign, boxed once.
type campaignKeys [keyCount]any

func newCampaignKeys(prefix, code, installation string) campaignKeys {
	var keys campaignKeys
	for i, name := range [keyCount]string{
		"meta", "count", "users", "free", "pending", "rebuild:users", "rebuild:free", "rebuild:pending",
		"installation:" + installation,
	} {
		keys[i] = prefix + "coupon:{" + code + "}:" + name
	}
	return keys
}

// appendHead appends all of a command but ARGV.
func (s *script) appendHead(args []any, keys *campaignKeys) []any {
	args = append(args, evalsha, s.sha, numKeys)
	return append(args, keys[:]...)
}

// reply is what a script answered: a status, then what its head says.
type reply []any

func (r reply) text(i int) string {
	if i >= len(r) {
		return ""
	}
	text, _ := r[i].(string)
	return text
}

func (r reply) number(i int) int64 {
	if i >= len(r) {
		return 0
	}
	number, _ := r[i].(int64)
	return number
}

// list gives a nested answer.
func (r reply) list(i int) reply {
	if i >= len(r) {
		return nil
	}
	list, _ := r[i].([]any)
	return list
}

// milliseconds reads a time that is empty when there is none.
func (r reply) milliseconds(i int) (ms int64, exists bool) {
	text := r.text(i)
	if text == "" {
		return 0, false
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	return ms, err == nil
}

// call runs a script with the command in args, as appendHead and the caller's ARGV made it.
func (g *Gate) call(ctx context.Context, s *script, args []any) (reply, error) {
	started := time.Now()
	answer, err := g.evaluate(ctx, args, s)
	if err != nil && s.repeatable && brokenConnection(err) && ctx.Err() == nil {
		if answer, err = g.evaluate(ctx, args, s); err != nil {
			err = domain.Wrap(domain.CodeOutcomeUnknown, err, outcomeUnknownText)
		}
	}
	g.metrics.callSeconds.WithLabelValues(s.name).Observe(time.Since(started).Seconds())
	if err != nil {
		g.link.noteFailure(err)
		g.logRefusal(s, err)
		return nil, classify(err, g.link.isCluster())
	}
	return answer, nil
}

// logRefusal tells, rarely, of a call that Redis has refused: what the server said is told to no applicant.
func (g *Gate) logRefusal(s *script, err error) {
	var answered redis.Error
	if errors.As(err, &answered) {
		g.refusals.Do(func() { g.logger.Warn("Redis refuses calls of the gate", "script", s.name, "error", err) })
	}
}

// evaluate sends the script by its hash, and as a whole to a server that does not know it yet.
func (g *Gate) evaluate(ctx context.Context, args []any, s *script) (reply, error) {
	args[0], args[1] = evalsha, s.sha
	answer, err := g.send(ctx, args, s)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		args[0], args[1] = eval, s.source
		answer, err = g.send(ctx, args, s)
	}
	return answer, err
}

func (g *Gate) send(ctx context.Context, args []any, s *script) (reply, error) {
	if g.config.WaitReplicas > 0 && s == admitScript {
		return g.sendAndWait(ctx, args)
	}
	connection, err := g.link.get(ctx)
	if err != nil {
		return nil, err
	}
	command := redis.NewCmd(ctx, args...)
	if err := connection.Process(ctx, command); err != nil {
		return nil, err
	}
	return command.Slice()
}

// sendAndWait lets Redis answer only after enough replicas have what the script wrote. WAIT must follow on the same
// connection. It does not undo: with too few replicas the winners stay admitted, and are told to ask again.
func (g *Gate) sendAndWait(ctx context.Context, args []any) (reply, error) {
	pipeline, err := g.pipelineFor(ctx, args)
	if err != nil {
		return nil, err
	}
	command := redis.NewCmd(ctx, args...)
	_ = pipeline.Process(ctx, command) // only queues; Exec tells of failures
	replicas := pipeline.Do(ctx, "wait", g.config.WaitReplicas, g.config.WaitReplicasTimeout.Milliseconds())
	if _, err := pipeline.Exec(ctx); err != nil {
		return nil, err
	}
	if reached, err := replicas.Int(); err != nil || reached < g.config.WaitReplicas {
		return nil, domain.Errorf(domain.CodeOutcomeUnknown,
			"only %d of %d replicas have the admission; the same request may be sent again", reached, g.config.WaitReplicas)
	}
	return command.Slice()
}

// pipelineFor gives a pipeline to the server that holds the keys of the command in args.
func (g *Gate) pipelineFor(ctx context.Context, args []any) (redis.Pipeliner, error) {
	connection, err := g.link.get(ctx)
	if err != nil {
		return nil, err
	}
	if connection.cluster == nil {
		return connection.Pipeline(), nil
	}
	key, _ := args[headLength-keyCount].(string)
	node, err := connection.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, err
	}
	return node.Pipeline(), nil
}
