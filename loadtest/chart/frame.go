package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Sizes in pixels.
const (
	width        = 760
	height       = 380
	marginLeft   = 66
	marginRight  = 30
	marginTop    = 82
	marginBottom = 54
	plotWidth    = width - marginLeft - marginRight
	plotHeight   = height - marginTop - marginBottom
)

// maxSeries is how many series can be told apart by colour.
const maxSeries = 6

// style holds the colours. Text wears the colours of text; only marks wear those of the series, in a fixed order that
// stays apart for colour-blind eyes.
const style = `<style>
.chart{font:12px system-ui,-apple-system,"Segoe UI",sans-serif}
.chart .paper{fill:#fcfcfb}.chart .title{font-size:15px;font-weight:600}
.chart text{fill:#0b0b0b}.chart .quiet{fill:#52514e}.chart .grid{stroke:#e1e0d9;stroke-width:1}.chart .axis{stroke:#c3c2b7;stroke-width:1}
.chart .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.chart .range{stroke:#52514e;stroke-width:1.5}
.chart .s0{--c:#2a78d6}.chart .s1{--c:#1baf7a}.chart .s2{--c:#eda100}.chart .s3{--c:#4a3aa7}.chart .s4{--c:#e34948}.chart .s5{--c:#008300}
.chart .line{stroke:var(--c)}.chart .fill{fill:var(--c)}
@media (prefers-color-scheme:dark){
.chart .paper{fill:#1a1a19}.chart text{fill:#fff}.chart .quiet{fill:#c3c2b7}.chart .grid{stroke:#2c2c2a}.chart .axis{stroke:#383835}.chart .range{stroke:#c3c2b7}
.chart .s0{--c:#3987e5}.chart .s1{--c:#199e70}.chart .s2{--c:#c98500}.chart .s3{--c:#9085e9}.chart .s4{--c:#e66767}.chart .s5{--c:#008300}}
</style>`

// picture collects the parts of one drawing.
type picture struct{ text strings.Builder }

func newPicture(title, yLabel string) *picture {
	p := &picture{}
	p.add(`<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`,
		width, height, html.EscapeString(title))
	p.text.WriteString(style)
	p.add(`<rect class="paper" width="%d" height="%d" rx="6"/>`, width, height)
	p.write(18, 26, "title", "start", title)
	p.write(18, 66, "quiet", "start", yLabel)
	return p
}

func (p *picture) add(format string, values ...any) {
	fmt.Fprintf(&p.text, format, values...)
	p.text.WriteByte('\n')
}

func (p *picture) write(x, y float64, class, anchor, text string) {
	p.add(`<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor, html.EscapeString(text))
}

// legend names the series, when there are several.
func (p *picture) legend(names []string) {
	if len(names) < 2 {
		return
	}
	x := 18.0
	for i, name := range names {
		p.add(`<rect class="fill s%d" x="%.1f" y="38" width="10" height="10" rx="2"/>`, i, x)
		p.write(x+15, 47, "quiet", "start", name)
		x += 34 + 6.4*float64(len(name))
	}
}

func (p *picture) end() string {
	p.text.WriteString("</svg>\n")
	return p.text.String()
}

// scale maps values to pixels from the bottom of the plot.
type scale struct {
	low, high float64
	log       bool
	ticks     []float64
}

// linearScale begins at 0 and has about five ticks at round numbers.
func linearScale(highest float64) scale {
	if highest <= 0 || math.IsInf(highest, 0) || math.IsNaN(highest) {
		highest = 1
	}
	step := roundStep(highest / 5)
	s := scale{high: math.Ceil(highest/step) * step}
	for i := 0; float64(i)*step <= s.high*1.0001; i++ {
		s.ticks = append(s.ticks, float64(i)*step)
	}
	return s
}

// roundStep gives the next 1, 2 or 5 times a power of ten.
func roundStep(least float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= least {
			return factor * power
		}
	}
	return 10 * power
}

// maxDecades bounds the ticks of a logarithmic scale.
const maxDecades = 12

// logScale has a tick at every power of ten.
func logScale(lowest, highest float64) scale {
	if lowest <= 0 || highest < lowest {
		lowest, highest = 1, 10
	}
	s := scale{log: true, low: math.Pow(10, math.Floor(math.Log10(lowest))), high: math.Pow(10, math.Ceil(math.Log10(highest)))}
	if s.high <= s.low {
		s.high = s.low * 10
	}
	for tick := s.low; tick <= s.high*1.0001 && len(s.ticks) < maxDecades; tick *= 10 {
		s.ticks = append(s.ticks, tick)
	}
	return s
}

// share is where a value lies between the bottom (0) and the top (1).
func (s scale) share(value float64) float64 {
	if s.log {
		value = max(value, s.low)
		return math.Log(value/s.low) / math.Log(s.high/s.low)
	}
	return (value - s.low) / (s.high - s.low)
}

func (s scale) y(value float64) float64 {
	return marginTop + plotHeight*(1-min(max(s.share(value), 0), 1))
}

// grid draws the ticks of the vertical axis.
func (p *picture) grid(s scale) {
	for _, tick := range s.ticks {
		p.add(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, marginLeft, width-marginRight, s.y(tick), s.y(tick))
		p.write(marginLeft-8, s.y(tick)+4, "quiet", "end", Short(tick))
	}
	p.add(`<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>`, marginLeft, width-marginRight, height-marginBottom, height-marginBottom)
}

// Short writes a number with three digits that count: 0.25, 71.4, 1.2 k, 3 M.
func Short(value float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e6, " M"}, {1e3, " k"}} {
		if math.Abs(value) >= unit.size {
			return digits(value/unit.size) + unit.name
		}
	}
	return digits(value)
}

func digits(value float64) string {
	decimals := 0
	for limit := 100.0; decimals < 3 && math.Abs(value) < limit; limit /= 10 {
		decimals++
	}
	text := strconv.FormatFloat(value, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
