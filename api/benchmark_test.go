package api

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	f.gate.quota = quota
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

// BenchmarkLine measures the line alone, as applicants meet it: they join, a worker takes them in batches and answers.
func BenchmarkLine(b *testing.B) {
	l := newLine(&lineLimits{maxBatch: 512, workers: 1, batches: 4, patience: holdPatience, kafkaCrowd: 8192,
		waiting: places{most: 16384},
	})
	pool := sync.Pool{New: newApplication}
	var taken, batches atomic.Int64
	work := func() {
		var batch, late []*application
		for dismissed := false; !dismissed; {
			batch, late, dismissed = l.take(batch, late)
			if len(batch) > 0 {
				batches.Add(1)
				taken.Add(int64(len(batch)))
			}
			for _, asked := range append(late, batch...) {
				asked.answered(http.StatusOK, winnerView{}, nil)
			}
		}
	}
	b.SetParallelism(512)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			asked := pool.Get().(*application)
			asked.since = time.Now()
			startWorker, err := l.join(asked)
			if err != nil {
				b.Error(err)
				return
			}
			if startWorker {
				go work()
			}
			<-asked.done
			pool.Put(asked)
		}
	})
	b.ReportMetric(float64(taken.Load())/float64(max(batches.Load(), 1)), "users/batch")
}

// BenchmarkRefuse measures a refusal from memory: the question whether a user is known among a million.
func BenchmarkRefuse(b *testing.B) {
	r, now := newRefusals("spring"), time.Now()
	known := knownUsers{1, make([]domain.UserID, 1_000_000)}
	for i := range known.users {
		known.users[i] = domain.UserID(2 * i)
	}
	for _, code := range []domain.Code{domain.CodeSoldOut, domain.CodeNotStarted} {
		b.Run(string(code), func(b *testing.B) {
			r.grant(r.dropped(), &refusalGrant{
				until: now.Add(time.Hour), startsAt: now.Add(time.Hour), refusal: &domain.Error{Code: code}, known: known,
			})
			b.ReportAllocs()
			user := domain.UserID(1)
			for b.Loop() {
				user = (user + 1_000_002) % 2_000_000
				if r.refuse(user|1, now) == nil {
					b.Fatal("not refused")
				}
			}
		})
	}
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

func (c *benchClient) Header() http.Header         { return c.header }
func (c *benchClient) Write(p []byte) (int, error) { return len(p), nil }
func (c *benchClient) WriteHeader(status int)      { c.status = status }
