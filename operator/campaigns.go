package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firstcome/crashpoint"
	"firstcome/domain"
)

// CampaignWriter changes campaigns, and records each change with the operator's name; domain.CampaignWriter.
type CampaignWriter interface {
	CreateCampaign(ctx context.Context, campaign domain.Campaign, actor string) (domain.Campaign, error)
	ChangeCampaign(ctx context.Context, code string, change domain.CampaignChange, actor string) (domain.Campaign, error)
}

// ActionReader shows what operators did; part of domain.ActionLog.
type ActionReader interface {
	OperatorActions(ctx context.Context, filter domain.ActionFilter) ([]domain.OperatorAction, error)
}

// Campaigns are what operators do to campaigns.
type Campaigns struct {
	writer  CampaignWriter
	history ActionReader
	changed func(domain.Campaign)
}

// NewCampaigns makes them. changed is told of each campaign that was created or changed, so that this process need not wait
// for its next reading of all.
func NewCampaigns(writer CampaignWriter, history ActionReader, changed func(domain.Campaign)) *Campaigns {
	return &Campaigns{writer: writer, history: history, changed: changed}
}

// Create stores a campaign of this code. What is not stated of it: it starts when the ledger stores it, never ends, and is
// open. Its gate opens with its first rebuild, which a retryer does within a second or so. CodeInvalidRequest.
// CodeConflict: the code is taken.
func (c *Campaigns) Create(ctx context.Context, code string, stated domain.CampaignChange, actor string) (domain.Campaign, error) {
	campaign := domain.Campaign{Code: code, EndsAt: domain.NoEnd, State: domain.CampaignOpen}
	campaign, err := campaign.Apply(inMilliseconds(stated))
	if err != nil {
		return campaign, err
	}
	created, err := c.writer.CreateCampaign(ctx, campaign, actor)
	if err != nil {
		return campaign, err
	}
	c.changed(created)
	return created, nil
}

// Change changes a campaign. The gate follows with the retryer's next sweep. CodeUnknownCampaign, CodeInvalidRequest.
// CodeConflict: it has ended; or, with the field "settings_version", its settings are not of the version for which the
// change was made: the message says what somebody else changed meanwhile, as far as the history tells.
func (c *Campaigns) Change(ctx context.Context, code string, change domain.CampaignChange, actor string) (domain.Campaign, error) {
	changed, err := c.writer.ChangeCampaign(ctx, code, inMilliseconds(change), actor)
	if IsLostUpdate(err) {
		return domain.Campaign{}, c.explained(ctx, code, change.IfVersion, err)
	}
	if err != nil {
		return domain.Campaign{}, err
	}
	crashpoint.Reach(crashpoint.APICampaignChanged)
	c.changed(changed)
	return changed, nil
}

// IsLostUpdate says of an error of Change that somebody else's change would have been lost.
func IsLostUpdate(err error) bool {
	coded, ok := errors.AsType[*domain.Error](err)
	return ok && coded.Code == domain.CodeConflict && coded.Field == domain.FieldSettingsVersion
}

// inMilliseconds cuts times to what the gate compares, so that the row and the gate say the same.
func inMilliseconds(change domain.CampaignChange) domain.CampaignChange {
	for _, at := range []*time.Time{change.StartsAt, change.EndsAt} {
		if at != nil {
			*at = at.UTC().Truncate(time.Millisecond)
		}
	}
	return change
}

// maxExplained is how many changes of others are looked at.
const maxExplained = 50

// explained adds to a refusal who changed what since the version that the operator saw. While the history can't be read
// the refusal stays as it is.
func (c *Campaigns) explained(ctx context.Context, code string, seen int64, refusal error) error {
	actions, err := c.history.OperatorActions(ctx, domain.ActionFilter{Target: "campaign " + code, Limit: maxExplained})
	if err != nil {
		return refusal
	}
	text := changesSince(actions, seen)
	if text == "" {
		return refusal
	}
	return &domain.Error{
		Code: domain.CodeConflict, Field: domain.FieldSettingsVersion, Cause: refusal,
		Message: "somebody else changed the campaign meanwhile: " + text,
	}
}

// comparedSettings are the settings that the history keeps of a campaign, in the order in which they are told.
var comparedSettings = []string{"name", "quota", "wanted_quota", "starts_at", "ends_at", "state"}

// changesSince says what the actions, newest first, changed since a version of the settings: "ann set quota 100 to 500". It is
// empty when they don't tell.
func changesSince(actions []domain.OperatorAction, seen int64) string {
	var told []string
	for _, action := range slices.Backward(actions) {
		before, after := settingsOf(action.Before), settingsOf(action.After)
		if before == nil || after == nil || versionOf(after) <= seen {
			continue
		}
		for _, name := range comparedSettings {
			if was, is := fmt.Sprint(before[name]), fmt.Sprint(after[name]); was != is {
				told = append(told, fmt.Sprintf("%s set %s from %s to %s", action.Actor, name, orNone(before[name]), orNone(after[name])))
			}
		}
	}
	return strings.Join(told, "; ")
}

func settingsOf(text string) map[string]any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var settings map[string]any
	if decoder.Decode(&settings) != nil {
		return nil
	}
	return settings
}

func versionOf(settings map[string]any) int64 {
	number, _ := settings["settings_version"].(json.Number)
	version, _ := number.Int64()
	return version
}

func orNone(value any) string {
	if value == nil || value == "" {
		return "none"
	}
	return fmt.Sprint(value)
}
