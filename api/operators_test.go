package api

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// as calls as an operator with a token of their own.
func (b *fixture) as(token, method, path, body string) reply {
	b.t.Helper()
	request := newRequest(method, "/v1/admin"+path, body)
	request.Header.Set("Authorization", "Bearer "+token)
	return b.do(request)
}

func TestAViewerLooksAndAnOperatorChanges(t *testing.T) {
	b := newFixture(t)
	alice, aliceLine, err := NewOperatorToken("alice", domain.RoleOperator)
	require.NoError(t, err)
	bob, bobLine, err := NewOperatorToken("bob", domain.RoleViewer)
	require.NoError(t, err)
	b.cfg.Tokens, err = ParseOperatorTokens([]string{aliceLine, bobLine})
	require.NoError(t, err)
	b.start()
	assert.JSONEq(t, `{"name":"alice","role":"operator"}`, b.as(alice, "GET", "/operator", "").Body.String())
	assert.JSONEq(t, `{"name":"bob","role":"viewer"}`, b.as(bob, "GET", "/operator", "").Body.String())
	for _, route := range append(b.server.adminRoutes(), b.server.longAdminRoutes()...) {
		path := strings.NewReplacer(":code", "spring", ":id", "1", ":user_id", "42").Replace(route.path)
		got := b.as(bob, route.method, path, "{}")
		if route.method == http.MethodGet {
			assert.NotEqual(t, http.StatusForbidden, got.Code, path)
			continue
		}
		requireProblem(t, got, 403, domain.CodeForbidden)
	}
	assert.Empty(t, b.ledger.actors, "a viewer has changed nothing")
	require.Equal(t, http.StatusOK, b.as(alice, "POST", "/campaigns/spring/pause", "").Code)
	b.admin("POST", "/campaigns/spring/resume", "")
	assert.Equal(t, []string{"alice", "admin"}, b.ledger.actors)
	assert.NotContains(t, b.log.String(), alice)
}

func TestTokensAreReadStrictlyAndNeverShown(t *testing.T) {
	_, good, err := NewOperatorToken("alice", domain.RoleOperator)
	require.NoError(t, err)
	hash := strings.Repeat("0f", 32)
	for _, line := range []string{
		"", "secret-token", "alice:operator", "alice:operator:" + hash, "alice:owner:sha256:" + hash, ":viewer:sha256:" + hash,
		"al ice:viewer:sha256:" + hash, "alice:viewer:sha256:" + hash[2:], "alice:viewer:sha256:" + strings.Repeat("zz", 32),
		"admin:operator:sha256:" + hash, strings.Repeat("x", 41) + ":viewer:sha256:" + hash,
	} {
		_, err := ParseOperatorTokens([]string{line})
		require.Error(t, err, line)
		if line != "" {
			assert.NotContains(t, err.Error(), line)
		}
	}
	_, err = ParseOperatorTokens([]string{good, good})
	require.ErrorContains(t, err, "taken")
	_, _, err = NewOperatorToken("x", "owner")
	require.Error(t, err)
}

func TestGuessingIsSlowedDownForEachAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperators("right", nil)
		for range guessBurst {
			_, err := o.identify("192.0.2.1", "wrong")
			require.Equal(t, domain.CodeUnauthorized, domain.CodeOf(err))
		}
		_, err := o.identify("192.0.2.1", "wrong")
		require.Equal(t, domain.CodeRateLimited, domain.CodeOf(err))
		_, err = o.identify("192.0.2.1", "right")
		require.Equal(t, domain.CodeRateLimited, domain.CodeOf(err), "or guessing would go on at full speed")
		problem, kind := asProblem(err)
		assert.Equal(t, 429, problem.Status)
		assert.Equal(t, "5", retryAfter(err, kind))
		operator, err := o.identify("198.51.100.7", "right")
		require.NoError(t, err, "somebody elsewhere is not disturbed")
		assert.Equal(t, domain.Operator{Name: "admin", Role: domain.RoleOperator}, operator)
		time.Sleep(guessPause)
		_, err = o.identify("192.0.2.1", "right")
		require.NoError(t, err, "who waited may try again")
	})
}

func TestTheAddressesOfOneNetworkAreOneClient(t *testing.T) {
	o := newOperators("right", nil)
	assert.Same(t, o.bucket("2001:db8:1:2::1"), o.bucket("2001:db8:1:2:ffff::9"))
	different := 0
	for _, other := range []string{"2001:db8:1:3::1", "2001:db8:1:4::1", "2001:db8:1:5::1", "192.0.2.1"} {
		if o.bucket(other) != o.bucket("2001:db8:1:2::1") {
			different++
		}
	}
	assert.GreaterOrEqual(t, different, 3)
	_, err := o.identify("192.0.2.9", "")
	assert.Equal(t, domain.CodeUnauthorized, domain.CodeOf(err), "no token is no guess")
}
