package api

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestOperatorsRunAndReadAudits(t *testing.T) {
	b := newFixture(t)
	b.ledger.audits = []domain.AuditResult{{Campaign: "spring", Settled: true}}
	b.start()
	for _, c := range []struct{ method, query, asked string }{
		{http.MethodPost, "", "[] false"},
		{http.MethodPost, "?campaign=spring", "[spring] false"},
		{http.MethodPost, "?campaign=spring&repair=true", "[spring] true"},
		{http.MethodGet, "", "last "},
		{http.MethodGet, "?campaign=spring", "last spring"},
	} {
		got := b.admin(c.method, "/audit"+c.query, "")
		require.Equal(t, http.StatusOK, got.Code, got.Body.String())
		audits, _ := got.body["audits"].([]any)
		assert.Len(t, audits, 1)
		assert.Equal(t, c.asked, b.ledger.audited[len(b.ledger.audited)-1])
	}
	asked := len(b.ledger.audited)
	for _, query := range []string{"?repair=perhaps", "?repair=true&repair=false", "?code=spring"} {
		requireProblem(t, b.admin(http.MethodPost, "/audit"+query, ""), 400, domain.CodeInvalidRequest)
	}
	assert.Len(t, b.ledger.audited, asked, "a misspelled call must not audit everything")
}

func TestAnAuditOfNothingIsAnEmptyList(t *testing.T) {
	assert.JSONEq(t, `{"audits":[]}`, newFixture(t).start().admin(http.MethodGet, "/audit", "").Body.String())
}

func TestAProcessThatCannotAuditSaysSo(t *testing.T) {
	b := newFixture(t)
	b.cannotAudit = true
	b.start()
	requireProblem(t, b.admin(http.MethodGet, "/audit", ""), 404, domain.CodeNotFound)
	requireProblem(t, b.admin(http.MethodPost, "/audit", ""), 404, domain.CodeNotFound)
}

func TestTheHistoryNamesEachAuditWhereverItWasAskedFor(t *testing.T) {
	b := newFixture(t).start()
	b.admin(http.MethodPost, "/audit?campaign=spring&repair=true", "")
	console := b.logIn(testToken)
	require.Equal(t, http.StatusSeeOther, console.post("/console/audit", url.Values{"campaign": {"spring"}}).Code)
	require.Equal(t, http.StatusSeeOther, console.post("/console/audit", url.Values{"campaign": {""}}).Code)
	var kept []string
	for _, action := range b.operated.actions {
		kept = append(kept, action.Actor+": "+action.Action+" "+action.Target)
	}
	assert.Equal(t, []string{"admin: audit all campaigns", "admin: audit campaign spring", "admin: repair campaign spring"}, kept)
}
