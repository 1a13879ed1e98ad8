package admission

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firstcome/domain"
)

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
				asked.answered(Answer{})
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
