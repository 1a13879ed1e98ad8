package loadtest

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestAnAnswerPromisesOnlyWhatItsBodySays(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		want   Outcome
		label  string
	}{
		"new winner":         {202, `{"user_id":"7","slot":3,"status":"accepted"}`, Accepted, "202 accepted"},
		"asked again":        {200, `{"user_id":"7","slot":3,"status":"issued"}`, Accepted, "200 issued"},
		"delayed":            {200, `{"user_id":"7","status":"accepted","delayed":true}`, Accepted, "200 accepted"},
		"reserved":           {202, `{"user_id":"7","status":"reserved"}`, Reserved, "202 reserved"},
		"a word we know not": {200, `{"user_id":"7","status":"maybe"}`, Unknown, "200 maybe"},
		"no JSON":            {202, `<html>`, Unknown, "202 unreadable"},
		"cut off":            {202, `{"user_id":"7","status":"accep`, Unknown, "202 unreadable"},
		"sold out":           {409, `{"type":"urn:firstcome:problem:sold-out"}`, Refused, "409 sold-out"},
		"not started":        {409, `{"type":"urn:firstcome:problem:not-started"}`, Refused, "409 not-started"},
		"paused":             {409, `{"type":"https://x.example/problems/paused"}`, Refused, "409 paused"},
		"revoked":            {409, `{"type":"urn:firstcome:problem:revoked"}`, Refused, "409 revoked"},
		"ended":              {410, `{"type":"urn:firstcome:problem:ended"}`, Refused, "410 ended"},
		"rate limit":         {429, `{"type":"urn:firstcome:problem:rate-limited"}`, Unknown, "429 rate-limited"},
		"gate closed":        {503, `{"type":"urn:firstcome:problem:gate-closed"}`, Unknown, "503 gate-closed"},
		"a proxy's error":    {502, `Bad Gateway`, Unknown, "502 unreadable"},
		"no type":            {500, `{}`, Unknown, "500"},
		"a code too long":    {500, `{"type":"urn:x:` + strings.Repeat("y", 1000) + `"}`, Unknown, "500 unreadable"},
		"control characters": {202, `{"status":"\u009b2J"}`, Unknown, "202 unreadable"},
		"escape sequences":   {202, `{"status":"\u001b[2J"}`, Unknown, "202 unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			got := readAnswer(7, reply{status: test.status, body: []byte(test.body)})
			assert.Equal(t, test.want, got.Outcome)
			assert.Equal(t, test.label, got.label())
			assert.Equal(t, domain.UserID(7), got.UserID)
		})
	}
}

func TestTheSlotAndTheUserAreRead(t *testing.T) {
	for _, body := range []string{
		`{"user_id":"9223372036854775807","slot":3,"status":"accepted"}`,
		`{"user_id":9223372036854775807,"slot":"3","status":"accepted"}`,
	} {
		got := readAnswer(1, reply{status: 202, body: []byte(body)})
		assert.Equal(t, domain.Slot(3), got.Slot, body)
		assert.Equal(t, domain.UserID(math.MaxInt64), got.AnsweredFor, body)
	}
}

func TestTheApplicationHoldsAll64Bits(t *testing.T) {
	assert.JSONEq(t, `{"user_id":"9223372036854775807"}`, string(newApplication(math.MaxInt64)))
	assert.LessOrEqual(t, len(newApplication(math.MaxInt64)), maxApplicationBytes)
}

func TestRetryAfterIsHonouredWithinLimits(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"1": time.Second, " 2 ": 2 * time.Second, "0": minRetryWait, "-5": minRetryWait, "3600": maxRetryWait,
		"9223372036854775807": maxRetryWait, "Wed, 21 Oct 2026 07:28:00 GMT": defaultRetryWait, "soon": defaultRetryWait,
	} {
		assert.Equal(t, want, retryWait(header), "%q", header)
	}
}

func TestUnansweredSaysWhy(t *testing.T) {
	for want, err := range map[domain.Code]error{
		codeTimeout: context.DeadlineExceeded, codeCancelled: context.Canceled, codeConnection: assert.AnError,
	} {
		got := unanswered(7, err)
		assert.Equal(t, Unknown, got.Outcome)
		assert.Equal(t, "unknown ("+string(want)+")", got.label())
	}
}

// Whatever a server sends, reading it ends without a promise that the body does not hold.
func FuzzReadAnswer(f *testing.F) {
	f.Add(202, []byte(`{"user_id":"7","slot":3,"status":"accepted"}`))
	f.Add(409, []byte(`{"type":"urn:firstcome:problem:sold-out"}`))
	f.Add(503, []byte(`{"type":17}`))
	f.Add(200, []byte(`{"user_id":"-","slot":1e9}`))
	f.Add(0, []byte(nil))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		got := readAnswer(7, reply{status: status, body: body})
		require.LessOrEqual(t, len(got.Code), maxCodeLength)
		if got.Outcome == Accepted || got.Outcome == Reserved {
			require.True(t, status == 200 || status == 202)
			require.Contains(t, []domain.Code{"accepted", "issued", "reserved"}, got.Code)
		}
	})
}
