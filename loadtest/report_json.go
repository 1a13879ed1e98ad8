package loadtest

import (
	"encoding/json"
	"io"
	"time"
)

// reportJSON is the report for programs. Times are in milliseconds or seconds, as their names say.
type reportJSON struct {
	Campaign     string             `json:"campaign"`
	Quota        int64              `json:"quota"`
	Seed         uint64             `json:"seed"`
	Users        int                `json:"users"`
	Connections  int                `json:"connections"`
	Rate         float64            `json:"rate_per_second,omitempty"`
	RampSeconds  float64            `json:"ramp_seconds,omitempty"`
	BurstSeconds float64            `json:"burst_at_seconds,omitempty"`
	BurstUsers   int                `json:"burst_users,omitempty"`
	LatestMillis float64            `json:"sent_late_max_ms,omitempty"`
	Requests     int64              `json:"requests"`
	Seconds      float64            `json:"elapsed_seconds"`
	PerSecond    float64            `json:"per_second"`
	Answers      map[string]int     `json:"answers"`
	SentAgain    map[string]int     `json:"sent_again"`
	Latency      map[string]float64 `json:"latency_ms"`
	Winners      map[string]float64 `json:"winner_latency_ms"`
	Intervals    []intervalJSON     `json:"intervals"`
	Settled      bool               `json:"settled"`
	Interrupted  bool               `json:"interrupted"`
	Open         []string           `json:"open_promises,omitempty"`
	SettledAfter float64            `json:"settled_after_seconds"`
	Issued       int                `json:"issued"`
	Revoked      int                `json:"revoked"`
	Delayed      int                `json:"delayed"`
	Differences  []string           `json:"differences"`
}

type intervalJSON struct {
	Start    float64 `json:"start_seconds"`
	Requests int64   `json:"requests"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// WriteJSON writes the whole report, all differences included.
func (r Report) WriteJSON(out io.Writer) error {
	view := reportJSON{
		Campaign: r.Campaign, Quota: r.Quota, Seed: r.Seed, Users: r.Users, Connections: r.Concurrency,
		Rate: r.Rate, RampSeconds: r.Ramp.Seconds(), BurstSeconds: r.BurstAt.Seconds(), BurstUsers: r.BurstUsers,
		LatestMillis: millis(r.Latest), Requests: r.Requests, Seconds: r.Elapsed.Seconds(), PerSecond: r.PerSecond,
		Answers: r.Answers, SentAgain: r.Retried, Latency: map[string]float64{}, Winners: map[string]float64{}, Intervals: []intervalJSON{},
		Settled: r.Settled, SettledAfter: r.SettledAfter.Seconds(), Issued: r.Issued, Revoked: r.Revoked, Delayed: r.Delayed,
		Differences: []string{}, Interrupted: r.Interrupted,
	}
	for _, p := range r.Latency.named() {
		view.Latency[p.name] = millis(p.value)
	}
	for _, p := range r.WinnerLatency.named() {
		view.Winners[p.name] = millis(p.value)
	}
	for _, i := range r.Intervals {
		view.Intervals = append(view.Intervals, intervalJSON{i.Start.Seconds(), i.Requests, millis(i.P50), millis(i.P99)})
	}
	for _, user := range r.Open {
		view.Open = append(view.Open, user.String())
	}
	for _, difference := range r.Differences {
		view.Differences = append(view.Differences, difference.String())
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(view)
}

type namedLatency struct {
	name  string
	value time.Duration
}

func (l Latency) named() []namedLatency {
	return []namedLatency{
		{"p50", l.P50}, {"p75", l.P75}, {"p90", l.P90}, {"p95", l.P95}, {"p99", l.P99}, {"p99.9", l.P999}, {"max", l.Max},
	}
}
