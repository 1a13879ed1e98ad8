package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"firstcome/domain"
)

// chartView is a place for a chart; a script asks the address for its points, again each so many seconds.
type chartView struct {
	Title, Address, Says string
	// Quiet is what is said while every value is 0.
	Quiet string
	Every int
	// Short leaves only the choices of up to an hour.
	Short bool
}

// quietFunnel is what a curve of applications says while there are none.
const quietFunnel = "Nobody applied in this time. What comes in now is drawn when its seconds are over."

// How often charts are renewed, in seconds.
const (
	funnelRefresh = 5
	lagRefresh    = 2
)

// chartData is what a chart shows: moments in seconds since 1970, and the lines' values at them. A value that is not
// known is null.
type chartData struct {
	Times []int64     `json:"times"`
	Lines []chartLine `json:"lines"`
}

type chartLine struct {
	Name string `json:"name"`
	// Color names one of the console's colours.
	Color  string     `json:"color"`
	Unit   string     `json:"unit"`
	Values []*float64 `json:"values"`
}

// chartRange is how far back a chart goes, and how finely.
type chartRange struct{ length, step time.Duration }

// chartRanges are the choices, by how many minutes they show. A chart has some hundred points whatever its length.
var chartRanges = map[string]chartRange{
	"15":    {15 * time.Minute, 10 * time.Second},
	"60":    {time.Hour, 20 * time.Second},
	"360":   {6 * time.Hour, time.Minute},
	"1440":  {24 * time.Hour, 5 * time.Minute},
	"10080": {7 * 24 * time.Hour, 30 * time.Minute},
}

func rangeOf(c *gin.Context) (chartRange, error) {
	chosen, known := chartRanges[c.DefaultQuery("minutes", "15")]
	if !known {
		return chartRange{}, domain.Invalid("minutes", "minutes must be 15, 60, 360, 1440 or 10080")
	}
	return chosen, nil
}

// curve answers with what became of a campaign's applications over time.
func (k *console) curve(c *gin.Context) {
	span, err := rangeOf(c)
	if err != nil {
		k.server.refuse(c, err)
		return
	}
	data, err := k.funnelChart(c.Request.Context(), c.Param("code"), span, now())
	if err != nil {
		k.server.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, data)
}

// curveOfAll answers with what became of the applications of all campaigns together, over an hour at most: a longer
// time would be a long question in an installation with many campaigns.
func (k *console) curveOfAll(c *gin.Context) {
	span, err := rangeOf(c)
	if err == nil && span.length > time.Hour {
		err = domain.Invalid("minutes", "minutes must be 15 or 60")
	}
	var data chartData
	if err == nil {
		data, err = k.funnelChart(c.Request.Context(), "", span, now())
	}
	if err != nil {
		k.server.refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, data)
}

// funnelChart leaves out the step that is not over yet: it would look like a fall.
func (k *console) funnelChart(ctx context.Context, campaign string, span chartRange, at time.Time) (chartData, error) {
	query := domain.FunnelQuery{Campaign: campaign, Until: at.Truncate(span.step), Step: span.step}
	query.From = query.Until.Add(-span.length)
	points, err := k.server.ports.FunnelReader.FunnelSeries(ctx, query)
	if err != nil {
		return chartData{}, err
	}
	counts := make(map[int64]map[domain.FunnelOutcome]int64, len(points))
	for _, point := range points {
		counts[point.At.Unix()] = point.Counts
	}
	data := chartData{Lines: []chartLine{
		{Name: "Admitted", Color: "accent", Unit: "/s"}, {Name: "Issued", Color: "good", Unit: "/s"}, {Name: "Refused", Color: "muted", Unit: "/s"},
	}}
	for moment := query.From; moment.Before(query.Until); moment = moment.Add(span.step) {
		data.Times = append(data.Times, moment.Unix())
		admitted, issued, refused := shares(counts[moment.Unix()])
		for i, count := range []int64{admitted, issued, refused} {
			value := float64(count) / span.step.Seconds()
			data.Lines[i].Values = append(data.Lines[i].Values, &value)
		}
	}
	return data, nil
}

func shares(counts map[domain.FunnelOutcome]int64) (admitted, issued, refused int64) {
	for outcome, count := range counts {
		switch {
		case outcome == domain.FunnelAccepted || outcome == domain.FunnelReserved:
			admitted += count
		case outcome == domain.FunnelIssued:
			issued += count
		case domain.IsFunnelRefusal(outcome):
			refused += count
		}
	}
	return admitted, issued, refused
}

// lagCurve answers with the lag of the last minutes, at most an hour of them.
func (k *console) lagCurve(c *gin.Context) {
	span, err := rangeOf(c)
	if err != nil {
		k.server.refuse(c, err)
		return
	}
	data := chartData{Times: []int64{}, Lines: []chartLine{{Name: "Lag", Color: "warn", Unit: " records"}}}
	for _, reading := range k.lags.since(now().Add(-span.length)) {
		data.Times = append(data.Times, reading.At.Unix())
		var value *float64
		if reading.Error == "" {
			lag := float64(reading.Total)
			value = &lag
		}
		data.Lines[0].Values = append(data.Lines[0].Values, value)
	}
	c.JSON(http.StatusOK, data)
}

// digits writes a number exactly.
func digits(number int64) string { return strconv.FormatInt(number, 10) }
