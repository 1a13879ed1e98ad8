package chart

import "fmt"

// Bar is one value, with the lowest and the highest that were measured.
type Bar struct{ Value, Low, High float64 }

// BarSeries is one bar for each group.
type BarSeries struct {
	Name string
	Bars []Bar
}

// Bars compares series, group by group.
type Bars struct {
	Title, YLabel string
	Groups        []string
	Series        []BarSeries
}

// SVG draws it. More series than can be told apart are an error.
func (b Bars) SVG() (string, error) {
	if len(b.Series) == 0 || len(b.Series) > maxSeries || len(b.Groups) == 0 {
		return "", fmt.Errorf("a chart of bars has 1 to %d series and a group at least", maxSeries)
	}
	p := newPicture(b.Title, b.YLabel)
	names := make([]string, len(b.Series))
	highest := 0.0
	for i, series := range b.Series {
		names[i] = series.Name
		for _, bar := range series.Bars {
			highest = max(highest, bar.Value, bar.High)
		}
	}
	p.legend(names)
	vertical := linearScale(highest * 1.05) // room for the number above the highest
	p.grid(vertical)
	groupWidth := float64(plotWidth) / float64(len(b.Groups))
	barWidth := min((groupWidth-26)/float64(len(b.Series)), 56)
	for i, group := range b.Groups {
		middle := marginLeft + groupWidth*(float64(i)+0.5)
		p.write(middle, height-marginBottom+20, "quiet", "middle", group)
		for j, series := range b.Series {
			if i < len(series.Bars) {
				left := middle + barWidth*(float64(j)-float64(len(b.Series))/2)
				p.bar(j, left, barWidth-2, series.Bars[i], vertical)
			}
		}
	}
	return p.end(), nil
}

// bar draws one value, the range as a thin line, and the number above both.
func (p *picture) bar(series int, left, width float64, bar Bar, vertical scale) {
	const base = height - marginBottom
	top := vertical.y(bar.Value)
	p.add(`<path class="fill s%d" d="M%.1f %dV%.1fq0 -3 3 -3h%.1fq3 0 3 3V%dz"/>`, series, left, base, min(top+3, base), width-6, base)
	middle := left + width/2
	if bar.High > bar.Low {
		p.add(`<line class="range" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, middle, middle, vertical.y(bar.High), vertical.y(bar.Low))
	}
	p.write(middle, min(top, vertical.y(bar.High))-6, "", "middle", Short(bar.Value))
}
