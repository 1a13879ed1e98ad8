package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"firstcome/loadtest/chart"
)

// drawAll writes the pictures of what was measured.
func drawAll(r *results, folder string) error {
	var errs []error
	write := func(name string, draw func() (string, error)) {
		drawn, err := draw()
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), []byte(drawn), 0o644) //nolint:gosec // it is part of the repository
		}
		errs = append(errs, err)
	}
	for _, family := range []struct {
		file, title string
		names       []string
	}{
		{"winning", "Winning", []string{nothingWinning, winning, plainWinning, winningSingle}},
		{"sold-out", "Sold out", []string{nothingSoldOut, soldOut, plainRefusing}},
	} {
		if !r.has(family.names[0]) {
			continue
		}
		write("performance-"+family.file+".svg", func() (string, error) { return throughputBars(r, family.title, family.names) })
		write("latency-"+family.file+".svg", func() (string, error) { return latencyCurves(r, family.title, family.names) })
	}
	if r.has(storing) {
		write("performance-storing.svg", func() (string, error) { return storingBars(r) })
	}
	return errors.Join(errs...)
}

func (r *results) has(name string) bool {
	for _, s := range r.Samples {
		if s.Scenario == name {
			return true
		}
	}
	return false
}

// shownNames are shorter than the names in the tables, because the title says the rest.
var shownNames = map[string]string{
	nothingWinning: "does nothing", winning: "firstcome", winningSingle: "firstcome, one call a request", plainWinning: "plain design",
	nothingSoldOut: "does nothing", soldOut: "firstcome", plainRefusing: "plain design",
}

func barOf(s spread) chart.Bar { return chart.Bar{Value: s.Median, Low: s.Low, High: s.High} }

func throughputBars(r *results, title string, names []string) (string, error) {
	bars := chart.Bars{Title: title + ": applications a second", YLabel: "per second; the thin line is lowest to highest of the rounds"}
	for _, n := range connections {
		group := strconv.Itoa(n) + " connections"
		if n == 1 {
			group = "1 connection"
		}
		bars.Groups = append(bars.Groups, group)
	}
	for _, name := range names {
		series := chart.BarSeries{Name: shownNames[name]}
		for _, n := range connections {
			series.Bars = append(series.Bars, barOf(r.of(name, n, perSecond)))
		}
		bars.Series = append(bars.Series, series)
	}
	return bars.SVG()
}

var shownPercentiles = []string{"50", "75", "90", "95", "99", "99.5", "99.9"}

// latencyCurves is about 1,000 connections, where the tail is longest.
func latencyCurves(r *results, title string, names []string) (string, error) {
	lines := chart.Lines{Title: title + ": latency at 1,000 connections", XLabel: "percentile", YLabel: "milliseconds, medians of the rounds", LogY: true}
	for i, percentile := range shownPercentiles {
		lines.XTicks = append(lines.XTicks, chart.Tick{X: float64(i), Name: "p" + percentile})
	}
	for _, name := range names {
		line := chart.Line{Name: shownNames[name]}
		for i, percentile := range shownPercentiles {
			found := r.of(name, 1000, func(s sample) float64 { return s.LatencyMicros[percentile] / 1000 })
			line.Points = append(line.Points, chart.Point{X: float64(i), Y: found.Median})
		}
		lines.Lines = append(lines.Lines, line)
	}
	return lines.SVG()
}

func storingBars(r *results) (string, error) {
	bars := chart.Bars{
		Title: "Storing: rows a second", YLabel: "per second; the thin line is lowest to highest of the rounds",
		Groups: []string{"bare insert", "firstcome's consumer", "plain design, a row a commit"}, Series: []chart.BarSeries{{}},
	}
	for _, name := range []string{bareInsert, storing, plainStoring} {
		bars.Series[0].Bars = append(bars.Series[0].Bars, barOf(r.of(name, 0, perSecond)))
	}
	return bars.SVG()
}
