package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wellFormed reads the whole drawing as XML, which is what a browser demands of a file.
func wellFormed(t *testing.T, drawing string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(drawing))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err, drawing)
	}
}

func TestADrawingIsXMLThatNeedsNoOtherHost(t *testing.T) {
	bars, err := Bars{
		Title: `5 < 6 & "more"`, YLabel: "per second", Groups: []string{"a & b"},
		Series: []BarSeries{{Name: "<one>", Bars: []Bar{{Value: 3, Low: 1, High: 5}}}, {Name: "two", Bars: []Bar{{}}}},
	}.SVG()
	require.NoError(t, err)
	lines, err := Lines{Title: "t", XTicks: []Tick{{0, "p50 <"}}, LogY: true, Lines: []Line{{"x", []Point{{0, 2}, {1, 300}}}}}.SVG()
	require.NoError(t, err)
	for _, drawing := range []string{bars, lines} {
		wellFormed(t, drawing)
		assert.Contains(t, drawing, "prefers-color-scheme:dark")
		assert.NotContains(t, strings.ReplaceAll(drawing, `xmlns="http://www.w3.org/2000/svg"`, ""), "http")
		assert.NotContains(t, drawing, "NaN")
	}
	assert.Contains(t, bars, "5 &lt; 6 &amp; &#34;more&#34;")
}

func TestNothingMeasuredAndStrangeNumbersAreDrawnAllTheSame(t *testing.T) {
	for name, points := range map[string][]Point{
		"none": nil, "zero": {{0, 0}}, "one place": {{0, 5}, {0, 6}}, "not a number": {{math.NaN(), math.NaN()}}, "infinite": {{1, math.Inf(1)}},
	} {
		for _, logarithmic := range []bool{false, true} {
			drawing, err := Lines{LogY: logarithmic, Lines: []Line{{name, points}}}.SVG()
			require.NoError(t, err, name)
			wellFormed(t, drawing)
			assert.Less(t, len(drawing), 20_000, "%s: an axis has few ticks", name)
		}
	}
}

func TestMoreSeriesThanColoursAreRefused(t *testing.T) {
	_, err := Bars{Groups: []string{"a"}, Series: make([]BarSeries, maxSeries+1)}.SVG()
	require.Error(t, err)
	_, err = Lines{Lines: make([]Line, maxSeries+1)}.SVG()
	require.Error(t, err)
}

func TestAxesHaveRoundTicks(t *testing.T) {
	assert.Equal(t, []float64{0, 5000, 10000, 15000}, linearScale(14_200).ticks)
	assert.Equal(t, []float64{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}, linearScale(0.93).ticks)
	assert.Equal(t, []float64{1, 10, 100, 1000}, logScale(3, 420).ticks)
}

func TestAHigherValueIsHigher(t *testing.T) {
	s := logScale(1, 1000)
	assert.InDelta(t, marginTop, s.y(1000), 0.01)
	assert.InDelta(t, height-marginBottom, s.y(1), 0.01)
	assert.InDelta(t, marginTop+plotHeight/3.0, s.y(100), 0.01)
}

func TestShortNumbers(t *testing.T) {
	for want, value := range map[string]float64{"0": 0, "0.25": 0.25, "71.4": 71.42, "999": 999, "1.23 k": 1234, "45.7 k": 45_678, "3 M": 3e6} {
		assert.Equal(t, want, Short(value))
	}
}
