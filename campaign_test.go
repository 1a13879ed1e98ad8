package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// issued is a ledger with so many coupons in each campaign.
type issued int64

func (i issued) Count(context.Context, string) (domain.LedgerCounts, error) {
	return domain.LedgerCounts{Issued: int64(i)}, nil
}

func TestAWishForALowerQuotaIsListedAsOne(t *testing.T) {
	for coupons, want := range map[issued]string{
		5: "5, going down to 4: 1 holder too many", 6: "5, going down to 4: 2 holders too many", 4: "5, going down to 4 ",
	} {
		var out strings.Builder
		require.NoError(t, printCampaigns(t.Context(), &out, coupons, domain.Campaign{Code: "spring", Quota: 5, WantedQuota: 4}))
		assert.Contains(t, out.String(), want)
	}
}

func TestCampaignsAreWrittenForProgramsUnderTheNamesOfTheAdminAPI(t *testing.T) {
	var out strings.Builder
	require.NoError(t, writeCampaigns(&out, []domain.Campaign{{Code: "spring", Quota: 5, SettingsVersion: 3, Fencing: 7}}))
	assert.Contains(t, out.String(), `"settings_version":3`)
	assert.NotRegexp(t, `"[A-Z]\w*":`, out.String(), "no name of a Go field")
	out.Reset()
	require.NoError(t, writeCampaigns(&out, nil))
	assert.JSONEq(t, `[]`, out.String())
}
