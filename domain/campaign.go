package domain

import (
	"fmt"
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
	// MaxEpochLead is how far a gate's epoch may be ahead of the ledger's: by as many rebuilds as a ledger can forget that
	// went back. A gate that is further ahead was edited, and its epoch says nothing. (EPOCH_LEAD, script/gate.lua.)
	MaxEpochLead = 1_000_000
)

// NoEnd is the end of a campaign that has none.
var NoEnd = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// Campaign is one sale: quota coupons for the first applicants between StartsAt and EndsAt.
type Campaign struct {
	ID    int64
	Code  string
	Name  string
	Quota int64
	// StartsAt is the first moment at which applications are admitted, EndsAt the first at which they no longer are. A new
	// campaign whose StartsAt is zero starts when the ledger stores it.
	StartsAt, EndsAt time.Time
	State            CampaignState
	// Epoch counts the rebuilds of the gate; 0 means that the gate was never opened.
	Epoch int64
	// Fencing counts the rebuilders; the one with the highest number is the only one that may finish.
	Fencing int64
	// WantedQuota is a lower quota that an operator wishes; 0 when there is none. As long as there are more holders than
	// that, nobody is given a slot; as soon as they fit, it becomes the quota.
	WantedQuota int64
	// SlotLimit is the highest slot that somebody may hold when that is more than the quota, else 0: when a quota is
	// lowered, anybody who holds a slot above it keeps it.
	SlotLimit int64
	// SettingsVersion is raised by each change, so that nobody brings older settings to the gate than it has.
	SettingsVersion      int64
	CreatedAt, UpdatedAt time.Time
}

// EffectiveQuota is how many holders there may be before nobody gets another slot. No slot above it is given any more.
func (c Campaign) EffectiveQuota() int64 {
	if c.WantedQuota != 0 {
		return c.WantedQuota
	}
	return c.Quota
}

// HighestSlot is the highest slot that somebody may hold.
func (c Campaign) HighestSlot() int64 { return max(c.Quota, c.SlotLimit) }

// HighestAboveQuota is HighestSlot where that is above the quota, else 0.
func (c Campaign) HighestAboveQuota() int64 {
	if c.HighestSlot() > c.Quota {
		return c.HighestSlot()
	}
	return 0
}

// SlotUse is how many slots of a campaign have a holder, and which is the highest that was given to anybody.
type SlotUse struct{ Holders, Highest int64 }

// Lowered is the campaign after its wish for a lower quota was granted, if the holders fit; else it is as it was. The
// use must be that of a gate which gives slots by the wish already, so that neither number grows above it any more.
func (c Campaign) Lowered(use SlotUse) Campaign {
	if c.WantedQuota == 0 || use.Holders > c.WantedQuota {
		return c
	}
	limit := min(use.Highest, c.HighestSlot())
	c.Quota, c.WantedQuota, c.SlotLimit = c.WantedQuota, 0, 0
	if limit > c.Quota {
		c.SlotLimit = limit
	}
	c.SettingsVersion++
	return c
}

var errWindow = Invalid("starts_at", "the window must lie between the years 1970 and 9999")

// Check refuses a campaign that can't be run, naming the first field that is wrong.
func (c Campaign) Check() error {
	if problems := c.Problems(); len(problems) > 0 {
		return problems[0]
	}
	return nil
}

// Problems says all that is wrong with a campaign, in the order of its fields.
func (c Campaign) Problems() []error {
	var problems []error
	refuse := func(wrong bool, problem error) {
		if wrong {
			problems = append(problems, problem)
		}
	}
	if err := CheckCampaignCode(c.Code); err != nil {
		problems = append(problems, err)
	}
	refuse(!utf8.ValidString(c.Name) || utf8.RuneCountInString(c.Name) > MaxNameLength,
		Invalid("name", "name must be valid UTF-8 of at most %d characters", MaxNameLength))
	refuse(c.Quota < 1 || c.Quota > MaxQuota, Invalid("quota", "quota must be 1 to %d", MaxQuota))
	refuse(!c.EndsAt.After(c.StartsAt), Invalid("ends_at", "ends_at must be after starts_at"))
	refuse(c.EndsAt.After(NoEnd) || !c.StartsAt.IsZero() && c.StartsAt.Year() < 1970, errWindow)
	refuse(c.State != CampaignOpen && c.State != CampaignPaused && c.State != CampaignEnded,
		Invalid("state", "state must be open, paused or ended"))
	return problems
}

// CampaignChange says what to change; a nil field stays as it is.
type CampaignChange struct {
	Name             *string
	Quota            *int64
	StartsAt, EndsAt *time.Time
	State            *CampaignState
	// IfVersion is the SettingsVersion for which the change was made; 0 is any.
	IfVersion int64
}

// FieldSettingsVersion is the field of the refusal of a change that was made for other settings.
const FieldSettingsVersion = "settings_version"

// IsEmpty says that nothing is to be changed.
func (c CampaignChange) IsEmpty() bool {
	c.IfVersion = 0
	return c == CampaignChange{}
}

// Apply gives the campaign after the change, or refuses it: it must be for these settings, ended is final, and the result
// must pass Check.
// A lower quota becomes WantedQuota, a wish: it is granted once the holders fit (Lowered). To set the quota itself, or a
// higher one, takes the wish back.
func (c Campaign) Apply(change CampaignChange) (Campaign, error) {
	after := c
	if change.IfVersion != 0 && change.IfVersion != c.SettingsVersion {
		return c, &Error{Code: CodeConflict, Field: FieldSettingsVersion, Message: fmt.Sprintf(
			"campaign %s was changed meanwhile: its settings are of version %d, not %d", c.Code, c.SettingsVersion, change.IfVersion)}
	}
	if c.State == CampaignEnded && change.State != nil && *change.State != CampaignEnded {
		return c, Errorf(CodeConflict, "campaign %s has ended; that is final", c.Code)
	}
	if change.StartsAt != nil && change.StartsAt.IsZero() {
		return c, errWindow
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
	after.SettingsVersion++
	return after, nil
}

func setIfGiven[T any](target *T, value *T) {
	if value != nil {
		*target = *value
	}
}

// NextEpoch gives the epoch of a rebuild: it comes after the ledger's, and after the gate's unless that can't be one.
func NextEpoch(ledger, gate int64) int64 {
	if gate > ledger+MaxEpochLead {
		return ledger + 1
	}
	return max(ledger, gate) + 1
}
