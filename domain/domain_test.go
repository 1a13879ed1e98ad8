package domain

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseUserIDAcceptsOnlyPositiveDecimalIntegers(t *testing.T) {
	for _, text := range []string{
		"", "0", "-1", "+7", "1.5", "1e3", "abc", " 7", "7 ", "07", "0x7", "٣",
		"9223372036854775808", "99999999999999999999", strings.Repeat("1", 1000),
	} {
		_, err := ParseUserID(text)
		assert.Equal(t, CodeInvalidRequest, CodeOf(err), "%q", text)
	}
	for text, want := range map[string]UserID{"1": 1, "42": 42, "9223372036854775807": math.MaxInt64} {
		got, err := ParseUserID(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
	}
}

func TestUserIDSurvivesItsOwnText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user := UserID(rapid.Int64Range(1, math.MaxInt64).Draw(t, "user"))
		got, err := ParseUserID(user.String())
		require.NoError(t, err)
		require.Equal(t, user, got)
	})
}

func FuzzParseUserID(f *testing.F) {
	for _, seed := range []string{"1", "0", "-1", "+7", "9223372036854775807", "9223372036854775808", "１"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		user, err := ParseUserID(text)
		if err != nil {
			return
		}
		if user < 1 || strconv.FormatInt(int64(user), 10) != text {
			t.Fatalf("%q was read as %d", text, user)
		}
	})
}

func validCampaign() Campaign {
	return Campaign{
		Code: "spring-sale", Name: "Spring sale", Quota: 100, State: CampaignOpen,
		StartsAt: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), EndsAt: NoEnd,
	}
}

func TestOnlyANewCampaignMayLeaveItsStartToTheLedger(t *testing.T) {
	unsaid := validCampaign()
	unsaid.StartsAt = time.Time{}
	require.NoError(t, unsaid.Check())
	_, err := validCampaign().Apply(CampaignChange{StartsAt: &time.Time{}})
	assert.Equal(t, CodeInvalidRequest, CodeOf(err))
}

func TestCampaignCheckNamesTheWrongField(t *testing.T) {
	require.NoError(t, validCampaign().Check())
	cases := map[string]func(*Campaign){
		"code":      func(c *Campaign) { c.Code = "Spring Sale" },
		"name":      func(c *Campaign) { c.Name = strings.Repeat("ü", MaxNameLength+1) },
		"quota":     func(c *Campaign) { c.Quota = 0 },
		"ends_at":   func(c *Campaign) { c.EndsAt = c.StartsAt },
		"starts_at": func(c *Campaign) { c.StartsAt = time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC) },
		"state":     func(c *Campaign) { c.State = "closed" },
	}
	for field, spoil := range cases {
		campaign := validCampaign()
		spoil(&campaign)
		var refused *Error
		require.ErrorAs(t, campaign.Check(), &refused, field)
		assert.Equal(t, field, refused.Field)
	}
}

func TestCampaignCodeCanStandInKeysAndURLs(t *testing.T) {
	for _, code := range []string{"", "-a", "a b", "a{b", "a}b", "a/b", "A", "ü", "a\n", strings.Repeat("a", 64)} {
		assert.Error(t, CheckCampaignCode(code), "%q", code)
	}
	for _, code := range []string{"a", "7", "welcome", "spring-2030", strings.Repeat("a", 63)} {
		assert.NoError(t, CheckCampaignCode(code), "%q", code)
	}
}

func TestLowerQuotaWaitsForARebuild(t *testing.T) {
	lower, higher := int64(40), int64(150)
	waiting, err := validCampaign().Apply(CampaignChange{Quota: &lower})
	require.NoError(t, err)
	assert.Equal(t, int64(100), waiting.Quota, "nobody may be admitted to a slot that is going")
	assert.Equal(t, lower, waiting.WantedQuota)

	raised, err := waiting.Apply(CampaignChange{Quota: &higher})
	require.NoError(t, err)
	assert.Equal(t, higher, raised.Quota)
	assert.Zero(t, raised.WantedQuota, "the newest wish counts")
}

func TestEndedCampaignStaysEnded(t *testing.T) {
	ended, open := CampaignEnded, CampaignOpen
	campaign, err := validCampaign().Apply(CampaignChange{State: &ended})
	require.NoError(t, err)
	_, err = campaign.Apply(CampaignChange{State: &open})
	assert.Equal(t, CodeConflict, CodeOf(err))
}

func TestCodeOfFindsTheCodeThroughWrapping(t *testing.T) {
	cause := errors.New("connection refused")
	err := errors.Join(errors.New("while storing"), Wrap(CodeUnavailable, cause, "the database is away"))
	assert.Equal(t, CodeUnavailable, CodeOf(err))
	assert.ErrorIs(t, err, cause)
	assert.True(t, IsTransient(err))
	assert.False(t, IsTransient(Errorf(CodeRowRefused, "no")))
	assert.Equal(t, CodeInternal, CodeOf(cause))
	assert.Empty(t, CodeOf(nil))
}
