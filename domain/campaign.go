package domain

import (
	"time"
	"unicode/utf8"
)

// CampaignState is what an operator has decided about a campaign.
type CampaignState string

// The states. A campaign outside its window refuses applications whatever its state.
const (
	CampaignOpen   CampaignState = "open"
	CampaignPaused CampaignState = "paused"
	CampaignEnded  CampaignState = "ended"
)

// Limits of a campaign.
const (
	// MaxQuota bounds what one campaign can hand out, and so the memory of its gate (about 80 bytes a winner).
	MaxQuota = 10_000_000
	// MaxNameLength is in characters.
	MaxNameLength = 200
)

// NoEnd is the end of a campaign that has none.
var NoEnd = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// Campaign is one sale: quota coupons for the first applicants between StartsAt and EndsAt.
type Campaign struct {
	ID    int64
	Code  string
	Name  string
	Quota int64
	// StartsAt is the first moment at which applications are admitted, EndsAt the first at which they no longer are.
	StartsAt, EndsAt time.Time
	State            CampaignState
	// Epoch counts the rebuilds of the gate; 0 means that the gate was never opened.
	Epoch int64
	// Fencing counts the rebuilders; the one with the highest number is the only one that may finish.
	Fencing int64
	// WantedQuota is a lower quota that waits for the rebuild that makes it so; 0 when none does.
	WantedQuota          int64
	CreatedAt, UpdatedAt time.Time
}

// Check refuses a campaign that can't be run, naming the field.
func (c Campaign) Check() error {
	if err := CheckCampaignCode(c.Code); err != nil {
		return err
	}
	if !utf8.ValidString(c.Name) || utf8.RuneCountInString(c.Name) > MaxNameLength {
		return Invalid("name", "name must be valid UTF-8 of at most %d characters", MaxNameLength)
	}
	if c.Quota < 1 || c.Quota > MaxQuota {
		return Invalid("quota", "quota must be 1 to %d", MaxQuota)
	}
	if !c.EndsAt.After(c.StartsAt) {
		return Invalid("ends_at", "ends_at must be after starts_at")
	}
	if c.EndsAt.After(NoEnd) || c.StartsAt.Year() < 1970 {
		return Invalid("starts_at", "the window must lie between the years 1970 and 9999")
	}
	switch c.State {
	case CampaignOpen, CampaignPaused, CampaignEnded:
		return nil
	}
	return Invalid("state", "state must be open, paused or ended")
}

// CampaignChange says what to change; a nil field stays as it is.
type CampaignChange struct {
	Name             *string
	Quota            *int64
	StartsAt, EndsAt *time.Time
	State            *CampaignState
}

// Apply gives the campaign after the change, or refuses it: ended is final, and the result must pass Check.
// A lower quota becomes WantedQuota, because nobody may be admitted meanwhile to a slot that is going: the next
// rebuild makes it the quota, or drops it when a slot above it is in use.
func (c Campaign) Apply(change CampaignChange) (Campaign, error) {
	after := c
	if c.State == CampaignEnded && change.State != nil && *change.State != CampaignEnded {
		return c, Errorf(CodeConflict, "campaign %s has ended; that is final", c.Code)
	}
	setIfGiven(&after.Name, change.Name)
	setIfGiven(&after.StartsAt, change.StartsAt)
	setIfGiven(&after.EndsAt, change.EndsAt)
	setIfGiven(&after.State, change.State)
	setIfGiven(&after.Quota, change.Quota)
	if err := after.Check(); err != nil {
		return c, err
	}
	if change.Quota != nil {
		after.WantedQuota = 0
		if *change.Quota < c.Quota {
			after.Quota, after.WantedQuota = c.Quota, *change.Quota
		}
	}
	return after, nil
}

func setIfGiven[T any](target *T, value *T) {
	if value != nil {
		*target = *value
	}
}
