package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"firstcome/domain"
	"firstcome/operator"
	"firstcome/store/sqlledger"
)

func campaignCommand() *cobra.Command {
	return group("campaign", "Create, list and change campaigns in the database",
		campaignListCommand(), campaignCreateCommand(), campaignSetCommand(),
		campaignStateCommand("pause", "Refuse applications until resumed", domain.CampaignPaused),
		campaignStateCommand("resume", "Admit applications again", domain.CampaignOpen),
		campaignStateCommand("end", "End a campaign for good", domain.CampaignEnded),
	)
}

// onLedger makes a subcommand that works on the ledger with its one argument, the campaign's code.
func onLedger(use, short string, body func(context.Context, *sqlledger.Ledger, *cobra.Command, string) error) *cobra.Command {
	command := &cobra.Command{Use: use + " CODE", Short: short, RunE: func(command *cobra.Command, arguments []string) error {
		if len(arguments) != 1 {
			return usageError{"campaign " + use + " needs the campaign's code"}
		}
		return withLedger(command, func(ctx context.Context, ledger *sqlledger.Ledger) error {
			return body(ctx, ledger, command, arguments[0])
		})
	}}
	addFlags(command)
	return command
}

// withLedger opens the database that is configured, or else the one that dev keeps in its folder.
func withLedger(command *cobra.Command, body func(context.Context, *sqlledger.Ledger) error) error {
	config, err := commandConfig(command)
	if err != nil {
		return err
	}
	at := config.configuredAddresses()
	if at.dsn == "" {
		if _, err := os.Stat(sqliteFile(config.DataDir)); err != nil {
			return noDatabase(config)
		}
		at.dialect, at.dsn = dialectSQLite, sqliteFile(config.DataDir)
	}
	ledger, err := openLedger(config, at, instruments{registry: newRegistry(), logger: config.logger()})
	if err != nil {
		return err
	}
	defer func() { _ = ledger.Close() }()
	return body(command.Context(), ledger)
}

// noDatabase says what was looked for, and how to say where it is.
func noDatabase(config Config) error {
	return usageError{fmt.Sprintf("no database: %sMYSQL_DSN is not set, and there is no %s of a `firstcome dev`; name dev's folder "+
		"with --data-dir, or a database with --mysql-dsn", envPrefix, fullPath(sqliteFile(config.DataDir)))}
}

// fullPath names a file so that it can be found from any folder.
func fullPath(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func campaignListCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{Use: "list", Short: "List campaigns", Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return withLedger(command, func(ctx context.Context, ledger *sqlledger.Ledger) error {
				campaigns, err := ledger.Campaigns(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return writeCampaigns(command.OutOrStdout(), campaigns)
				}
				return printCampaigns(ctx, command.OutOrStdout(), ledger, campaigns...)
			})
		}}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	addFlags(command)
	return command
}

// writeCampaigns prints campaigns for programs, under the names of the admin API.
func writeCampaigns(out io.Writer, campaigns []domain.Campaign) error {
	views := make([]operator.CampaignView, len(campaigns))
	for i, campaign := range campaigns {
		views[i] = operator.ViewCampaign(campaign)
	}
	return json.NewEncoder(out).Encode(views)
}

func campaignCreateCommand() *cobra.Command {
	command := onLedger("create", "Create a campaign; its gate opens as soon as a retryer sees it",
		func(ctx context.Context, ledger *sqlledger.Ledger, command *cobra.Command, code string) error {
			change, err := changeFromFlags(command)
			if err != nil {
				return err
			}
			campaign := domain.Campaign{Code: code, Name: code, State: domain.CampaignOpen, EndsAt: domain.NoEnd}
			if change.Quota == nil {
				return usageError{"campaign create needs --quota"}
			}
			campaign.Quota = *change.Quota
			change.Quota = nil
			if campaign, err = campaign.Apply(change); err != nil {
				return err
			}
			created, err := ledger.CreateCampaign(ctx, campaign, operatorName())
			if err != nil {
				return err
			}
			return printCampaigns(ctx, command.OutOrStdout(), ledger, created)
		})
	addChangeFlags(command)
	return command
}

func campaignSetCommand() *cobra.Command {
	command := onLedger("set", "Change a campaign's name, quota or window",
		func(ctx context.Context, ledger *sqlledger.Ledger, command *cobra.Command, code string) error {
			change, err := changeFromFlags(command)
			if err != nil {
				return err
			}
			return changeCampaign(ctx, ledger, command, code, change)
		})
	addChangeFlags(command)
	return command
}

func campaignStateCommand(use, short string, state domain.CampaignState) *cobra.Command {
	return onLedger(use, short, func(ctx context.Context, ledger *sqlledger.Ledger, command *cobra.Command, code string) error {
		return changeCampaign(ctx, ledger, command, code, domain.CampaignChange{State: &state})
	})
}

func changeCampaign(ctx context.Context, ledger *sqlledger.Ledger, command *cobra.Command, code string, change domain.CampaignChange) error {
	changed, err := ledger.ChangeCampaign(ctx, code, change, operatorName())
	if err != nil {
		return err
	}
	return printCampaigns(ctx, command.OutOrStdout(), ledger, changed)
}

// Flags of create and set.
const (
	flagName     = "name"
	flagQuota    = "quota"
	flagStartsAt = "starts-at"
	flagEndsAt   = "ends-at"
)

func addChangeFlags(command *cobra.Command) {
	command.Flags().String(flagName, "", "name that applicants see")
	command.Flags().Int64(flagQuota, 0, "how many coupons")
	command.Flags().String(flagStartsAt, "", "first moment of the sale, as 2030-01-31T10:00:00Z")
	command.Flags().String(flagEndsAt, "", "end of the sale, as 2030-01-31T12:00:00Z")
}

func changeFromFlags(command *cobra.Command) (domain.CampaignChange, error) {
	var change domain.CampaignChange
	flags := command.Flags()
	if flags.Changed(flagName) {
		name, _ := flags.GetString(flagName)
		change.Name = &name
	}
	if flags.Changed(flagQuota) {
		quota, _ := flags.GetInt64(flagQuota)
		change.Quota = &quota
	}
	var errs []error
	for _, one := range []struct {
		flag   string
		target **time.Time
	}{{flagStartsAt, &change.StartsAt}, {flagEndsAt, &change.EndsAt}} {
		if !flags.Changed(one.flag) {
			continue
		}
		text, _ := flags.GetString(one.flag)
		moment, err := time.Parse(time.RFC3339, text)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %q is no time such as 2030-01-31T10:00:00Z", one.flag, text))
			continue
		}
		moment = moment.UTC()
		*one.target = &moment
	}
	if err := errors.Join(errs...); err != nil {
		return change, usageError{err.Error()}
	}
	return change, nil
}

// operatorName is who stands in the operators' history for a change made at this machine.
func operatorName() string {
	if current, err := user.Current(); err == nil && current.Username != "" {
		return "command line: " + current.Username
	}
	return "command line"
}

func printCampaigns(
	ctx context.Context, out io.Writer, ledger domain.LedgerCounter, campaigns ...domain.Campaign,
) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CODE\tSTATE\tQUOTA\tSTARTS\tENDS\tEPOCH\tNAME")
	for _, c := range campaigns {
		quota, err := quotaText(ctx, ledger, c)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", c.Code, c.State, quota,
			c.StartsAt.Format(time.RFC3339), c.EndsAt.Format(time.RFC3339), c.Epoch, c.Name)
	}
	return table.Flush()
}

// quotaText says of a wish for a lower quota how many coupons are in its way, as far as the ledger knows.
func quotaText(ctx context.Context, ledger domain.LedgerCounter, c domain.Campaign) (string, error) {
	if c.WantedQuota == 0 {
		return fmt.Sprint(c.Quota), nil
	}
	counts, err := ledger.Count(ctx, c.Code)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d, going down to %d", c.Quota, c.WantedQuota)
	switch tooMany := counts.Issued - c.WantedQuota; {
	case tooMany == 1:
		text += ": 1 holder too many"
	case tooMany > 1:
		text += fmt.Sprintf(": %d holders too many", tooMany)
	}
	return text, nil
}
