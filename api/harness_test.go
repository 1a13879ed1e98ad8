package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"firstcome/admission"
	"firstcome/admission/admissiontest"
	"firstcome/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testToken = "a-token-for-tests"

// errDriver is what a driver says: things that no applicant may read.
var errDriver = errors.New("dial tcp 10.0.0.7:3306: password of firstcome refused")

func errAway() error { return domain.Wrap(domain.CodeUnavailable, errDriver, "the store is away") }

// fixture is a server on fakes.
type fixture struct {
	t        testing.TB
	gate     *admissiontest.Gate
	queue    *admissiontest.Queue
	ledger   *fakeLedger
	operated *fakeOperations
	cfg      Config
	checks   []Check
	// cannotAudit leaves the auditor out.
	cannotAudit bool
	pipeline    func(context.Context) (PipelineView, error)
	self        func() domain.Heartbeat
	warnings    func() []domain.StoreWarning
	registry    *prometheus.Registry
	log         *logBuffer
	server      *Server
}

// newFixture gives a server that is not started: tests change the fakes and the configuration first.
func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	ledger := newFakeLedger()
	return &fixture{
		t: tb, gate: admissiontest.NewGate(2), queue: &admissiontest.Queue{}, ledger: ledger, registry: prometheus.NewRegistry(),
		operated: &fakeOperations{fakeLedger: ledger},
		cfg:      Config{DefaultCampaign: "spring", AdminToken: testToken, Version: "1.2.3", Admission: admission.Config{RefusalDemand: 1}}, log: &logBuffer{},
	}
}

func (b *fixture) ports() Ports {
	ports := Ports{
		Admitter: b.gate, GateReader: b.gate, GateLister: b.gate, Publisher: b.queue,
		CampaignReader: b.ledger, CampaignWriter: b.ledger,
		CouponReader: b.ledger, FailEventReader: b.ledger, FailEventOperator: b.ledger, LedgerCounter: b.ledger,
		FunnelReader: b.operated, CouponFinder: b.operated, CouponRevoker: b.operated, BulkReader: b.operated,
		BulkRunner: b.operated, Heartbeats: b.operated, ActionLog: b.operated, Funnel: b.operated, Self: b.self,
		SettingStore: b.ledger, Checks: b.checks, Warnings: b.warnings, Pipeline: b.pipeline, Auditor: b.ledger, Gatherer: b.registry,
	}
	if b.cannotAudit {
		ports.Auditor = nil
	}
	return ports
}

// start makes the server; anybody who starts it in a bubble of testing/synctest closes it there.
func (b *fixture) start() *fixture {
	b.t.Helper()
	server, err := New(b.cfg, b.ports(), b.registry, slog.New(slog.NewTextHandler(b.log, nil)))
	require.NoError(b.t, err)
	b.server = server
	b.t.Cleanup(server.Close)
	return b
}

// reply is what a call answered.
type reply struct {
	*httptest.ResponseRecorder
	body map[string]any
}

func (r reply) problem() string {
	kind, _ := r.body["type"].(string)
	return strings.TrimPrefix(kind, problemPrefix)
}

func (b *fixture) do(request *http.Request) reply {
	b.t.Helper()
	got := reply{ResponseRecorder: httptest.NewRecorder()}
	b.server.Handler().ServeHTTP(got, request)
	if strings.Contains(got.Header().Get("Content-Type"), "json") {
		require.NoError(b.t, json.Unmarshal(got.Body.Bytes(), &got.body), got.Body.String())
	}
	if !b.cfg.OperationsOnly && got.Code != statusClientClosed { // which nobody reads
		requireDocumented(b.t, request, got)
	}
	return got
}

func newRequest(method, path, body string) *http.Request {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return request
}

func (b *fixture) get(path string) reply {
	b.t.Helper()
	return b.do(newRequest(http.MethodGet, path, ""))
}

func (b *fixture) apply(user string) reply {
	b.t.Helper()
	return b.do(newRequest(http.MethodPost, "/v1/campaigns/spring/apply", `{"user_id": `+user+`}`))
}

// admin calls as an operator.
func (b *fixture) admin(method, path, body string) reply {
	b.t.Helper()
	request := newRequest(method, "/v1/admin"+path, body)
	request.Header.Set("Authorization", "Bearer "+testToken)
	return b.do(request)
}

// requireProblem asserts a refusal: its status, its code, and that it is a whole problem which tells no secret.
func requireProblem(t *testing.T, got reply, status int, code domain.Code) {
	t.Helper()
	require.Equal(t, status, got.Code, got.Body.String())
	require.Equal(t, "application/problem+json", got.Header().Get("Content-Type"))
	require.Equal(t, string(code), got.problem())
	assert.EqualValues(t, status, got.body["status"])
	assert.NotEmpty(t, got.body["title"])
	assert.NotEmpty(t, got.body["detail"])
	assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
	assert.NotContains(t, got.Body.String(), "10.0.0.7")
	if status == http.StatusServiceUnavailable {
		assert.NotEmpty(t, got.Header().Get("Retry-After"))
	}
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var _ io.Writer = (*logBuffer)(nil)

func mustJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}
