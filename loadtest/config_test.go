package loadtest

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestARunThatMakesNoSenseIsRefusedByField(t *testing.T) {
	for field, cfg := range map[string]Config{
		"base_url":        {BaseURL: "127.0.0.1:8080"},
		"code":            {Campaign: "Not A Code"},
		"quota":           {Quota: -1},
		"users":           {Users: MaxUsers + 1},
		"first_user_id":   {FirstUserID: math.MaxInt64 - 10},
		"concurrency":     {Concurrency: MaxConcurrency + 1},
		"max_retries":     {MaxRetries: -1},
		"rate":            {Ramp: time.Second},
		"ramp":            {Rate: 1, Ramp: -1},
		"burst_users":     {Rate: 1, BurstUsers: 1001},
		"request_timeout": {RequestTimeout: -1},
		"open_timeout":    {OpenTimeout: -1},
		"settle_timeout":  {SettleTimeout: -1},
	} {
		_, err := Run(t.Context(), cfg, &bytes.Buffer{})
		var refused *domain.Error
		require.ErrorAs(t, err, &refused, field)
		assert.Equal(t, domain.CodeInvalidRequest, refused.Code)
		assert.Equal(t, field, refused.Field)
	}
}

func TestABaseURLWithSecretsOrExtrasIsRefused(t *testing.T) {
	for _, url := range []string{
		"http://user:pass@127.0.0.1", "http://127.0.0.1/?q=1", "http://127.0.0.1/#x", "ftp://127.0.0.1", "http://", "://",
	} {
		assert.Error(t, checkBaseURL(url, true), url)
	}
}

func TestTheDefaultsAreARunAgainstThisMachine(t *testing.T) {
	cfg := Config{}.withDefaults()
	require.NoError(t, cfg.check())
	assert.Equal(t, "http://127.0.0.1:8080", cfg.BaseURL)
	assert.Equal(t, 32, cfg.Concurrency)
	assert.EqualValues(t, 100, cfg.Quota)
	assert.Equal(t, 1000, cfg.Users)
	assert.Equal(t, "http://localhost:1", Config{BaseURL: "http://localhost:1/"}.withDefaults().BaseURL)
}
