package api

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"firstcome/domain"
)

// BenchmarkApply measures the handlers alone: the stores are fakes, and nothing goes over a network.
func BenchmarkApply(b *testing.B) {
	for name, c := range map[string]struct {
		quota, users int64
		status       int
	}{
		"new winner":   {quota: domain.MaxQuota * 100, users: 1 << 40, status: http.StatusAccepted},
		"known winner": {quota: 1, users: 1, status: http.StatusOK},
		"sold out":     {quota: 0, users: 1 << 40, status: http.StatusConflict},
	} {
		b.Run(name, func(b *testing.B) { benchmarkApply(b, c.quota, c.users, c.status) })
	}
}

func benchmarkApply(b *testing.B, quota, users int64, status int) {
	b.Helper()
	f := newFixture(b)
	f.gate.Quota = quota
	f.start()
	handler := f.server.Handler()
	f.apply("1") // the campaigns are read now, and user 1 is known if there is a coupon
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		client := newBenchClient()
		for pb.Next() {
			handler.ServeHTTP(client, client.request(next.Add(1)%users+1))
			if client.status != status {
				b.Errorf("answered %d, expected %d", client.status, status)
			}
		}
	})
}

// BenchmarkDecodeApply measures reading the body of an application.
func BenchmarkDecodeApply(b *testing.B) {
	for name, body := range map[string]string{
		"number": `{"user_id": 1234567890123}`, "text": `{"user_id":"1234567890123"}`,
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(body)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := decodeApply(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchClient sends the same request again and again without allocating, so that only the server's work is counted.
type benchClient struct {
	header  http.Header
	status  int
	sent    *http.Request
	body    bytes.Reader
	content []byte
}

func newBenchClient() *benchClient {
	request := newRequest(http.MethodPost, "/v1/campaigns/spring/apply", `{"user_id": 1}`)
	return &benchClient{header: http.Header{}, sent: request}
}

func (c *benchClient) request(user int64) *http.Request {
	c.content = append(strconv.AppendInt(append(c.content[:0], `{"user_id": `...), user, 10), '}')
	c.body.Reset(c.content)
	c.sent.Body, c.sent.ContentLength = io.NopCloser(&c.body), int64(len(c.content))
	clear(c.header)
	return c.sent
}

func (c *benchClient) Header() http.Header { return c.header }

func (c *benchClient) Write(p []byte) (int, error) { return len(p), nil }

func (c *benchClient) WriteHeader(status int) { c.status = status }
