package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"firstcome/clockshift"
)

// built is the program, built once for all tests that need a process of its own to kill. It is built without the race
// detector, which the tests that run in their own process have.
type built struct {
	name  string
	flags []string
	// prepare may give more flags; what it writes into the folder is needed for the build only.
	prepare func(ctx context.Context, folder string) ([]string, error)

	once sync.Once
	path string
	err  error
}

var (
	plainBuild = &built{name: "plain"}
	crashBuild = &built{name: "crash", flags: []string{
		"-tags", "crashpoints", "-ldflags", "-X main.serverDialect=" + dialectOfTests,
	}}
	// clockBuild is a program whose wall clock a test can set.
	clockBuild = &built{name: "clock", prepare: func(ctx context.Context, folder string) ([]string, error) {
		overlay, err := clockshift.Overlay(ctx, folder)
		return []string{"-overlay", overlay}, err
	}}
)

// binary gives the program's path.
func (b *built) binary(t *testing.T) string {
	t.Helper()
	b.once.Do(func() {
		// Not in the test's own folder: that is deleted with the first test, and the others use the same binary.
		b.path = filepath.Join(os.TempDir(), fmt.Sprintf("firstcome-%s-%d", b.name, os.Getpid()))
		arguments := append([]string{"build", "-o", b.path}, b.flags...)
		if b.prepare != nil {
			more, err := b.prepare(t.Context(), t.TempDir())
			if err != nil {
				b.err = err
				return
			}
			arguments = append(arguments, more...)
		}
		if output, err := exec.CommandContext(context.Background(), "go", append(arguments, ".")...).CombinedOutput(); err != nil {
			b.err = fmt.Errorf("%w: %s", err, output)
		}
	})
	require.NoError(t, b.err)
	return b.path
}

// process is a firstcome that can be killed and started again.
type process struct {
	t *testing.T
	// program is plainBuild unless it says another.
	program   *built
	arguments []string
	variables []string
	address   string
	command   *exec.Cmd
	output    *syncBuffer
}

// syncBuffer collects what a process prints while a test reads it.
type syncBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(text []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(text)
}

func (b *syncBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}

// newProcess starts the program with the arguments and waits until it is alive.
func newProcess(t *testing.T, variables []string, arguments ...string) *process {
	t.Helper()
	return newProcessOf(t, plainBuild, variables, arguments...)
}

func newProcessOf(t *testing.T, program *built, variables []string, arguments ...string) *process {
	t.Helper()
	p := &process{t: t, program: program, arguments: arguments, address: freeAddress(t)}
	p.variables = append(p.variables, "FIRSTCOME_HTTP_ADDR="+p.address, "FIRSTCOME_ADMIN_TOKEN="+testToken, "PATH="+os.Getenv("PATH"))
	p.variables = append(p.variables, variables...)
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.output = &syncBuffer{}
	p.command = p.make()
	p.command.Stdout, p.command.Stderr = p.output, p.output
	require.NoError(p.t, p.command.Start())
	require.Eventually(p.t, func() bool {
		response, err := http.Get("http://" + p.address + "/healthz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, patience, tick, "%v does not start", p.arguments)
}

// make gives the command, in an empty folder and with no variables but those of the test.
func (p *process) make() *exec.Cmd {
	program := p.program
	if program == nil {
		program = plainBuild
	}
	command := exec.CommandContext(context.Background(), program.binary(p.t), p.arguments...)
	command.Env, command.Dir, command.SysProcAttr = p.variables, p.t.TempDir(), withParent()
	return command
}

// variables gives a process the environment's servers.
func (env *environment) variables() []string {
	return []string{
		"FIRSTCOME_REDIS_ADDRS=" + strings.Join(env.at.redis, ","), "FIRSTCOME_KAFKA_BROKERS=" + strings.Join(env.at.kafka, ","),
		"FIRSTCOME_MYSQL_DSN=" + env.at.dsn, "FIRSTCOME_KAFKA_TOPIC=" + env.config.KafkaTopic,
		"FIRSTCOME_KAFKA_GROUP=" + env.config.KafkaGroup, "FIRSTCOME_KAFKA_PARTITIONS=4",
		"FIRSTCOME_KAFKA_REPLICATION_FACTOR=1", "FIRSTCOME_LOG_LEVEL=error",
	}
}

// runToEnd runs a process that is expected to end by itself.
func (p *process) runToEnd() (int, string) {
	var output bytes.Buffer
	command := p.make()
	command.Stdout, command.Stderr = &output, &output
	_ = command.Run()
	return command.ProcessState.ExitCode(), output.String()
}

// kill is kill -9: the process gets no chance to finish anything.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// signal sends a signal that the process can't refuse: SIGSTOP freezes it, SIGCONT lets it go on.
func (p *process) signal(signal syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.command.Process.Signal(signal))
}

// terminate is what an orderly stop does; it gives the exit code.
func (p *process) terminate() int {
	require.NoError(p.t, p.command.Process.Signal(syscall.SIGTERM))
	_ = p.command.Wait()
	return p.command.ProcessState.ExitCode()
}

// freeAddress finds a port that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// persistentApplicants apply one user after the other, asking again whenever there is no answer or a 503, until the
// sale is sold out. They keep what they were promised.
func persistentApplicants(s *system, campaign string, clients int64) (wait func() map[int64]answer) {
	promised := map[int64]answer{}
	var mutex sync.Mutex
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for user := client + 1; ; user += clients {
				got, answered := applyUntilAnswered(s, campaign, user)
				if !answered || got.problem() == "sold-out" {
					return
				}
				mutex.Lock()
				promised[user] = got
				mutex.Unlock()
			}
		})
	}
	return func() map[int64]answer { all.Wait(); return promised }
}

func applyUntilAnswered(s *system, campaign string, user int64) (answer, bool) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		got, err := s.call(http.MethodPost, "/v1/campaigns/"+campaign+"/apply", map[string]any{"user_id": user})
		if err == nil && got.status < 500 && got.status != http.StatusNotFound {
			return got, true
		}
		select {
		case <-s.t.Context().Done():
			return answer{}, false
		case <-time.After(tick): // a client's pause before it asks again
		}
	}
	assert.Fail(s.t, "no answer", "user %d", user)
	return answer{}, false
}

// admitted is how many slots of a campaign are handed out; 0 while nobody knows.
func (s *system) admitted(campaign string) int {
	got, err := s.call(http.MethodGet, "/v1/campaigns/"+campaign, nil)
	if _, told := got.body["remaining"]; err != nil || !told {
		return 0
	}
	return int(got.number("quota") - got.number("remaining"))
}

// requirePromisesKept asserts that those who were promised a coupon have it, and that there are exactly quota.
func (s *system) requirePromisesKept(campaign string, promised map[int64]answer, quota int) {
	s.t.Helper()
	for user, got := range promised {
		if got.status == http.StatusOK {
			got.status = http.StatusAccepted
		}
		promised[user] = got
	}
	s.settle(campaign)
	s.requireIssued(campaign, promised)
	s.requireSlots(campaign, quota)
}

// TestMain looks, after the last test, whether a goroutine is left; but for one that sarama's metrics keep for the whole
// process, and one of its circuit breakers, which counts 10 s down after its producer is closed.
func TestMain(m *testing.M) {
	flag.Parse()
	// Those that run side by side wait for processes most of the time: more of them than processors get on well.
	if err := flag.Set("test.parallel", strconv.Itoa(len(crashGroups())+2)); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(tidy{m},
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"))
}

// tidy removes what was built for all tests, and closes the connections that they share.
type tidy struct{ *testing.M }

// Run runs the tests.
func (t tidy) Run() int {
	defer http.DefaultClient.CloseIdleConnections()
	defer func() {
		for _, build := range []*built{plainBuild, crashBuild, clockBuild} {
			if build.path != "" {
				_ = os.Remove(build.path)
			}
		}
	}()
	return t.M.Run()
}

func TestMissingConfigurationIsOneLineThatNamesTheVariable(t *testing.T) {
	complete := map[string]string{
		"FIRSTCOME_HTTP_ADDR": "127.0.0.1:0", "FIRSTCOME_REDIS_ADDRS": "127.0.0.1:1", "FIRSTCOME_KAFKA_BROKERS": "127.0.0.1:1",
		"FIRSTCOME_MYSQL_DSN": "a:b@tcp(127.0.0.1:1)/c", "FIRSTCOME_ADMIN_TOKEN": "t",
	}
	for missing := range complete {
		command := exec.CommandContext(t.Context(), plainBuild.binary(t), "serve")
		for name, value := range complete {
			if name != missing {
				command.Env = append(command.Env, name+"="+value)
			}
		}
		output, err := command.CombinedOutput()
		require.Error(t, err)
		assert.Equal(t, exitUsage, command.ProcessState.ExitCode(), "%s", output)
		assert.Contains(t, string(output), missing+" is not set")
		assert.Equal(t, 1, bytes.Count(output, []byte("\n")), "%s", output)
	}
}
