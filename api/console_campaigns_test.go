package api

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestAFormThatWasFilledWithOldSettingsOverwritesNothing(t *testing.T) {
	b := newFixture(t)
	b.ledger.campaigns[0].SettingsVersion = 4
	b.start()
	ann, bob := b.logIn(testToken), b.logIn(testToken)
	version := func(page reply) string {
		found := regexp.MustCompile(`name="settings_version" value="(\d+)"`).FindStringSubmatch(page.Body.String())
		require.Len(t, found, 2, page.Body.String())
		return found[1]
	}
	seen := version(ann.get("/console/campaigns/spring/change"))
	save := func(v visitor, name, quota, version string) reply {
		return v.post("/console/campaigns/spring/change", url.Values{
			"name": {name}, "quota": {quota}, "starts_at": {"2020-01-01T00:00:00Z"}, "settings_version": {version},
		})
	}
	require.Equal(t, http.StatusSeeOther, save(ann, "Spring sale", "500", seen).Code)
	b.operated.actions = []domain.OperatorAction{{
		Actor: "ann", Before: `{"quota":2,"settings_version":4}`, After: `{"quota":500,"settings_version":5}`,
	}}
	got := save(bob, "Big sale", "2", seen)
	require.Equal(t, http.StatusConflict, got.Code)
	assert.Contains(t, got.Body.String(), "ann set quota from 2 to 500")
	assert.Contains(t, got.Body.String(), `value="Big sale"`, "what was typed is kept")
	assert.EqualValues(t, 500, b.ledger.campaigns[0].Quota)
	assert.Equal(t, "Spring sale", b.ledger.campaigns[0].Name)
	require.Equal(t, http.StatusSeeOther, save(bob, "Big sale", "500", version(got)).Code, "now it is meant")
	assert.Equal(t, "Big sale", b.ledger.campaigns[0].Name)
}

func TestAChangeForOldSettingsIsRefused(t *testing.T) {
	b := newFixture(t)
	b.ledger.campaigns[0].SettingsVersion = 4
	b.start()
	patch := func(body string) reply { return b.admin("PATCH", "/campaigns/spring", body) }
	require.Equal(t, http.StatusOK, patch(`{"quota":500,"settings_version":4}`).Code)
	got := patch(`{"name":"Big sale","settings_version":4}`)
	requireProblem(t, got, 409, domain.CodeConflict)
	assert.Equal(t, "settings_version", got.body["field"])
	require.Equal(t, http.StatusOK, patch(`{"name":"Big sale"}`).Code, "without a version it is as before")
	for _, body := range []string{`{"settings_version":6}`, `{"name":"x","settings_version":0}`, `{"name":"x","settings_version":"6"}`} {
		requireProblem(t, patch(body), 400, domain.CodeInvalidRequest)
	}
}

func TestAFormSaysAllThatIsWrongInTheOrderOfItsFields(t *testing.T) {
	b := newFixture(t).start()
	console := b.logIn(testToken)
	places := func(page string, texts ...string) {
		last := -1
		for _, text := range texts {
			at := strings.Index(page, text)
			require.Greater(t, at, last, "%q comes next", text)
			last = at
		}
	}
	got := console.post("/console/campaigns", url.Values{"starts_at": {"tomorrow"}})
	require.Equal(t, http.StatusUnprocessableEntity, got.Code)
	places(got.Body.String(), "code must be 1 to 63", "A whole number, such as 1000.", "A time such as")
	for range 16 { // chance would show
		wrong := "user_id=x&from=x&until=x&status=x"
		places(console.get("/console/fail-events?"+wrong).Body.String(), "<strong>status:", "<strong>user_id:", "<strong>from:", "<strong>until:")
		places(console.get("/console/fail-events.csv?"+wrong).Body.String(), "status: ", "user id: ", "from: ", "until: ")
		got = console.post("/console/fail-events/confirm", url.Values{"do": {"retry-all"}, "user_id": {"x"}, "from": {"x"}})
		places(got.Body.String(), "user id: ", "from: ")
		assert.Equal(t, "aa", b.admin("GET", "/actions?zz=1&aa=1&mm=1", "").body["field"])
	}
}
