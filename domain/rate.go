package domain

import (
	"fmt"
	"math"
	"strconv"
)

// MaxRowsPerSecond bounds the throttle; it is more than any database here stores.
const MaxRowsPerSecond = 1_000_000

// Rate is how many rows all consumers together may store in a second.
type Rate struct {
	// PerSecond is 0 for no limit. With Auto it counts for nothing.
	PerSecond float64
	// Auto lets each consumer find the rate by what the database bears.
	Auto bool
}

// ParseRate reads the throttle as it is configured, set and kept: 0 (no limit) to MaxRowsPerSecond, or RowsPerSecondAuto.
// CodeInvalidRequest, with the field "rows_per_second".
func ParseRate(text string) (Rate, error) {
	if text == RowsPerSecondAuto {
		return Rate{Auto: true}, nil
	}
	value, err := strconv.ParseFloat(text, 64)
	rate := Rate{PerSecond: value}
	if err != nil || !rate.Valid() {
		return Rate{}, Invalid("rows_per_second", `rows_per_second must be 0 (no limit) to %d, or %q, not %q`, MaxRowsPerSecond, RowsPerSecondAuto, text)
	}
	return rate, nil
}

// UnmarshalText is ParseRate for configurations.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	if *r, err = ParseRate(string(text)); err != nil {
		return fmt.Errorf("must be 0 to %d, or %s", MaxRowsPerSecond, RowsPerSecondAuto)
	}
	return nil
}

// String gives what ParseRate reads.
func (r Rate) String() string {
	if r.Auto {
		return RowsPerSecondAuto
	}
	return strconv.FormatFloat(r.PerSecond, 'f', -1, 64)
}

// Valid says whether ParseRate could have given it.
func (r Rate) Valid() bool { return r.PerSecond >= 0 && r.PerSecond <= MaxRowsPerSecond }

// IsWhole says that it can be told as an integer.
func (r Rate) IsWhole() bool { return r.PerSecond == math.Trunc(r.PerSecond) }
