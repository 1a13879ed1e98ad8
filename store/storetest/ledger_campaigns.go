package storetest

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

var ledgerCampaignTests = map[string]func(*testing.T, Ledger){
	"ACampaignSurvivesAsItWasGiven":               testCampaignRoundTrip,
	"ACampaignIsRefusedByItsCheck":                testCampaignInvalid,
	"ACampaignCodeIsTakenOnce":                    testCampaignConflict,
	"AnUnknownCampaignIsSaidToBeUnknown":          testCampaignUnknown,
	"AChangeKeepsWhatItDoesNotName":               testCampaignChange,
	"AChangeThatIsRefusedChangesNothing":          testCampaignChangeRefused,
	"ARebuildRaisesEpochAndFencing":               testRebuildBegin,
	"ARebuildRaisesTheEpochAboveTheGates":         testRebuildAboveGate,
	"ARebuildMakesAWaitingQuotaTheQuota":          testRebuildFinish,
	"AWishBecomesTheQuotaOnceTheHoldersFit":       testLowerQuota,
	"AnOvertakenRebuildFinishesNothing":           testRebuildOvertaken,
	"ARebuildDoesNotUndoAnOperatorsNewerQuota":    testRebuildKeepsNewerQuota,
	"ARebuildKeepsWhatAnOperatorChangedMeanwhile": testRebuildKeepsState,
	"ASettingIsKept":                              testSetting,
}

func testCampaignRoundTrip(t *testing.T, ledger Ledger) {
	given := newCampaign("spring", 100)
	given.Epoch, given.Fencing, given.WantedQuota, given.ID, given.SlotLimit, given.SettingsVersion = 7, 7, 7, 7, 7, 7
	given.StartsAt = given.StartsAt.In(time.FixedZone("somewhere", 9*3600)).Add(999 * time.Nanosecond)
	created, err := ledger.CreateCampaign(t.Context(), given, operatorName)
	require.NoError(t, err)
	assert.Zero(t, created.Epoch, "the gate was never opened")
	assert.Zero(t, created.Fencing)
	assert.Zero(t, created.WantedQuota)
	assert.Zero(t, created.SlotLimit)
	assert.EqualValues(t, 1, created.SettingsVersion)
	assertRecent(t, created.CreatedAt)

	want := newCampaign("spring", 100)
	want.ID, want.CreatedAt, want.UpdatedAt, want.SettingsVersion = created.ID, created.CreatedAt, created.UpdatedAt, 1
	assert.Equal(t, want, created, "times survive in UTC to the microsecond")
	read, err := ledger.Campaign(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, want, read)

	_, err = ledger.CreateCampaign(t.Context(), newCampaign("autumn", 5), operatorName)
	require.NoError(t, err)
	all, err := ledger.Campaigns(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, []string{"spring", "autumn"}, []string{all[0].Code, all[1].Code}, "in the order of their IDs")
}

func testCampaignInvalid(t *testing.T, ledger Ledger) {
	for _, spoil := range []func(*domain.Campaign){
		func(c *domain.Campaign) { c.Code = "Not A Code" },
		func(c *domain.Campaign) { c.Quota = 0 },
		func(c *domain.Campaign) { c.EndsAt = c.StartsAt.Add(time.Nanosecond) },
		func(c *domain.Campaign) { c.Name = strings.Repeat("ü", domain.MaxNameLength+1) },
	} {
		campaign := newCampaign("spring", 1)
		campaign.EndsAt = campaign.StartsAt.Add(time.Hour)
		spoil(&campaign)
		_, err := ledger.CreateCampaign(t.Context(), campaign, operatorName)
		requireCode(t, domain.CodeInvalidRequest, err)
	}
	longest := newCampaign(strings.Repeat("a", 63), domain.MaxQuota)
	longest.Name = strings.Repeat("🎟", domain.MaxNameLength)
	created, err := ledger.CreateCampaign(t.Context(), longest, operatorName)
	require.NoError(t, err)
	assert.Equal(t, longest.Name, created.Name)
}

func testCampaignConflict(t *testing.T, ledger Ledger) {
	first := newCampaign("spring", 1)
	_, err := ledger.CreateCampaign(t.Context(), first, operatorName)
	require.NoError(t, err)
	_, err = ledger.CreateCampaign(t.Context(), newCampaign("spring", 2), operatorName)
	requireCode(t, domain.CodeConflict, err)
	kept, err := ledger.Campaign(t.Context(), "spring")
	require.NoError(t, err)
	assert.EqualValues(t, 1, kept.Quota)
}

func testCampaignUnknown(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 1)
	for _, code := range []string{"autumn", "spring ", "Spring", "", "spring\x00", "%", strings.Repeat("a", 5000)} {
		_, err := ledger.Campaign(t.Context(), code)
		requireCode(t, domain.CodeUnknownCampaign, err)
		_, err = ledger.ChangeCampaign(t.Context(), code, domain.CampaignChange{}, operatorName)
		requireCode(t, domain.CodeUnknownCampaign, err)
		_, err = ledger.BeginRebuild(t.Context(), code, 0)
		requireCode(t, domain.CodeUnknownCampaign, err)
		_, _, err = ledger.Coupons(t.Context(), code, 0, 1)
		requireCode(t, domain.CodeUnknownCampaign, err)
		_, err = ledger.Count(t.Context(), code)
		requireCode(t, domain.CodeUnknownCampaign, err)
		_, err = ledger.FindCoupon(t.Context(), code, 1)
		requireCode(t, domain.CodeNotFound, err)
	}
}

func testCampaignChange(t *testing.T, ledger Ledger) {
	before := openCampaign(t, ledger, "spring", 100)
	name, lower, paused := "New name", int64(40), domain.CampaignPaused
	after, err := ledger.ChangeCampaign(t.Context(), "spring",
		domain.CampaignChange{Name: &name, Quota: &lower, State: &paused}, operatorName)
	require.NoError(t, err)
	want := before
	want.Name, want.WantedQuota, want.State, want.UpdatedAt = name, lower, paused, after.UpdatedAt
	want.SettingsVersion++
	assert.Equal(t, want, after, "a lower quota is a wish")
	read, err := ledger.Campaign(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, want, read)
	again, err := ledger.ChangeCampaign(t.Context(), "spring", domain.CampaignChange{Name: &name}, operatorName)
	require.NoError(t, err, "a change to what is there already")
	assert.Equal(t, name, again.Name)
}

func testCampaignChangeRefused(t *testing.T, ledger Ledger) {
	before := openCampaign(t, ledger, "spring", 100)
	bad, ended, open := int64(0), domain.CampaignEnded, domain.CampaignOpen
	_, err := ledger.ChangeCampaign(t.Context(), "spring", domain.CampaignChange{Quota: &bad}, operatorName)
	requireCode(t, domain.CodeInvalidRequest, err)
	read, err := ledger.Campaign(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, before, read)
	_, err = ledger.ChangeCampaign(t.Context(), "spring", domain.CampaignChange{State: &ended}, operatorName)
	require.NoError(t, err)
	_, err = ledger.ChangeCampaign(t.Context(), "spring", domain.CampaignChange{State: &open}, operatorName)
	requireCode(t, domain.CodeConflict, err)
}

func testRebuildBegin(t *testing.T, ledger Ledger) {
	_, err := ledger.CreateCampaign(t.Context(), newCampaign("spring", 3), operatorName)
	require.NoError(t, err)
	for want := int64(1); want <= 2; want++ {
		campaign, err := ledger.BeginRebuild(t.Context(), "spring", 0)
		require.NoError(t, err)
		assert.Equal(t, want, campaign.Epoch)
		assert.Equal(t, want, campaign.Fencing)
		read, err := ledger.Campaign(t.Context(), "spring")
		require.NoError(t, err)
		assert.Equal(t, campaign, read)
	}
}

// testRebuildAboveGate has a ledger that is behind the gate, as after a fail-over without its last commits, and gates whose
// epoch was edited.
func testRebuildAboveGate(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 3)
	for i, rebuild := range []struct{ gateEpoch, want int64 }{
		{7, 8}, {3, 9}, {9 + domain.MaxEpochLead + 1, 10}, {999_999_999_999_999, 11}, {math.MaxInt64, 12},
		{12 + domain.MaxEpochLead, 13 + domain.MaxEpochLead},
	} {
		campaign, err := ledger.BeginRebuild(t.Context(), "spring", rebuild.gateEpoch)
		require.NoError(t, err)
		assert.Equal(t, rebuild.want, campaign.Epoch, "the gate was at %d", rebuild.gateEpoch)
		assert.EqualValues(t, 2+i, campaign.Fencing)
		read, err := ledger.Campaign(t.Context(), "spring")
		require.NoError(t, err)
		assert.Equal(t, campaign, read)
	}
}

// wishFor has an operator set a lower quota.
func wishFor(t *testing.T, ledger Ledger, lower int64) domain.Campaign {
	t.Helper()
	wished, err := ledger.ChangeCampaign(t.Context(), "spring", domain.CampaignChange{Quota: &lower}, operatorName)
	require.NoError(t, err)
	return wished
}

// testRebuildFinish and testLowerQuota grant a wish as soon as the holders fit, and no sooner.
func testRebuildFinish(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 100)
	wishFor(t, ledger, 40)
	begun, err := ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	kept, err := ledger.FinishRebuild(t.Context(), begun, domain.SlotUse{Holders: 41, Highest: 41})
	require.NoError(t, err)
	assert.Equal(t, begun, kept, "the wish stays")
	done, err := ledger.FinishRebuild(t.Context(), begun, domain.SlotUse{Holders: 40, Highest: 40})
	require.NoError(t, err)
	assert.EqualValues(t, 40, done.Quota)
	assert.Zero(t, done.WantedQuota)
	assert.Zero(t, done.SlotLimit)
	assert.Greater(t, done.SettingsVersion, begun.SettingsVersion)
	read, err := ledger.Campaign(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, done, read)
	_, err = ledger.FinishRebuild(t.Context(), done, domain.SlotUse{Holders: 40, Highest: 40})
	require.NoError(t, err, "finishing twice is harmless")
}

func testLowerQuota(t *testing.T, ledger Ledger) {
	opened := openCampaign(t, ledger, "spring", 5)
	storeAll(t, ledger, opened, winner(opened, 11, 1), winner(opened, 12, 2))
	wished := wishFor(t, ledger, 4)
	assert.Equal(t, opened.SettingsVersion+1, wished.SettingsVersion)
	kept, err := ledger.LowerQuota(t.Context(), wished, domain.SlotUse{Holders: 5, Highest: 5})
	require.NoError(t, err)
	assert.Equal(t, wished, kept, "one holder too many: the wish stays")
	_, err = ledger.LowerQuota(t.Context(), opened, domain.SlotUse{Holders: 1, Highest: 1})
	requireCode(t, domain.CodeOvertaken, err)

	lowered, err := ledger.LowerQuota(t.Context(), wished, domain.SlotUse{Holders: 4, Highest: 5})
	require.NoError(t, err)
	assert.EqualValues(t, 4, lowered.Quota)
	assert.Zero(t, lowered.WantedQuota)
	assert.EqualValues(t, 5, lowered.HighestSlot())
	assert.Equal(t, wished.SettingsVersion+1, lowered.SettingsVersion)
	read, err := ledger.Campaign(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, lowered, read)
	storeAll(t, ledger, lowered, winner(lowered, 15, 5)) // who holds slot 5 keeps it, though it was stored only now
	results, err := ledger.StoreCoupons(t.Context(), "spring", []domain.Winner{winner(lowered, 16, 6)})
	require.NoError(t, err)
	assert.Equal(t, domain.OverQuota, results[0].Outcome)

	wished = wishFor(t, ledger, 3)
	begun, err := ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	_, err = ledger.LowerQuota(t.Context(), wished, domain.SlotUse{Holders: 3, Highest: 5})
	requireCode(t, domain.CodeOvertaken, err)
	taken := wishFor(t, ledger, 4)
	assert.Zero(t, taken.WantedQuota, "the wish is taken back")
	_, err = ledger.FinishRebuild(t.Context(), begun, domain.SlotUse{Holders: 3, Highest: 3})
	requireCode(t, domain.CodeOvertaken, err)
	_, err = ledger.LowerQuota(t.Context(), domain.Campaign{Code: "nowhere"}, domain.SlotUse{})
	requireCode(t, domain.CodeUnknownCampaign, err)
}

func testRebuildOvertaken(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 100)
	frozen, err := ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	_, err = ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	_, err = ledger.FinishRebuild(t.Context(), frozen, domain.SlotUse{})
	requireCode(t, domain.CodeOvertaken, err)
	read, err := ledger.Campaign(t.Context(), "spring")
	require.NoError(t, err)
	assert.EqualValues(t, 100, read.Quota)
}

func testRebuildKeepsNewerQuota(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 100)
	begun, err := ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	higher := int64(150)
	_, err = ledger.ChangeCampaign(t.Context(), "spring", domain.CampaignChange{Quota: &higher}, operatorName)
	require.NoError(t, err)
	_, err = ledger.FinishRebuild(t.Context(), begun, domain.SlotUse{})
	requireCode(t, domain.CodeOvertaken, err)
	read, err := ledger.Campaign(t.Context(), "spring")
	require.NoError(t, err)
	assert.Equal(t, higher, read.Quota, "the operator's wish was lost")
}

func testRebuildKeepsState(t *testing.T, ledger Ledger) {
	openCampaign(t, ledger, "spring", 100)
	begun, err := ledger.BeginRebuild(t.Context(), "spring", 0)
	require.NoError(t, err)
	paused := domain.CampaignPaused
	_, err = ledger.ChangeCampaign(t.Context(), "spring", domain.CampaignChange{State: &paused}, operatorName)
	require.NoError(t, err)
	done, err := ledger.FinishRebuild(t.Context(), begun, domain.SlotUse{})
	require.NoError(t, err)
	assert.Equal(t, paused, done.State)
}

func testSetting(t *testing.T, ledger Ledger) {
	value, err := ledger.Setting(t.Context(), domain.SettingRowsPerSecond)
	require.NoError(t, err)
	assert.Empty(t, value, "it was never set")
	for _, want := range []string{"500", "500", "0", ""} {
		require.NoError(t, ledger.SetSetting(t.Context(), domain.SettingRowsPerSecond, want, operatorName))
		value, err = ledger.Setting(t.Context(), domain.SettingRowsPerSecond)
		require.NoError(t, err)
		assert.Equal(t, want, value)
	}
	requireCode(t, domain.CodeInvalidRequest,
		ledger.SetSetting(t.Context(), domain.SettingRowsPerSecond, strings.Repeat("1", 2000), operatorName))
	requireCode(t, domain.CodeInvalidRequest, ledger.SetSetting(t.Context(), "", "1", operatorName))
}
