package api

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestNewSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config, *Ports)
		want   string
	}{
		"a port":           {func(_ *Config, p *Ports) { p.Publisher = nil }, "the port Publisher is missing"},
		"the gatherer":     {func(_ *Config, p *Ports) { p.Gatherer = nil }, "the port Gatherer is missing"},
		"a check":          {func(_ *Config, p *Ports) { p.Checks = []Check{{Name: "redis"}} }, "a check needs"},
		"the campaign":     {func(c *Config, _ *Ports) { c.DefaultCampaign = "No Code" }, "default campaign"},
		"an origin":        {func(c *Config, _ *Ports) { c.CORSOrigins = []string{"https://shop.example/"} }, "https://shop.example/"},
		"an origin's case": {func(c *Config, _ *Ports) { c.CORSOrigins = []string{"https://Shop.example"} }, "Shop.example"},
		"no origin":        {func(c *Config, _ *Ports) { c.CORSOrigins = []string{"shop.example"} }, "shop.example"},
		"the star":         {func(c *Config, _ *Ports) { c.CORSOrigins = []string{"*", "https://shop.example"} }, "alone"},
		"a timeout":        {func(c *Config, _ *Ports) { c.Admission.AdmitTimeout = -1 }, "timeout"},
		"a limit":          {func(c *Config, _ *Ports) { c.MaxConnections = -1 }, "limit"},
		"a proxy":          {func(c *Config, _ *Ports) { c.TrustedProxies = []string{"my-proxy"} }, "my-proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t)
			ports := b.ports()
			c.change(&b.cfg, &ports)
			_, err := New(b.cfg, ports, b.registry, nil)
			require.ErrorContains(t, err, c.want)
		})
	}
	b := newFixture(t).start()
	_, err := New(b.cfg, b.ports(), b.registry, nil)
	require.ErrorAs(t, err, &prometheus.AlreadyRegisteredError{}, "a second server needs a registry of its own")
}

func TestAProcessWithoutTheAPIRoleTellsOnlyHowItIs(t *testing.T) {
	b := newFixture(t)
	b.cfg.OperationsOnly = true
	server, err := New(b.cfg, Ports{Gatherer: b.registry, Checks: []Check{{
		Name: "kafka", Required: true, Ping: func(context.Context) error { return nil },
	}}}, b.registry, nil)
	require.NoError(t, err)
	b.server = server
	defer server.Close()
	assert.Equal(t, http.StatusOK, b.get("/healthz").Code)
	assert.JSONEq(t, `{"status":"ready","checks":[{"name":"kafka","required":true,"status":"ok"}]}`, b.get("/readyz").Body.String())
	assert.Equal(t, http.StatusOK, b.get("/metrics").Code)
	requireProblem(t, b.apply("42"), 404, domain.CodeNotFound)
	requireProblem(t, b.admin(http.MethodGet, "/campaigns", ""), 404, domain.CodeNotFound)
}

// running is a server that runs on a listener of its own.
type running struct {
	url  string
	stop context.CancelFunc
	done chan error
}

func (b *fixture) run() *running {
	b.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b.t, err)
	ctx, stop := context.WithCancel(context.Background())
	r := &running{url: "http://" + listener.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() { r.done <- b.server.Run(ctx, listener) }()
	b.t.Cleanup(func() { stop(); http.DefaultClient.CloseIdleConnections() })
	return r
}

func TestAStopLetsTheApplicationUnderWayFinish(t *testing.T) {
	b := newFixture(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	b.queue.Publishing = func(context.Context, domain.Winner) error { close(entered); <-leave; return nil }
	r := b.start().run()
	answered := make(chan int, 1)
	go func() {
		response, err := http.Post(r.url+"/apply-coupon", "application/json", strings.NewReader(`{"user_id":42}`))
		if assert.NoError(t, err) {
			answered <- response.StatusCode
			response.Body.Close()
		}
	}()
	<-entered
	r.stop()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond, "no new connection is taken")
	close(leave)
	assert.Equal(t, http.StatusAccepted, <-answered)
	require.NoError(t, <-r.done)
	assert.Equal(t, []string{"admit", "confirm"}, b.gate.Called())
	assert.Error(t, b.server.background.Err(), "who has run needs no Close")
}

func TestAStopDoesNotWaitForEver(t *testing.T) {
	b := newFixture(t)
	b.cfg.ShutdownTimeout = 10 * time.Millisecond
	entered, leave := make(chan struct{}), make(chan struct{})
	b.queue.Publishing = func(context.Context, domain.Winner) error { close(entered); <-leave; return nil }
	r := b.start().run()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		response, err := http.Post(r.url+"/apply-coupon", "application/json", strings.NewReader(`{"user_id":42}`))
		if err == nil {
			response.Body.Close()
		}
	}()
	<-entered
	r.stop()
	require.ErrorContains(t, <-r.done, "still under way")
	close(leave)
	<-ended
	require.Eventually(t, func() bool { return len(b.gate.Called()) == 2 }, 5*time.Second, time.Millisecond,
		"an admission is finished even so")
}

func TestRunSaysThatTheListenerFailed(t *testing.T) {
	b := newFixture(t).start()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	require.Error(t, b.server.Run(t.Context(), listener))
}

func TestOneConnectionMoreThanTheLimitWaitsForTheRequestsUnderWay(t *testing.T) {
	b := newFixture(t)
	b.cfg.MaxConnections = 1
	entered, leave := make(chan struct{}), make(chan struct{})
	b.queue.Publishing = func(context.Context, domain.Winner) error { close(entered); <-leave; return nil }
	r := b.start().run()
	first := b.dial(r)
	first.ask("POST /apply-coupon HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"user_id\":1}")
	<-entered
	second := b.dial(r)
	second.ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, second.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err := second.reader.Peek(1)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	close(leave)
	require.Contains(t, first.answer(), "202")
	require.NoError(t, second.SetReadDeadline(time.Now().Add(10*time.Second)))
	assert.Contains(t, second.answer(), "200 OK", "the first connection is kept by nobody")
	r.stop()
	require.NoError(t, <-r.done)
}

// Thousands of connections that ask now and then must keep nobody out.
func TestIdleConnectionsKeepNeitherProbesNorApplicantsOut(t *testing.T) {
	const most = 2000
	b := newFixture(t)
	b.cfg.MaxConnections = most
	b.gate.Quota = most
	r := b.start().run()
	idle := make([]*rawConn, most)
	for i := range idle {
		idle[i] = b.dial(r)
		if i >= most*crowdedShare/100-1 {
			continue // an answer would close it
		}
		idle[i].ask("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
		require.Contains(t, idle[i].answer(), "200 OK")
		if i == 0 {
			require.Eventually(t, func() bool { return b.server.connections.waitingNow() == 1 }, 10*time.Second, time.Millisecond)
		}
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/healthz", "/readyz", "/v1/campaigns/spring"} {
		response, err := client.Get(r.url + path)
		require.NoError(t, err, path)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusOK, response.StatusCode, path)
		assert.True(t, response.Close, "no connection is kept while there are nearly too many")
	}
	for range 50 {
		response, err := client.Post(r.url+"/apply-coupon", "application/json", strings.NewReader(`{"user_id":42}`))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Less(t, response.StatusCode, 300)
	}
	require.NoError(t, idle[0].SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err := idle[0].reader.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the one that was idle for the longest made room")
	newest := idle[most-1]
	newest.ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.Contains(t, newest.answer(), "200 OK", "the newest did not have to go")
	for _, conn := range idle {
		_ = conn.Close()
	}
	r.stop()
	require.NoError(t, <-r.done)
}

func TestAStopEndsAListenerThatWaitsForAPlace(t *testing.T) {
	b := newFixture(t)
	b.cfg.MaxConnections = 1
	b.cfg.ShutdownTimeout = 50 * time.Millisecond
	r := b.start().run()
	only := b.dial(r)
	only.ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	require.Contains(t, only.answer(), "200 OK")
	r.stop()
	require.NoError(t, <-r.done)
}

func TestAHeaderThatIsTooLargeIsRefused(t *testing.T) {
	r := newFixture(t).start().run()
	request, err := http.NewRequest(http.MethodGet, r.url+"/healthz", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("X-Large", strings.Repeat("x", 2*maxHeaderBytes))
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
	r.stop()
	require.NoError(t, <-r.done)
}

// rawConn is a connection on which a test speaks HTTP itself.
type rawConn struct {
	net.Conn
	t      testing.TB
	reader *bufio.Reader
}

func (b *fixture) dial(r *running) *rawConn {
	b.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(b.t, err)
	b.t.Cleanup(func() { conn.Close() })
	return &rawConn{Conn: conn, t: b.t, reader: bufio.NewReader(conn)}
}

func (c *rawConn) ask(request string) {
	c.t.Helper()
	_, err := io.WriteString(c, request)
	require.NoError(c.t, err)
}

func (c *rawConn) answer() string {
	c.t.Helper()
	response, err := http.ReadResponse(c.reader, nil)
	require.NoError(c.t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(c.t, err)
	require.NoError(c.t, response.Body.Close())
	return response.Status
}

func (c *connectionLimit) waitingNow() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting.Len()
}
