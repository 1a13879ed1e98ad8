package domain

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheThrottleIsReadTheSameWherever(t *testing.T) {
	for text, want := range map[string]Rate{
		"0": {}, "250": {PerSecond: 250}, "0.5": {PerSecond: 0.5}, "1000000": {PerSecond: 1e6}, "auto": {Auto: true},
	} {
		rate, err := ParseRate(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, rate)
		var read Rate
		require.NoError(t, read.UnmarshalText([]byte(want.String())), text)
		assert.Equal(t, want, read, "what is written is read again")
	}
	for _, text := range []string{"", "-1", "1000001", "NaN", "Inf", "Auto", "fast", "1,000", "10 "} {
		_, err := ParseRate(text)
		assert.Equal(t, CodeInvalidRequest, CodeOf(err), text)
	}
}
