package loadtest

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"

	"firstcome/loadtest/chart"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// entry is a name and what stands beside it.
type entry struct{ Name, Value string }

// page is what the template shows.
type page struct {
	Report
	Loop, Meaning                    string
	Tiles, Answers, Again, Latencies []entry
	Charts                           []template.HTML
	Shown                            []Difference
	Hidden                           int
}

// WriteHTML writes the report as one page that needs nothing else: no script, and nothing of another host.
func (r Report) WriteHTML(out io.Writer) error {
	view := page{Report: r, Loop: r.loop(), Meaning: "Latencies count from the moment of sending: a slow server was asked less often."}
	if r.Rate > 0 {
		view.Meaning = "Latencies count from the moment at which a user was to come, sent or not."
	}
	view.Tiles = []entry{
		{"requests a second", chart.Short(r.PerSecond)}, {"seconds", fmt.Sprintf("%.1f", r.Elapsed.Seconds())},
		{"ms, p50", inMilliseconds(r.Latency.P50)}, {"ms, p99", inMilliseconds(r.Latency.P99)}, {"ms, p99.9", inMilliseconds(r.Latency.P999)},
	}
	view.Answers, view.Again = entries(r.Answers), entries(r.Retried)
	for _, p := range r.Latency.named() {
		view.Latencies = append(view.Latencies, entry{p.name, inMilliseconds(p.value)})
	}
	view.Shown = r.Differences[:min(len(r.Differences), maxPrintedDifferences)]
	view.Hidden = len(r.Differences) - len(view.Shown)
	var err error
	if view.Charts, err = r.charts(); err != nil {
		return err
	}
	return pageTemplate.Execute(out, view)
}

func entries(counts map[string]int) []entry {
	var all []entry
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, entry{name, fmt.Sprint(counts[name])})
	}
	return all
}

// charts are the rate and the latency over the time, and the latency by percentile.
func (r Report) charts() ([]template.HTML, error) {
	rate, p50, p99 := chart.Line{Name: "answers"}, chart.Line{Name: "p50"}, chart.Line{Name: "p99"}
	for _, i := range r.Intervals {
		at := i.Start.Seconds()
		rate.Points = append(rate.Points, chart.Point{X: at, Y: float64(i.Requests) / intervalLength.Seconds()})
		p50.Points = append(p50.Points, chart.Point{X: at, Y: millis(i.P50)})
		p99.Points = append(p99.Points, chart.Point{X: at, Y: millis(i.P99)})
	}
	percentiles := chart.Lines{Title: "Latency by percentile", YLabel: "milliseconds", XLabel: "percentile", LogY: true, Lines: []chart.Line{{}}}
	for i, p := range r.Latency.named() {
		percentiles.XTicks = append(percentiles.XTicks, chart.Tick{X: float64(i), Name: p.name})
		percentiles.Lines[0].Points = append(percentiles.Lines[0].Points, chart.Point{X: float64(i), Y: millis(p.value)})
	}
	var drawn []template.HTML
	for _, lines := range []chart.Lines{
		{Title: "Answers a second", YLabel: "per second", XLabel: "seconds since the start", Lines: []chart.Line{rate}},
		{Title: "Latency over the run", YLabel: "milliseconds", XLabel: "seconds since the start", LogY: true, Lines: []chart.Line{p50, p99}},
		percentiles,
	} {
		svg, err := lines.SVG()
		if err != nil {
			return nil, err
		}
		drawn = append(drawn, template.HTML(svg)) //nolint:gosec // our own drawing, whose texts are escaped
	}
	return drawn, nil
}
