package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// crowd lets users apply at the same time, in a bubble of testing/synctest, and gives their answers, by user. The first
// of them is at the gate before the others come.
func (b *fixture) crowd(users int) func() map[int]reply {
	var mu sync.Mutex
	var all sync.WaitGroup
	answers := map[int]reply{}
	for user := 1; user <= users; user++ {
		all.Go(func() {
			got := b.apply(strconv.Itoa(user))
			mu.Lock()
			defer mu.Unlock()
			answers[user] = got
		})
		if user == 1 {
			synctest.Wait()
		}
	}
	return func() map[int]reply {
		all.Wait()
		return answers
	}
}

// count says how many had each status, and asserts that whoever was refused as overloaded was not admitted.
func (b *fixture) count(t *testing.T, answers map[int]reply) map[int]int {
	t.Helper()
	counts := map[int]int{}
	for user, got := range answers {
		counts[got.Code]++
		if got.Code == http.StatusServiceUnavailable {
			requireProblem(t, got, 503, domain.CodeOverloaded)
			assert.Equal(t, "1", got.Header().Get("Retry-After"))
			assert.NotContains(t, b.gate.users, domain.UserID(user), "who is told to ask again must not have been admitted")
		}
	}
	assert.Len(t, b.queue.winners(), counts[http.StatusAccepted], "whoever was admitted is published")
	return counts
}

// closedDoor makes a gate that admits nobody until the door is opened, however long that takes.
func closedDoor(b *fixture) (open func()) {
	door := make(chan struct{})
	b.cfg.AdmitTimeout = time.Hour
	b.gate.quota = 1 << 20
	b.gate.admitting = func(context.Context) { <-door }
	return func() { close(door) }
}

func TestNoMoreWaitThanTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.cfg.MaxWaiting, b.cfg.MaxBatch = 40, 8
		b.start()
		defer b.server.Close()
		answers := b.crowd(100)
		synctest.Wait()
		assert.EqualValues(t, 20, b.server.applications.limits.waiting.taken.Load())
		open()
		counts := b.count(t, answers())
		assert.Equal(t, map[int]int{202: 21, 503: 79}, counts, "the one at the gate does not wait in line")
		assert.Zero(t, b.server.applications.limits.waiting.taken.Load())
		assert.Equal(t, http.StatusAccepted, b.apply("1000").Code, "the next one is served as if nothing had been")
	})
}

func TestWhoWaitsForTooLongIsRefusedAndNotAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.cfg.MaxBatch = 8
		b.start()
		defer b.server.Close()
		answers := b.crowd(100)
		time.Sleep(burstWait + time.Nanosecond)
		open()
		counts := b.count(t, answers())
		assert.Equal(t, map[int]int{202: 1, 503: 99}, counts, "who is at the gate already is admitted, however late")
		assert.Equal(t, http.StatusAccepted, b.apply("1000").Code)
	})
}

func TestACrowdThatComesAtOnceIsServedAsLongAsItsPatienceLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.start()
		defer b.server.Close()
		answers := b.crowd(1000)
		time.Sleep(burstWait)
		open()
		assert.Equal(t, map[int]int{202: 1000}, b.count(t, answers()))
	})
}

func TestARefusalIsHeldBackUnlessTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.cfg.MaxWaiting = 1
		b.start()
		defer b.server.Close()
		waiting := b.crowd(2)
		synctest.Wait()
		began := time.Now()
		requireProblem(t, b.apply("1000"), 503, domain.CodeOverloaded)
		assert.Equal(t, refusalAge, time.Since(began), "clients that ask again at once must not keep the server busy")

		ctx, leave := context.WithCancel(t.Context())
		leave()
		began = time.Now()
		b.do(newRequest(http.MethodPost, "/v1/campaigns/spring/apply", `{"user_id":1001}`).WithContext(ctx))
		assert.Zero(t, time.Since(began))
		open()
		waiting()
	})
}

func TestNobodyIsAdmittedWhileKafkaIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.quota, b.cfg.KafkaCrowd, b.cfg.MaxBatch = 1000, 10, 10
		acknowledged := make(chan struct{})
		b.queue.publish = func(ctx context.Context, _ domain.Winner) error {
			select {
			case <-acknowledged:
				return nil
			case <-ctx.Done():
				return domain.Wrap(domain.CodeOutcomeUnknown, ctx.Err(), "no acknowledgement")
			}
		}
		b.start()
		defer b.server.Close()
		crowd := b.crowd(30)
		time.Sleep(kafkaWait + 2*holdPatience)
		admitted := len(b.gate.called())
		began := time.Now()
		refused := b.apply("1000")
		requireProblem(t, refused, 503, domain.CodeOverloaded)
		assert.GreaterOrEqual(t, time.Since(began), refusalAge)
		assert.Len(t, b.gate.called(), admitted, "an admitted one would wait behind the others, and perhaps hear nothing certain")
		close(acknowledged)
		assert.Equal(t, map[int]int{202: 30}, b.count(t, crowd()))
		assert.Equal(t, http.StatusAccepted, b.apply("1001").Code)
	})
}

func TestAFewAreAdmittedAlthoughKafkaIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.quota = 1000
		b.queue.publish = func(ctx context.Context, _ domain.Winner) error {
			<-ctx.Done()
			return domain.Wrap(domain.CodeOutcomeUnknown, errDriver, "no acknowledgement")
		}
		b.start()
		defer b.server.Close()
		var all sync.WaitGroup
		for user := 1; user <= 50; user++ {
			all.Go(func() {
				got := b.apply(strconv.Itoa(user))
				assert.Equal(t, http.StatusAccepted, got.Code)
				assert.Equal(t, "reserved", got.body["status"])
			})
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
	})
}

// TestALineThatStands is about the line alone: how long each may wait in it.
func TestALineThatStands(t *testing.T) {
	began := time.Now()
	applications := func(ages ...time.Duration) []*application {
		var waiting []*application
		for _, age := range ages {
			waiting = append(waiting, &application{since: began.Add(-age)})
		}
		return waiting
	}
	for name, c := range map[string]struct {
		emptyFor time.Duration // since the line was empty
		ages     []time.Duration
		late     int
	}{
		"nobody":                    {time.Hour, nil, 0},
		"a burst":                   {time.Second, []time.Duration{time.Second, 0}, 0},
		"a burst, to its end":       {burstWait, []time.Duration{burstWait, 0}, 0},
		"a burst, after its end":    {burstWait + 1, []time.Duration{burstWait + 1, standingWait + 1, standingWait, 0}, 2},
		"a standing line":           {time.Minute, []time.Duration{standingWait, 0}, 0},
		"a standing line, all late": {time.Minute, []time.Duration{time.Second, time.Second}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(&lineLimits{})
			l.waiting, l.emptyAt = applications(c.ages...), began.Add(-c.emptyFor)
			assert.Equal(t, c.late, l.late(began))
		})
	}
}

func TestKafkaIsBehindACrowd(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		ages   []time.Duration // of batches of 100 winners
		behind bool
	}{
		"nothing under way":       {nil, false},
		"few, for long":           {[]time.Duration{time.Minute}, false},
		"many, just now":          {[]time.Duration{kafkaWait, 0, 0}, false},
		"many, the first late":    {[]time.Duration{kafkaWait + 1, 0}, true},
		"all that there may be":   {[]time.Duration{0, 0, 0, 0, 0, 0, 0, 0}, true},
		"just before there are":   {[]time.Duration{0, 0, 0, 0, 0, 0, 0}, false},
		"a crowd is not exceeded": {[]time.Duration{time.Minute, time.Minute}, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(&lineLimits{kafkaCrowd: 200})
			for _, age := range c.ages {
				l.handedOn(100).since = now.Add(-age)
			}
			assert.Equal(t, c.behind, l.kafkaIsBehind(now))
			for len(l.underWay) > 0 {
				l.cameBack(l.underWay[len(l.underWay)-1])
			}
			assert.Zero(t, l.winnersUnderWay)
		})
	}
}

var errNotTaken = domain.Wrap(domain.CodeOutcomeUnknown, errors.New("not enough replicas"), "Kafka did not take it")

func TestABatchOfWhichKafkaTakesAPartAnswersEachForThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.queue.publish = func(_ context.Context, winner domain.Winner) error {
			if winner.UserID%3 == 0 {
				return errNotTaken
			}
			return nil
		}
		b.start()
		defer b.server.Close()
		answers := b.crowd(30)
		synctest.Wait()
		open()
		slots := map[float64]bool{}
		for user, got := range answers() {
			require.Equal(t, http.StatusAccepted, got.Code)
			if user%3 == 0 {
				assert.Equal(t, "reserved", got.body["status"], user)
				assert.NotContains(t, got.body, "slot")
				continue
			}
			assert.Equal(t, "accepted", got.body["status"], user)
			slot, _ := got.body["slot"].(float64)
			slots[slot] = true
		}
		assert.Len(t, slots, 20, "each has a slot of their own")
		for user := 3; user <= 30; user += 3 {
			assert.Contains(t, b.gate.users, domain.UserID(user), "the place of one whom Kafka did not take stays taken")
		}
		assert.NotEmpty(t, b.gate.entries, "the entry stays for the relay until all of it is in Kafka")
	})
}

func TestClientsThatHangUpAreNotCountedAsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.start()
		defer b.server.Close()
		waiting := b.crowd(1) // it is with the gate, and the next one waits
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan reply)
		go func() {
			left <- b.do(newRequest(http.MethodPost, "/v1/campaigns/spring/apply", `{"user_id":1001}`).WithContext(ctx))
		}()
		synctest.Wait()
		leave()
		open()
		waiting()
		assert.Equal(t, statusClientClosed, (<-left).Code)
		figures := b.get("/metrics").Body.String()
		assert.Contains(t, figures, `status="499"`)
		assert.NotContains(t, figures, `status="503"`)
		assert.Contains(t, figures, `firstcome_applications_total{outcome="overloaded"} 0`)
	})
}
