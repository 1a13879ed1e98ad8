package loadtest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"firstcome/domain"
)

// Report is what a run measured and found.
type Report struct {
	Campaign    string
	Quota       int64
	Seed        uint64
	Concurrency int
	// Rate is 0 for the closed loop; the others are those of Config.
	Rate       float64
	Ramp       time.Duration
	BurstAt    time.Duration
	BurstUsers int
	// Latest is by how much an application of the open loop was sent later than it was to be, at the most. The generator
	// was held up by the server, or is too slow for this rate itself.
	Latest time.Duration
	// Users applied, or were to: Answers counts them by their last answer ("202 accepted", "409 sold-out",
	// "unknown (timeout)"). Those who were not asked because the run was stopped are missing there.
	Users   int
	Answers map[string]int
	// Requests counts every request sent; Retried counts, by answer, the applications that were sent again after it.
	Requests int64
	Retried  map[string]int
	// Elapsed is from the first request to the last answer, and PerSecond the requests in it.
	Elapsed   time.Duration
	PerSecond float64
	Latency   Latency
	// WinnerLatency is about the accepted alone.
	WinnerLatency Latency
	// Intervals are the seconds of the run in which anything was answered.
	Intervals []Interval
	// Settled is true once the campaign had settled and Comparison was made; SettledAfter is how long after the last
	// answer that was seen, never less than a second, because a status may be that old.
	Settled      bool
	SettledAfter time.Duration
	// Interrupted is true when the context ended before the run did; what was promised until then is compared all the same.
	Interrupted bool
	// Open are the users whose promise had neither become a coupon nor a fail event, as far as could be read, when the
	// wait for a settled campaign ended. It is empty once that was settled.
	Open []domain.UserID
	Comparison
}

// maxPrintedDifferences bounds what Print writes; Report.Differences has them all.
const maxPrintedDifferences = 50

// Print writes the whole report. Run has written the same to its output already.
func (r Report) Print(out io.Writer) {
	r.printAnswers(out)
	r.printComparison(out)
}

// printAnswers writes what was measured. An output that can't be written to is no reason to fail a run.
func (r Report) printAnswers(out io.Writer) {
	var text bytes.Buffer
	fmt.Fprintf(&text, "campaign     %s, quota %d\n", r.Campaign, r.Quota)
	fmt.Fprintf(&text, "users        %d, %s, order by seed %d\n", r.Users, r.loop(), r.Seed)
	printCounts(&text, "answers", r.Answers)
	printCounts(&text, "sent again", r.Retried)
	fmt.Fprintf(&text, "throughput   %d requests in %.2f s, %.0f per second\n",
		r.Requests, r.Elapsed.Seconds(), r.PerSecond)
	fmt.Fprintf(&text, "latency_ms   p50 %s  p90 %s  p99 %s  p99.9 %s  max %s\n", inMilliseconds(r.Latency.P50),
		inMilliseconds(r.Latency.P90), inMilliseconds(r.Latency.P99), inMilliseconds(r.Latency.P999), inMilliseconds(r.Latency.Max))
	if r.Rate > 0 {
		fmt.Fprintf(&text, "sent late    by %s ms at the most; latencies count from the time that was planned\n", inMilliseconds(r.Latest))
	}
	_, _ = out.Write(text.Bytes())
}

// loop says how the users came.
func (r Report) loop() string {
	if r.Rate == 0 {
		return fmt.Sprintf("%d at a time", r.Concurrency)
	}
	text := fmt.Sprintf("%.6g/s", r.Rate)
	if r.Ramp > 0 {
		text += fmt.Sprintf(" after %s of ramp", r.Ramp)
	}
	if r.BurstUsers > 0 {
		text += fmt.Sprintf(", %d at once at %s", r.BurstUsers, r.BurstAt)
	}
	return text + fmt.Sprintf(", on up to %d connections", r.Concurrency)
}

// printCounts writes one line for each label, in the order of the labels, so by HTTP status.
func printCounts(text *bytes.Buffer, title string, counts map[string]int) {
	for _, label := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(text, "%-12s %8d  %s\n", title, counts[label], label)
		title = ""
	}
}

func inMilliseconds(duration time.Duration) string {
	return fmt.Sprintf("%.2f", float64(duration)/float64(time.Millisecond))
}

func (r Report) printComparison(out io.Writer) {
	if !r.Settled {
		_, _ = fmt.Fprintln(out, "settled      no: promises and coupons were not compared")
		r.printOpen(out)
		return
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "settled      %.2f s after the last answer\n", r.SettledAfter.Seconds())
	fmt.Fprintf(&text, "coupons      %d issued, %d revoked; %d promises wait in fail events\n",
		r.Issued, r.Revoked, r.Delayed)
	fmt.Fprintf(&text, "differences  %d\n", len(r.Differences))
	for index, difference := range r.Differences {
		if index == maxPrintedDifferences {
			fmt.Fprintf(&text, "  and %d more\n", len(r.Differences)-index)
			break
		}
		fmt.Fprintf(&text, "  %s\n", difference)
	}
	_, _ = out.Write(text.Bytes())
}

func (r Report) printOpen(out io.Writer) {
	shown := r.Open[:min(len(r.Open), maxPrintedDifferences)]
	for index, user := range shown {
		if index == 0 {
			_, _ = fmt.Fprintf(out, "open         %d promises have not become coupons yet; ask for them later, or run `firstcome audit %s`\n",
				len(r.Open), r.Campaign)
		}
		_, _ = fmt.Fprintf(out, "  user %d\n", user)
	}
	if more := len(r.Open) - len(shown); more > 0 {
		_, _ = fmt.Fprintf(out, "  and %d more\n", more)
	}
}

// tally counts the last answers.
func tally(answers []Answer) map[string]int {
	counts := map[string]int{}
	for _, answer := range answers {
		if answer.Outcome != NotSent {
			counts[answer.label()]++
		}
	}
	return counts
}
