package loadtest

import (
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"firstcome/domain"
)

// arrivals says when each user is to apply, counted from the start of the run. The zero value lets everybody apply as
// soon as a worker is free (the closed loop).
type arrivals struct {
	perSecond float64
	// ramp is how long the rate rises, evenly, from nothing to perSecond.
	ramp time.Duration
	// At burstAt, burst users come at once, beside the others.
	burstAt time.Duration
	burst   int
	// before is how many users come before the burst.
	before int
}

func arrivalsOf(cfg Config) arrivals {
	a := arrivals{perSecond: cfg.Rate, ramp: cfg.Ramp, burstAt: cfg.BurstAt, burst: cfg.BurstUsers}
	if a.burst > 0 {
		a.before = sort.Search(cfg.Users-a.burst, func(index int) bool { return a.steady(index) >= a.burstAt })
	}
	return a
}

// open says whether the times are given, and nobody waits for the answer of another.
func (a arrivals) open() bool { return a.perSecond > 0 }

// at is when the user of that index is to apply; a later index is never earlier.
func (a arrivals) at(index int) time.Duration {
	switch {
	case index < a.before:
		return a.steady(index)
	case index < a.before+a.burst:
		return a.burstAt
	}
	return a.steady(index - a.burst)
}

// steady is at without the burst. While the rate rises, the number of those who have come grows with the square of the
// time.
func (a arrivals) steady(index int) time.Duration {
	rising := a.perSecond * a.ramp.Seconds() / 2
	seconds := a.ramp.Seconds() + (float64(index)-rising)/a.perSecond
	if float64(index) < rising {
		seconds = math.Sqrt(2 * float64(index) * a.ramp.Seconds() / a.perSecond)
	}
	return time.Duration(seconds * float64(time.Second))
}

// ParseRate reads arrivals a second, such as "5000/s" or "0.5". CodeInvalidRequest.
func ParseRate(text string) (float64, error) {
	number := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "/s"))
	rate, err := strconv.ParseFloat(number, 64)
	if err != nil || !(rate > 0 && rate <= MaxRate) {
		return 0, domain.Invalid("rate", "%q is no rate; it looks like 5000/s, and %.0f/s is the highest", text, MaxRate)
	}
	return rate, nil
}
