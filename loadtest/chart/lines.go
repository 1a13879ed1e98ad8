package chart

import (
	"fmt"
	"strings"
)

// Point is one value of a line.
type Point struct{ X, Y float64 }

// Line is one series.
type Line struct {
	Name   string
	Points []Point
}

// Tick is a place on the horizontal axis that has a name.
type Tick struct {
	X    float64
	Name string
}

// Lines compares series along a horizontal axis.
type Lines struct {
	Title, XLabel, YLabel string
	// XTicks name places; without them the axis has numbers from 0 on.
	XTicks []Tick
	// LogY gives each power of ten the same height.
	LogY  bool
	Lines []Line
}

// SVG draws it. More lines than can be told apart are an error.
func (l Lines) SVG() (string, error) {
	if len(l.Lines) == 0 || len(l.Lines) > maxSeries {
		return "", fmt.Errorf("a chart of lines has 1 to %d lines", maxSeries)
	}
	p := newPicture(l.Title, l.YLabel)
	names := make([]string, len(l.Lines))
	for i, line := range l.Lines {
		names[i] = line.Name
	}
	p.legend(names)
	horizontal, vertical := l.scales()
	p.grid(vertical)
	ticks := l.XTicks
	if len(ticks) == 0 {
		for _, tick := range horizontal.ticks {
			ticks = append(ticks, Tick{tick, Short(tick)})
		}
	}
	x := func(value float64) float64 { return marginLeft + plotWidth*min(max(horizontal.share(value), 0), 1) }
	for _, tick := range ticks {
		p.write(x(tick.X), height-marginBottom+18, "quiet", "middle", tick.Name)
	}
	p.write(marginLeft+plotWidth/2, height-14, "quiet", "middle", l.XLabel)
	for i, line := range l.Lines {
		p.line(i, line, x, vertical)
	}
	return p.end(), nil
}

func (l Lines) scales() (horizontal, vertical scale) {
	lowest, highest, furthest := 0.0, 0.0, 0.0
	for _, line := range l.Lines {
		for _, point := range line.Points {
			highest, furthest = max(highest, point.Y), max(furthest, point.X)
			if point.Y > 0 && (lowest == 0 || point.Y < lowest) {
				lowest = point.Y
			}
		}
	}
	horizontal, vertical = linearScale(furthest), linearScale(highest)
	horizontal.high = max(furthest, 1e-9)
	for len(horizontal.ticks) > 0 && horizontal.ticks[len(horizontal.ticks)-1] > horizontal.high {
		horizontal.ticks = horizontal.ticks[:len(horizontal.ticks)-1]
	}
	if l.LogY {
		vertical = logScale(lowest, highest)
	}
	return horizontal, vertical
}

func (p *picture) line(series int, line Line, x func(float64) float64, vertical scale) {
	var path strings.Builder
	for i, point := range line.Points {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, x(point.X), vertical.y(point.Y))
	}
	p.add(`<path class="line s%d" d="%s"/>`, series, path.String())
}
