package api

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// anyMoment draws a time to the microsecond, as the ledger keeps them, or none.
func anyMoment(t *rapid.T, name string) time.Time {
	if !rapid.Bool().Draw(t, "has "+name) {
		return time.Time{}
	}
	return time.UnixMicro(rapid.Int64Range(1, 250_000_000_000_000_000).Draw(t, name)).UTC()
}

// anyFilter draws what an operator may look for. Spaces around a text are taken away on purpose: they come from copying.
func anyFilter(t *rapid.T) domain.FailEventFilter {
	text := rapid.StringN(0, 12, domain.MaxTextBytes).Filter(func(s string) bool { return s == strings.TrimSpace(s) })
	return domain.FailEventFilter{
		Status:   rapid.SampledFrom(append([]domain.FailStatus{""}, domain.FailStatuses...)).Draw(t, "status"),
		Reason:   rapid.SampledFrom(append([]domain.FailReason{""}, domain.FailReasons...)).Draw(t, "reason"),
		Campaign: rapid.StringMatching(`([a-z0-9][a-z0-9-]{0,62})?`).Draw(t, "campaign"),
		UserID:   domain.UserID(rapid.Int64Range(0, 999_999_999_999_999_999).Draw(t, "user")),
		From:     anyMoment(t, "from"), Until: anyMoment(t, "until"), Text: text.Draw(t, "text"),
	}
}

// An address that is sent to a colleague selects the same events there.
func TestAFilterIsTheSameAfterItStoodInAnAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		filter := anyFilter(t)
		if filter.Check() != nil {
			return // until is before from
		}
		values, err := url.ParseQuery(textOf(filter).Query())
		require.NoError(t, err)
		read, errs := filterOf(values).parse()
		require.Empty(t, errs)
		require.Equal(t, filter, read)
		require.Equal(t, textOf(filter), filterOf(values), "what the fields of the form hold")
	})
}

func TestAFilterThatSelectsNothingByMistakeIsExplained(t *testing.T) {
	for address, field := range map[string]string{
		"user_id=0": "user_id", "user_id=forty": "user_id", "status=DED": "status", "reason=x": "reason", "from=yesterday": "from",
		"until=2030": "until", "from=2030-01-02T00:00&until=2030-01-01T00:00": "until", "cursor=x": "cursor",
		"text=" + strings.Repeat("x", domain.MaxTextBytes+1): "text", "text=%ff": "text",
	} {
		values, err := url.ParseQuery(address)
		require.NoError(t, err)
		_, errs := filterOf(values).parse()
		assert.Len(t, errs, 1, address)
		assert.NotEmpty(t, errs[field], address)
	}
}
