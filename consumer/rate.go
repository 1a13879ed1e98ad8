package consumer

import (
	"fmt"
	"math"
	"strconv"

	"firstcome/domain"
)

// Rate is how many rows all consumers together may store in a second.
type Rate struct {
	// PerSecond is 0 for no limit. With Auto it counts for nothing.
	PerSecond float64
	// Auto lets each consumer find the rate by what the database bears.
	Auto bool
}

// ParseRate reads a number of rows a second, 0 or more, or domain.RowsPerSecondAuto.
func ParseRate(text string) (Rate, error) {
	if text == domain.RowsPerSecondAuto {
		return Rate{Auto: true}, nil
	}
	value, err := strconv.ParseFloat(text, 64)
	rate := Rate{PerSecond: value}
	if err != nil || !rate.valid() {
		return Rate{}, fmt.Errorf("%q is no number of rows a second, 0 or more, nor %q", text, domain.RowsPerSecondAuto)
	}
	return rate, nil
}

// UnmarshalText is ParseRate for configurations.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// String gives what ParseRate reads.
func (r Rate) String() string {
	if r.Auto {
		return domain.RowsPerSecondAuto
	}
	return strconv.FormatFloat(r.PerSecond, 'f', -1, 64)
}

func (r Rate) valid() bool { return r.PerSecond >= 0 && !math.IsInf(r.PerSecond, 0) }
