package sqlledger

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestClaimedEventsComeInTurns(t *testing.T) {
	for name, one := range map[string]struct{ given, want string }{
		"nothing":             {"", ""},
		"one campaign":        {"aaa", "aaa"},
		"a backlog":           {"aaaab", "abaaa"},
		"the oldest is first": {"bbbaaac", "bacbaba"},
	} {
		t.Run(name, func(t *testing.T) {
			rows := make([]failEventRow, len(one.given))
			for i, code := range one.given {
				rows[i] = failEventRow{ID: int64(i), CampaignCode: string(code)}
			}
			got, last := "", map[string]int64{}
			for _, row := range inTurns(rows) {
				assert.GreaterOrEqual(t, row.ID, last[row.CampaignCode], "a campaign's events stay in their order")
				last[row.CampaignCode] = row.ID
				got += row.CampaignCode
			}
			assert.Equal(t, one.want, got)
		})
	}
}
