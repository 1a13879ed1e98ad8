package loadtest

import (
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

// recorder measures every request of a run, retries included. Workers share one: at tens of thousands of requests a
// second its lock is held for a few milliseconds of each second, while a histogram for each of a thousand workers
// would take a hundred megabytes.
type recorder struct {
	mutex    sync.Mutex
	latency  *hdrhistogram.Histogram
	requests int64
	retries  map[string]int
	// answered counts the users that are done with, for the progress shown meanwhile.
	answered atomic.Int64
}

func newRecorder() *recorder {
	return &recorder{
		latency: hdrhistogram.New(histogramLowest, histogramHighest, histogramDigits),
		retries: map[string]int{},
	}
}

// record measures one request. One that timed out counts with the time that was waited, so that a stalled server
// does not look fast.
func (r *recorder) record(answer Answer) {
	micros := min(max(answer.Latency.Microseconds(), histogramLowest), histogramHighest)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.requests++
	_ = r.latency.RecordValue(micros)
}

// retried counts an application that is sent again because of this answer.
func (r *recorder) retried(label string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.retries[label]++
}

// Latency is how long requests took, from the first byte sent to the last one read.
type Latency struct {
	P50, P90, P99, Max time.Duration
}

func (r *recorder) percentiles() Latency {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	at := func(percentile float64) time.Duration {
		return time.Duration(r.latency.ValueAtPercentile(percentile)) * time.Microsecond
	}
	return Latency{P50: at(50), P90: at(90), P99: at(99), Max: time.Duration(r.latency.Max()) * time.Microsecond}
}
