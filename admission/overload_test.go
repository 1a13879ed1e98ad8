package admission

import (
	"context"
	"errors"
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
func (b *fixture) crowd(users int) func() map[int]Answer {
	var mu sync.Mutex
	var all sync.WaitGroup
	answers := map[int]Answer{}
	for user := 1; user <= users; user++ {
		all.Go(func() {
			got := b.apply(domain.UserID(user))
			mu.Lock()
			defer mu.Unlock()
			answers[user] = got
		})
		if user == 1 {
			synctest.Wait()
		}
	}
	return func() map[int]Answer {
		all.Wait()
		return answers
	}
}

// count says how many were admitted ("") and refused, and asserts that who was refused as overloaded was not admitted.
func (b *fixture) count(t *testing.T, answers map[int]Answer) map[domain.Code]int {
	t.Helper()
	counts := map[domain.Code]int{}
	for user, got := range answers {
		counts[domain.CodeOf(got.Err)]++
		if got.Err != nil {
			requireCode(t, domain.CodeOverloaded, got)
			assert.NotContains(t, b.gate.Users, domain.UserID(user), "who is told to ask again must not have been admitted")
		}
	}
	assert.Len(t, b.queue.Winners(), counts[""], "who was admitted is published")
	return counts
}

// closedDoor makes a gate that admits nobody until the door is opened, however long that takes.
func closedDoor(b *fixture) (open func()) {
	door := make(chan struct{})
	b.cfg.AdmitTimeout = time.Hour
	b.gate.Quota = 1 << 20
	b.gate.Admitting = func(context.Context) { <-door }
	return func() { close(door) }
}

func TestNoMoreWaitThanTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.cfg.MaxWaiting, b.cfg.MaxBatch = 40, 8
		b.start()
		defer b.close()
		answers := b.crowd(100)
		synctest.Wait()
		assert.EqualValues(t, 20, b.service.limits.waiting.taken.Load())
		open()
		counts := b.count(t, answers())
		assert.Equal(t, map[domain.Code]int{"": 21, domain.CodeOverloaded: 79}, counts, "the one at the gate does not wait in line")
		assert.Zero(t, b.service.limits.waiting.taken.Load())
		assert.NoError(t, b.apply(1000).Err, "the next one is served as if nothing had been")
	})
}

func TestWhoWaitsForTooLongIsRefusedAndNotAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.cfg.MaxBatch = 8
		b.start()
		defer b.close()
		answers := b.crowd(100)
		time.Sleep(burstWait + time.Nanosecond)
		open()
		counts := b.count(t, answers())
		assert.Equal(t, map[domain.Code]int{"": 1, domain.CodeOverloaded: 99}, counts, "who is at the gate already is admitted, however late")
		assert.NoError(t, b.apply(1000).Err)
	})
}

func TestACrowdThatComesAtOnceIsServedAsLongAsItsPatienceLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.start()
		defer b.close()
		answers := b.crowd(1000)
		time.Sleep(burstWait)
		open()
		assert.Equal(t, map[domain.Code]int{"": 1000}, b.count(t, answers()))
	})
}

func TestARefusalIsHeldBackUnlessTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		open := closedDoor(b)
		b.cfg.MaxWaiting = 1
		b.start()
		defer b.close()
		waiting := b.crowd(2)
		synctest.Wait()
		began := time.Now()
		requireCode(t, domain.CodeOverloaded, b.apply(1000))
		assert.Equal(t, refusalAge, time.Since(began), "clients that ask again at once must not keep the server busy")

		ctx, leave := context.WithCancel(t.Context())
		leave()
		began = time.Now()
		b.service.Apply(ctx, "spring", 1001)
		assert.Zero(t, time.Since(began))
		open()
		waiting()
	})
}

func TestNobodyIsAdmittedWhileKafkaIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.Quota, b.cfg.KafkaCrowd, b.cfg.MaxBatch = 1000, 10, 10
		acknowledged := make(chan struct{})
		b.queue.Publishing = func(ctx context.Context, _ domain.Winner) error {
			select {
			case <-acknowledged:
				return nil
			case <-ctx.Done():
				return domain.Wrap(domain.CodeOutcomeUnknown, ctx.Err(), "no acknowledgement")
			}
		}
		b.start()
		defer b.close()
		crowd := b.crowd(30)
		time.Sleep(kafkaWait + 2*holdPatience)
		admitted := len(b.gate.Called())
		began := time.Now()
		refused := b.apply(1000)
		requireCode(t, domain.CodeOverloaded, refused)
		assert.GreaterOrEqual(t, time.Since(began), refusalAge)
		assert.Len(t, b.gate.Called(), admitted, "an admitted one would wait behind the others, and perhaps hear nothing certain")
		close(acknowledged)
		assert.Equal(t, map[domain.Code]int{"": 30}, b.count(t, crowd()))
		assert.NoError(t, b.apply(1001).Err)
	})
}

func TestAFewAreAdmittedAlthoughKafkaIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFixture(t)
		b.gate.Quota = 1000
		b.queue.Publishing = func(ctx context.Context, _ domain.Winner) error {
			<-ctx.Done()
			return domain.Wrap(domain.CodeOutcomeUnknown, errDriver, "no acknowledgement")
		}
		b.start()
		defer b.close()
		var all sync.WaitGroup
		for user := 1; user <= 50; user++ {
			all.Go(func() {
				got := b.apply(domain.UserID(user))
				assert.NoError(t, got.Err)
				assert.Equal(t, StatusReserved, got.Winner.Status)
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
		b.queue.Publishing = func(_ context.Context, winner domain.Winner) error {
			if winner.UserID%3 == 0 {
				return errNotTaken
			}
			return nil
		}
		b.start()
		defer b.close()
		answers := b.crowd(30)
		synctest.Wait()
		open()
		slots := map[domain.Slot]bool{}
		for user, got := range answers() {
			require.NoError(t, got.Err)
			if user%3 == 0 {
				assert.Equal(t, StatusReserved, got.Winner.Status, user)
				assert.Zero(t, got.Winner.Slot)
				continue
			}
			assert.Equal(t, StatusAccepted, got.Winner.Status, user)
			slots[got.Winner.Slot] = true
		}
		assert.Len(t, slots, 20, "each has a slot of their own")
		for user := 3; user <= 30; user += 3 {
			assert.Contains(t, b.gate.Users, domain.UserID(user), "the place of one that Kafka did not take stays taken")
		}
		assert.NotEmpty(t, b.gate.Entries, "the entry stays for the relay until all of it is in Kafka")
	})
}
