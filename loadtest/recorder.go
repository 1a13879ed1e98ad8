package loadtest

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Range of the latency histogram in microseconds. What is slower counts as the highest.
const (
	histogramLowest  = 1
	histogramHighest = int64(10 * time.Minute / time.Microsecond)
	histogramDigits  = 3
)

const (
	// intervalLength is how much of a run is one point of its curves.
	intervalLength = time.Second
	// maxIntervals bounds the points; of a longer run the rest has none.
	maxIntervals = 4 * 3600
)

// recorder measures every request of a run, retries included. Workers share one: at tens of thousands of requests a
// second its lock is held for a few milliseconds of each second, while a histogram for each of a thousand workers
// would take a hundred megabytes.
type recorder struct {
	mutex    sync.Mutex
	began    time.Time
	latency  *hdrhistogram.Histogram
	requests int64
	statuses map[int]int64
	retries  map[string]int
	// recent is the interval under way, which began at index times intervalLength.
	recent      *hdrhistogram.Histogram
	recentIndex int
	intervals   []Interval
	// latest is by how much the start of an application was missed at the most.
	latest atomic.Int64
	// answered counts the users that are done with, for the progress shown meanwhile.
	answered atomic.Int64
}

// Interval is one second of a run.
type Interval struct {
	// Start is its distance from the start of the run.
	Start    time.Duration
	Requests int64
	P50, P99 time.Duration
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(histogramLowest, histogramHighest, histogramDigits)
}

func newRecorder() *recorder {
	return &recorder{
		began: time.Now(), latency: newHistogram(), recent: newHistogram(), statuses: map[int]int64{}, retries: map[string]int{},
	}
}

// record measures one request that ended now. One that timed out counts with the time that was waited, so that a
// stalled server does not look fast.
func (r *recorder) record(answer Answer, now time.Time) {
	micros := inRange(answer.Latency)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.requests++
	r.statuses[answer.Status]++
	_ = r.latency.RecordValue(micros)
	if index := int(now.Sub(r.began) / intervalLength); index > r.recentIndex {
		r.endInterval()
		r.recentIndex = index
	}
	_ = r.recent.RecordValue(micros)
}

// endInterval keeps what the interval under way has measured, if anything.
func (r *recorder) endInterval() {
	if r.recent.TotalCount() > 0 && len(r.intervals) < maxIntervals {
		r.intervals = append(r.intervals, Interval{
			Start: time.Duration(r.recentIndex) * intervalLength, Requests: r.recent.TotalCount(),
			P50: valueAt(r.recent, 50), P99: valueAt(r.recent, 99),
		})
	}
	r.recent.Reset()
}

func valueAt(histogram *hdrhistogram.Histogram, percentile float64) time.Duration {
	return time.Duration(histogram.ValueAtPercentile(percentile)) * time.Microsecond
}

// retried counts an application that is sent again because of this answer.
func (r *recorder) retried(label string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.retries[label]++
}

func (r *recorder) late(by time.Duration) {
	for {
		latest := r.latest.Load()
		if int64(by) <= latest || r.latest.CompareAndSwap(latest, int64(by)) {
			return
		}
	}
}

// Latency is how long requests took, to the last byte read; in the open loop from the moment at which they were to be
// sent.
type Latency struct {
	P50, P75, P90, P95, P99, P999, Max time.Duration
}

func (r *recorder) percentiles() Latency {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return latencyOf(r.latency)
}

func latencyOf(histogram *hdrhistogram.Histogram) Latency {
	at := func(percentile float64) time.Duration { return valueAt(histogram, percentile) }
	return Latency{
		P50: at(50), P75: at(75), P90: at(90), P95: at(95), P99: at(99), P999: at(99.9),
		Max: time.Duration(histogram.Max()) * time.Microsecond,
	}
}

// winnerLatency is about those whose last answer was a promise. While many are refused, their waits say nothing about
// a winner's.
func winnerLatency(answers []Answer) Latency {
	histogram := newHistogram()
	for _, answer := range answers {
		if answer.Outcome == Accepted {
			_ = histogram.RecordValue(inRange(answer.Latency))
		}
	}
	return latencyOf(histogram)
}

func inRange(latency time.Duration) int64 {
	return min(max(latency.Microseconds(), histogramLowest), histogramHighest)
}

// progress is what is shown while a run goes on.
type progress struct {
	done int64
	// perSecond and p99 are of the last whole interval, or of the run until there is one.
	perSecond float64
	p99       time.Duration
	statuses  map[int]int64
}

func (r *recorder) progress() progress {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	found := progress{done: r.answered.Load(), statuses: maps.Clone(r.statuses)}
	if last := len(r.intervals) - 1; last >= 0 {
		found.perSecond = float64(r.intervals[last].Requests) / intervalLength.Seconds()
		found.p99 = r.intervals[last].P99
		return found
	}
	found.perSecond = float64(r.requests) / max(time.Since(r.began).Seconds(), 1e-3)
	found.p99 = valueAt(r.latency, 99)
	return found
}

// finish ends the last interval and gives all of them.
func (r *recorder) finish() []Interval {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.endInterval()
	return r.intervals
}
