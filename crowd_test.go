package main

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// crowd applies at several systems with ever new users, and again and again with those who were promised a coupon: each
// must hear the same slot, whatever operators do meanwhile.
type crowd struct {
	t        *testing.T
	systems  []*system
	campaign string

	mutex sync.Mutex
	// promised holds the slot that was named to each user that a coupon was promised to, 0 while none was.
	promised map[int64]int64
	// givenUp are the users that an operator takes the coupon from; noted before it happens.
	givenUp map[int64]bool
	order   []int64
	next    int64
	ended   bool
	halt    chan struct{}
	done    sync.WaitGroup
}

func newCrowd(t *testing.T, campaign string, systems ...*system) *crowd {
	t.Helper()
	return &crowd{
		t: t, systems: systems, campaign: campaign, promised: map[int64]int64{}, givenUp: map[int64]bool{},
	}
}

// start lets so many clients apply at each system until stop.
func (c *crowd) start(clients int) {
	c.halt = make(chan struct{})
	for _, s := range c.systems {
		for range clients {
			c.done.Go(func() { c.applyOnAndOn(s) })
		}
	}
}

func (c *crowd) stop() {
	close(c.halt)
	c.done.Wait()
}

func (c *crowd) applyOnAndOn(s *system) {
	for n := 0; ; n++ {
		select {
		case <-c.halt:
			return
		case <-time.After(5 * time.Millisecond): // a pace, so that operators meet a load and not a flood
		}
		if again := c.somebodyPromised(); n%3 == 2 && again != 0 {
			c.askAgain(s, again)
		} else {
			c.apply(s, c.newUser())
		}
	}
}

func (c *crowd) newUser() int64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.next++
	return c.next
}

func (c *crowd) somebodyPromised() int64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.order) == 0 {
		return 0
	}
	return c.order[rand.IntN(len(c.order))] //nolint:gosec // who asks again is no secret
}

// giveUp notes that an operator is about to take something away from a user.
func (c *crowd) giveUp(user int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.givenUp[user] = true
}

func (c *crowd) isGivenUp(user int64) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.givenUp[user]
}

// apply asks once, and says whether a coupon was promised.
func (c *crowd) apply(s *system, user int64) bool {
	got, err := s.call(http.MethodPost, "/v1/campaigns/"+c.campaign+"/apply", map[string]any{"user_id": user})
	if !assert.NoError(c.t, err) {
		return false
	}
	switch {
	case got.status == http.StatusAccepted || got.status == http.StatusOK:
		c.note(user, got.number("slot"))
		return true
	case got.status == http.StatusServiceUnavailable:
		assert.NotEmpty(c.t, got.header.Get("Retry-After"), "%v", got.body)
	case got.problem() == "ended":
		assert.True(c.t, c.isEnded(), "user %d: %v", user, got.body)
	default:
		assert.Contains(c.t, []string{"sold-out", "paused"}, got.problem(), "user %d: %v", user, got.body)
	}
	return false
}

func (c *crowd) note(user, slot int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	known, promised := c.promised[user]
	if !promised {
		c.order = append(c.order, user)
	}
	if known != 0 && slot != 0 {
		assert.Equal(c.t, known, slot, "user %d was told another slot before", user)
	}
	c.promised[user] = max(known, slot)
}

// askAgain asks for a user that a coupon was promised to: no refusal is right but that the gate is closed for a moment,
// and that an operator took the coupon away.
func (c *crowd) askAgain(s *system, user int64) {
	got, err := s.call(http.MethodPost, "/v1/campaigns/"+c.campaign+"/apply", map[string]any{"user_id": user})
	if !assert.NoError(c.t, err) {
		return
	}
	switch got.status {
	case http.StatusOK, http.StatusAccepted:
		c.note(user, got.number("slot"))
	case http.StatusServiceUnavailable:
	default:
		assert.Equal(c.t, "revoked", got.problem(), "user %d has a promise: %v", user, got.body)
		assert.True(c.t, c.isGivenUp(user), "user %d lost a coupon that no operator took away", user)
	}
}

func (c *crowd) setEnded() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.ended = true
}

func (c *crowd) isEnded() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.ended
}
