package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firstcome/admission"
	"firstcome/domain"
	"firstcome/operator"
)

// Config says how the server behaves. A zero number or duration stands for the default that the field names.
type Config struct {
	// DefaultCampaign is the code for which POST /apply-coupon applies; empty means that the call knows no campaign.
	DefaultCampaign string
	// AdminToken is a bearer token that all operators share, Tokens are those of single ones. Without any, every
	// operator's call is refused.
	AdminToken string
	Tokens     []OperatorToken
	// ConsoleKey signs the console's sessions. All processes behind one address need the same; without one, a session
	// ends with the process, and holds for it alone.
	ConsoleKey string
	// CORSOrigins are the origins whose pages may call, such as "https://shop.example", or "*" alone for all.
	CORSOrigins []string
	// Admission says how applications are decided.
	Admission admission.Config
	// MaxBodyBytes bounds the body of an application (4 KiB), MaxAdminBodyBytes that of an operator's call (64 KiB).
	MaxBodyBytes, MaxAdminBodyBytes int64
	// MaxConnections is how many connections are open at once (10000). For a further one, that which has waited for a
	// request the longest is closed; while there is none, it waits in the listener's queue (connections.go).
	MaxConnections int
	// ShutdownTimeout is how long Run waits for requests under way once its context has ended (15 s).
	ShutdownTimeout time.Duration
	// TrustedProxies are the addresses or CIDR ranges whose X-Forwarded-For is believed; none unless stated.
	TrustedProxies []string
	// Version is shown by /healthz.
	Version string
	// OperationsOnly leaves only /healthz, /readyz and /metrics, for a process without the api role; of the ports it
	// needs Gatherer and Checks.
	OperationsOnly bool
}

// Ports are the stores and roles that the server reaches. All are required but Epochs, Self, Checks, Warnings, Pipeline and
// Auditor.
type Ports struct {
	Admitter          domain.Admitter
	GateReader        domain.GateReader
	GateLister        domain.GateLister
	Publisher         domain.Publisher
	CampaignReader    domain.CampaignReader
	CampaignWriter    domain.CampaignWriter
	CouponReader      domain.CouponReader
	FailEventReader   domain.FailEventReader
	FailEventOperator domain.FailEventOperator
	LedgerCounter     domain.LedgerCounter
	SettingStore      domain.SettingStore
	FunnelReader      domain.FunnelReader
	CouponFinder      domain.CouponFinder
	CouponRevoker     domain.CouponRevoker
	BulkReader        domain.BulkReader
	BulkRunner        domain.BulkRunner
	Heartbeats        domain.HeartbeatStore
	ActionLog         domain.ActionLog
	// Funnel counts what becomes of applications, in memory; it must be as cheap as that.
	Funnel FunnelCounter
	// Epochs may be nil: then a gate that was replaced may be taken for the one in use.
	Epochs domain.EpochWitness
	// Self says how this process does; nil leaves that to what it last told the ledger.
	Self func() domain.Heartbeat
	// Checks are what /readyz asks.
	Checks []Check
	// Warnings are what the stores told last of what promises depend on; nil stands for none.
	Warnings func() []domain.StoreWarning
	// Pipeline tells how far the consumers are behind; nil leaves that out of the operators' view.
	Pipeline func(ctx context.Context) (PipelineView, error)
	// Auditor compares the stores; without it the operators' calls for that answer 404.
	Auditor operator.Auditor
	// Gatherer gives what /metrics shows.
	Gatherer prometheus.Gatherer
}

// FunnelCounter counts for each campaign that exists what became of applications.
type FunnelCounter interface {
	Count(campaign string, outcome domain.FunnelOutcome, n int64)
}

// Check is one dependency that /readyz asks. Only a Required one that fails makes the server not ready: an api whose
// database is away for a moment still admits applicants, so it must not be taken out of the load balancer.
type Check struct {
	Name     string
	Required bool
	// Ping must return soon after its context ends. Of its error only the message of a domain.Error is shown.
	Ping func(ctx context.Context) error
}

// PipelineView is how far the consumers are behind.
type PipelineView struct {
	Partitions []PartitionLag `json:"partitions"`
}

// PartitionLag is the distance between what is on a partition and what was stored and committed, in records.
type PartitionLag struct {
	Partition int32 `json:"partition"`
	Committed int64 `json:"committed,string"`
	End       int64 `json:"end,string"`
	Lag       int64 `json:"lag"`
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxBodyBytes, 4<<10)
	setDefault(&c.MaxAdminBodyBytes, 64<<10)
	setDefault(&c.MaxConnections, 10_000)
	setDefault(&c.ShutdownTimeout, 15*time.Second)
	return c
}

func setDefault[T int | int64 | time.Duration](value *T, fallback T) {
	if *value == 0 {
		*value = fallback
	}
}

func (c Config) check() error {
	if c.DefaultCampaign != "" {
		if err := domain.CheckCampaignCode(c.DefaultCampaign); err != nil {
			return fmt.Errorf("default campaign: %w", err)
		}
	}
	if c.ShutdownTimeout < 0 {
		return errors.New("a timeout must not be negative")
	}
	if min(c.MaxBodyBytes, c.MaxAdminBodyBytes, int64(c.MaxConnections)) < 0 {
		return errors.New("a limit must not be negative")
	}
	return checkOrigins(c.CORSOrigins)
}

func checkOrigins(origins []string) error {
	for _, origin := range origins {
		if origin == "*" {
			if len(origins) > 1 {
				return errors.New(`CORS origins: "*" must stand alone`)
			}
			return nil
		}
		parsed, err := url.Parse(origin)
		if err != nil || parsed.Scheme == "" || parsed.Host == "" ||
			origin != parsed.Scheme+"://"+parsed.Host || origin != strings.ToLower(origin) {
			return fmt.Errorf(`CORS origin %q must be a scheme and a host in lower case, such as "https://shop.example"`, origin)
		}
	}
	return nil
}

func (p Ports) check(operationsOnly bool) error {
	required := []struct {
		name   string
		absent bool
	}{
		{"Admitter", p.Admitter == nil},
		{"GateReader", p.GateReader == nil},
		{"GateLister", p.GateLister == nil},
		{"Publisher", p.Publisher == nil},
		{"CampaignReader", p.CampaignReader == nil},
		{"CampaignWriter", p.CampaignWriter == nil},
		{"CouponReader", p.CouponReader == nil},
		{"FailEventReader", p.FailEventReader == nil},
		{"FailEventOperator", p.FailEventOperator == nil},
		{"LedgerCounter", p.LedgerCounter == nil},
		{"SettingStore", p.SettingStore == nil},
		{"FunnelReader", p.FunnelReader == nil},
		{"CouponFinder", p.CouponFinder == nil},
		{"CouponRevoker", p.CouponRevoker == nil},
		{"BulkReader", p.BulkReader == nil},
		{"BulkRunner", p.BulkRunner == nil},
		{"Heartbeats", p.Heartbeats == nil},
		{"ActionLog", p.ActionLog == nil},
		{"Funnel", p.Funnel == nil},
		{"Gatherer", p.Gatherer == nil},
	}
	for _, port := range required {
		if port.absent && (!operationsOnly || port.name == "Gatherer") {
			return fmt.Errorf("the port %s is missing", port.name)
		}
	}
	for _, check := range p.Checks {
		if check.Name == "" || check.Ping == nil {
			return errors.New("a check needs a name and a ping")
		}
	}
	return nil
}

func (p Ports) forAdmission() admission.Stores {
	return admission.Stores{
		Gate: p.Admitter, GateReader: p.GateReader, GateLister: p.GateLister, Publisher: p.Publisher,
		Campaigns: p.CampaignReader, Coupons: p.CouponReader, Epochs: p.Epochs,
	}
}
