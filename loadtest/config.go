package loadtest

import (
	"math"
	"net"
	"net/url"
	"strings"
	"time"

	"firstcome/domain"
)

// Limits of a run, so that a mistyped number is an error and not a machine without memory or sockets.
const (
	// MaxUsers bounds the applications of one run; each takes about 80 bytes of memory until the run is over.
	MaxUsers = 10_000_000
	// MaxConcurrency bounds the connections of one run.
	MaxConcurrency = 10_000
	// MaxRate bounds the arrivals a second of the open loop.
	MaxRate = 1e6
	// MaxLength bounds the time over which users of the open loop come.
	MaxLength = 24 * time.Hour
)

// Config says what a run does. A field that is 0 or empty takes the default that its comment states.
type Config struct {
	// BaseURL is where firstcome answers, for instance http://127.0.0.1:8080, which is the default.
	BaseURL string
	// AllowRemote permits a BaseURL that is not this machine. Without it a run is refused there, because a load test
	// sent to the wrong address is an attack.
	AllowRemote bool
	// AdminToken is sent to the admin API only.
	AdminToken string
	// Campaign is the code of the campaign to apply for; Create says to make it when it does not exist. Empty makes a new
	// one for this run alone.
	Campaign string
	Create   bool
	// Quota is the new campaign's; default 100. A campaign that exists keeps its own.
	Quota int64
	// Users is how many users apply, once each; default 1000.
	Users int
	// FirstUserID is the lowest user ID, the others follow it; default 1. Generators that share a campaign need ranges
	// of their own, else one is surprised by the coupons of another.
	FirstUserID int64
	// Concurrency is how many applications are under way at the most, each on a connection of its own; default 32, in
	// the open loop 1000.
	Concurrency int
	// Rate makes the loop an open one: so many users come a second, whether or not those before them were answered. 0 is
	// the closed loop.
	Rate float64
	// Ramp is how long the rate rises, evenly, from nothing to Rate.
	Ramp time.Duration
	// BurstUsers of the users come all at once at BurstAt, counted from the start, beside those who come at the rate.
	BurstUsers int
	BurstAt    time.Duration
	// Seed decides the order of the users; default a random one, which is printed.
	Seed uint64
	// RequestTimeout bounds one request; default 10 s. An application that is not answered in time counts as unknown.
	RequestTimeout time.Duration
	// MaxRetries is how often one application is sent again after a 503 that names a Retry-After; default 10.
	MaxRetries int
	// Once sends each application once, whatever the answer, and leaves it at that: promises and coupons are not
	// compared. It is for loads of which nothing but the answers is of interest, such as an overload.
	Once bool
	// OpenTimeout bounds the wait for a new campaign's gate; default 30 s.
	OpenTimeout time.Duration
	// SettleTimeout bounds the wait, after the last answer, until every promise has become a coupon; default 60 s.
	SettleTimeout time.Duration
	// Progress shows how far the run is: a bar on a terminal, a line every two seconds elsewhere.
	Progress bool

	// statusAge is how old a campaign's status may be when the server gives it, because one answer is shared among
	// all who ask at about the same time; 1 s, twice what the server promises. A "settled" of before the last
	// application must not be taken for one after it.
	statusAge time.Duration
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(orDefault(c.BaseURL, "http://127.0.0.1:8080"), "/")
	c.Quota = orDefault(c.Quota, 100)
	c.Users = orDefault(c.Users, 1000)
	c.FirstUserID = orDefault(c.FirstUserID, 1)
	if c.Rate > 0 {
		c.Concurrency = orDefault(c.Concurrency, 1000)
	}
	c.Concurrency = orDefault(c.Concurrency, 32)
	c.RequestTimeout = orDefault(c.RequestTimeout, 10*time.Second)
	c.MaxRetries = orDefault(c.MaxRetries, 10)
	c.OpenTimeout = orDefault(c.OpenTimeout, 30*time.Second)
	c.SettleTimeout = orDefault(c.SettleTimeout, 60*time.Second)
	c.statusAge = orDefault(c.statusAge, time.Second)
	return c
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// check refuses, naming the field, what can't be run. It expects the defaults to be filled in.
func (c Config) check() error {
	if err := checkBaseURL(c.BaseURL, c.AllowRemote); err != nil {
		return err
	}
	if c.Campaign != "" {
		if err := domain.CheckCampaignCode(c.Campaign); err != nil {
			return err
		}
	}
	if err := c.checkNumbers(); err != nil {
		return err
	}
	return c.checkArrivals()
}

// checkArrivals looks at the open loop's settings, which mean nothing without a rate.
func (c Config) checkArrivals() error {
	switch {
	case !(c.Rate >= 0 && c.Rate <= MaxRate):
		return domain.Invalid("rate", "rate must be 0 to %.0f a second", MaxRate)
	case c.Rate == 0 && (c.Ramp != 0 || c.BurstUsers != 0 || c.BurstAt != 0):
		return domain.Invalid("rate", "ramp and burst need a rate")
	case c.Rate > 0 && float64(c.Users)/c.Rate > (MaxLength-c.Ramp).Seconds():
		return domain.Invalid("rate", "%d users would come for longer than %s", c.Users, MaxLength)
	case c.Ramp < 0 || c.Ramp > MaxLength:
		return domain.Invalid("ramp", "ramp must be 0 to %s", MaxLength)
	}
	return c.checkBurst()
}

func (c Config) checkBurst() error {
	switch {
	case c.BurstAt < 0 || c.BurstAt > MaxLength:
		return domain.Invalid("burst_at", "the time of the burst must be 0 to %s", MaxLength)
	case c.BurstUsers < 0 || c.BurstUsers > c.Users:
		return domain.Invalid("burst_users", "burst_users must be 0 to the number of users, %d", c.Users)
	case c.BurstAt > 0 && c.BurstUsers == 0:
		return domain.Invalid("burst_users", "a burst needs users")
	}
	return nil
}

func (c Config) checkNumbers() error {
	for _, limit := range []struct {
		field           string
		value, min, max int64
	}{
		{"quota", c.Quota, 1, domain.MaxQuota},
		{"users", int64(c.Users), 1, MaxUsers},
		{"first_user_id", c.FirstUserID, 1, math.MaxInt64 - MaxUsers},
		{"concurrency", int64(c.Concurrency), 1, MaxConcurrency},
		{"max_retries", int64(c.MaxRetries), 1, math.MaxInt32},
		{"request_timeout", int64(c.RequestTimeout), 1, math.MaxInt64},
		{"open_timeout", int64(c.OpenTimeout), 1, math.MaxInt64},
		{"settle_timeout", int64(c.SettleTimeout), 1, math.MaxInt64},
	} {
		if limit.value < limit.min || limit.value > limit.max {
			return domain.Invalid(limit.field, "%s must be %d to %d", limit.field, limit.min, limit.max)
		}
	}
	return nil
}

func checkBaseURL(text string, allowRemote bool) error {
	base, err := url.Parse(text)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Hostname() == "" {
		return domain.Invalid("base_url", "%q is no base URL; it looks like http://127.0.0.1:8080", text)
	}
	if base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return domain.Invalid("base_url", "the base URL must have no user, query or fragment")
	}
	if !allowRemote && !isLoopback(base.Hostname()) {
		return domain.Invalid("base_url", "%s is not this machine: load goes to loopback addresses only "+
			"(127.0.0.1, ::1, localhost) unless remote targets are allowed explicitly", base.Host)
	}
	return nil
}

// isLoopback asks no name server: a name other than localhost may point elsewhere a moment later.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
