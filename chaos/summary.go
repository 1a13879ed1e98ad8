package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// summary tells many runs together, in Markdown.
func summary(all []report) string {
	void := voidRuns(all)
	all = slices.DeleteFunc(slices.Clone(all), func(r report) bool { return r.Void != "" })
	sum := addUp(all)
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("| chaos runs | %d |", len(all))
	line("|---|---|")
	line("| seeds | %s |", spans(sum.seeds))
	line("| commits | %s |", strings.Join(sum.commits, ", "))
	line("| minutes | %.0f under faults, %.0f in all |", sum.faults.Minutes(), sum.took.Minutes())
	line("| faults | %d of %d kinds struck, %d could not strike |", total(sum.struck), len(sum.struck), total(sum.missed))
	line("| applications | %d |", total(sum.answers))
	line("| answers | %s |", list(sum.answers))
	line("| coupons | %d; of %d the order of slots could be compared |", sum.rows, sum.ordered)
	line("| repairs by `audit --repair` | %s |", list(sum.repairs))
	line("| differences | %d |", sum.differences)
	if len(void) > 0 {
		line("| void runs, which count nowhere above | %d: %s |", len(void), strings.Join(void, ", "))
	}
	line("")
	line("| fault | struck | could not |")
	line("|---|--:|--:|")
	for _, name := range slices.Sorted(maps.Keys(union(sum.struck, sum.missed))) {
		line("| %s | %d | %d |", name, sum.struck[name], sum.missed[name])
	}
	return text.String()
}

// voidRuns tells of each run that proves nothing.
func voidRuns(all []report) []string {
	var void []string
	for _, r := range all {
		if r.Void != "" {
			void = append(void, fmt.Sprintf("seed %d (%s)", r.Seed, strings.ReplaceAll(r.Void, "|", "/")))
		}
	}
	return void
}

type sums struct {
	seeds          []uint64
	commits        []string
	faults, took   time.Duration
	struck, missed map[string]int
	answers        map[outcome]int
	repairs        map[string]int
	rows, ordered  int
	differences    int
}

func addUp(all []report) sums {
	sum := sums{struck: map[string]int{}, missed: map[string]int{}, answers: map[outcome]int{}, repairs: map[string]int{}}
	for _, r := range all {
		sum.seeds = append(sum.seeds, r.Seed)
		if !slices.Contains(sum.commits, r.Commit) {
			sum.commits = append(sum.commits, r.Commit)
		}
		sum.faults += time.Duration(r.Faults)
		sum.took += time.Duration(r.Took)
		add(sum.struck, r.Struck)
		add(sum.missed, r.Missed)
		add(sum.answers, r.Answers)
		add(sum.repairs, r.Repairs)
		sum.rows += r.Rows
		sum.ordered += r.Ordered
		sum.differences += len(r.Differences)
	}
	return sum
}

func add[K comparable](to, more map[K]int) {
	for name, n := range more {
		to[name] += n
	}
}

func union(a, b map[string]int) map[string]int {
	both := maps.Clone(a)
	add(both, b)
	return both
}

func total[K comparable](counts map[K]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// list gives counts in words, the highest first.
func list[K ~string](counts map[K]int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b))
	})
	words := make([]string, len(names))
	for i, name := range names {
		words[i] = fmt.Sprintf("%d %s", counts[name], name)
	}
	return cmp.Or(strings.Join(words, ", "), "none")
}

// spans gives numbers as "1, 4–6".
func spans(numbers []uint64) string {
	var words []string
	sorted := slices.Sorted(slices.Values(numbers))
	for i := 0; i < len(sorted); {
		end := i
		for end+1 < len(sorted) && sorted[end+1] <= sorted[end]+1 {
			end++
		}
		word := fmt.Sprint(sorted[i])
		if sorted[end] > sorted[i] {
			word = fmt.Sprintf("%d–%d", sorted[i], sorted[end])
		}
		words = append(words, word)
		i = end + 1
	}
	return strings.Join(words, ", ")
}
