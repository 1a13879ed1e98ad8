package domain

import (
	"time"
)

// Role is what an operator may do.
type Role string

// The roles.
const (
	// RoleViewer reads everything and changes nothing.
	RoleViewer Role = "viewer"
	// RoleOperator may do all that there is to do.
	RoleOperator Role = "operator"
)

// Operator is who uses the admin API or the console.
type Operator struct {
	// Name stands in the operators' history.
	Name string
	Role Role
}

// MayChange says whether the operator may do more than look.
func (o Operator) MayChange() bool { return o.Role == RoleOperator }

// OperatorAction is what an operator did, or what a program did for one.
type OperatorAction struct {
	ID int64
	// Actor is the operator's name.
	Actor string
	// Action is a verb: create, change, set, retry, discard, revoke, bulk retry, bulk discard, audit, repair, run.
	Action string
	// Target is what it was done to, such as "campaign welcome" or "fail event 17".
	Target string
	// Before and After are JSON texts; empty where there is nothing before or after.
	Before, After string
	At            time.Time
}

// ActionFilter selects operators' actions for a list, newest first.
type ActionFilter struct {
	// Actor, Action and Target select when they are not empty.
	Actor, Action, Target string
	// From is the first moment, Until the first that is too late; a zero time is no limit.
	From, Until time.Time
	// BeforeID continues a list: only actions with a smaller ID; 0 starts at the newest.
	BeforeID int64
	// Limit is how many at most, 1..MaxPage.
	Limit int
}

// Heartbeat is what a process last said of itself. It is kept as JSON under these names.
type Heartbeat struct {
	// Process names it: unlike any other process, also of another start of the same one.
	Process   string    `json:"process"`
	Host      string    `json:"host"`
	Version   string    `json:"version"`
	Roles     []string  `json:"roles"`
	StartedAt time.Time `json:"started_at"`
	SeenAt    time.Time `json:"seen_at"`
	// Consumer and Retryer are nil in a process without that role.
	Consumer *ConsumerState `json:"consumer,omitempty"`
	Retryer  *RetryerState  `json:"retryer,omitempty"`
	// Warnings are what the stores told this process last.
	Warnings []StoreWarning `json:"warnings,omitempty"`
}

// StoreWarning is a setting or a fact of a store under which promises depend on luck.
type StoreWarning struct {
	// Store is "redis", "kafka" or "database".
	Store string `json:"store"`
	// Text says what is wrong, for an operator.
	Text string `json:"text"`
}

// ConsumerState is how a consumer does.
type ConsumerState struct {
	// Paused says why nothing is stored; empty while it runs. PausedSince is then zero.
	Paused      string    `json:"paused,omitempty"`
	PausedSince time.Time `json:"paused_since,omitzero"`
	// Waiting are the records that wait, mostly of one campaign each, whether others get on or not; those that have waited
	// longest first.
	Waiting []WaitingRecords `json:"waiting,omitempty"`
	// RowsStored counts the new rows since the process began, RowsPerSecond those of the last seconds.
	RowsStored    int64   `json:"rows_stored"`
	RowsPerSecond float64 `json:"rows_per_second"`
	// LimitRowsPerSecond is the throttle in force for all consumers together, 0 for none.
	LimitRowsPerSecond float64 `json:"limit_rows_per_second"`
	// Partitions says how many of PartitionsTotal are this consumer's.
	Partitions      int `json:"partitions"`
	PartitionsTotal int `json:"partitions_total"`
}

// WaitingRecords are records that a consumer keeps in hand and tries again.
type WaitingRecords struct {
	// Of says what they have in common: "campaign spring", or where they come from.
	Of      string    `json:"of"`
	Records int       `json:"records"`
	Since   time.Time `json:"since"`
	// Why is what the last try met.
	Why string `json:"why"`
}

// RetryerState is how a retryer's jobs do.
type RetryerState struct {
	Jobs []JobState `json:"jobs"`
}

// JobState is how one job does.
type JobState struct {
	Name  string        `json:"name"`
	Every time.Duration `json:"every_ns"`
	// LastRunAt is zero before the first run has ended; LastError is empty when it went well.
	LastRunAt time.Time `json:"last_run_at,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	NextRunAt time.Time `json:"next_run_at,omitzero"`
}

// Heartbeats are written each HeartbeatEvery; anybody who is silent for HeartbeatSilence is taken for gone.
const (
	HeartbeatEvery   = 2 * time.Second
	HeartbeatSilence = 10 * time.Second
)

// Values of the settings.
const (
	// RowsPerSecondAuto lets the consumers find the rate that the database bears.
	RowsPerSecondAuto = "auto"
	// ConsumersPaused is the value of SettingConsumers that holds all consumers; anything else lets them run.
	ConsumersPaused  = "paused"
	ConsumersRunning = "running"
)
