package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"firstcome/loadtest"
)

func loadtestCommand() *cobra.Command {
	var options loadtest.Config
	command := configured("loadtest", "Send many applications at once, and compare what was promised with what was issued",
		func(ctx context.Context, config Config, command *cobra.Command) error {
			options.AdminToken = loadtestToken(config)
			options.Progress = term.IsTerminal(int(os.Stdout.Fd()))
			report, err := loadtest.Run(ctx, options, command.OutOrStdout())
			if err != nil {
				return err
			}
			if len(report.Differences) > 0 {
				return fmt.Errorf("%d differences between what was promised and what was issued", len(report.Differences))
			}
			return nil
		})
	flags := command.Flags()
	flags.StringVar(&options.BaseURL, "url", "http://"+devHTTPAddr, "where firstcome listens")
	flags.StringVar(&options.Campaign, "campaign", "", "campaign to apply to; a new one for this run when empty")
	flags.Int64Var(&options.Quota, "quota", 100, "quota of the new campaign")
	flags.IntVar(&options.Users, "users", 1000, "how many users apply, once each")
	flags.IntVar(&options.Concurrency, "concurrency", 32, "how many apply at the same time")
	flags.Int64Var(&options.FirstUserID, "first-user-id", 1, "the users are this one and those after it")
	flags.DurationVar(&options.RequestTimeout, "request-timeout", 10*time.Second, "after this an answer counts as unknown")
	flags.DurationVar(&options.SettleTimeout, "settle-timeout", time.Minute, "how long to wait until every winner is stored")
	flags.BoolVar(&options.AllowRemote, "allow-remote", false, "send load to another machine than this one")
	return command
}

// loadtestToken is the one configured, or else the one that dev made up in its folder.
func loadtestToken(config Config) string {
	if config.AdminToken != "" {
		return config.AdminToken
	}
	kept, err := os.ReadFile(tokenFile(config.DataDir))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(kept))
}
