package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"firstcome/loadtest"
)

// loadtestOutput says in which forms the report is wanted.
type loadtestOutput struct {
	rate   string
	asJSON bool
	html   string
}

func loadtestCommand() *cobra.Command {
	var options loadtest.Config
	var output loadtestOutput
	command := configured("loadtest", "Send many applications at once, and compare what was promised with what was issued",
		func(ctx context.Context, config Config, command *cobra.Command) error {
			if err := checkLoadtestNumbers(command.Flags()); err != nil {
				return err
			}
			if options.BaseURL == "" {
				options.BaseURL = localURL(config)
			}
			var err error
			if options.AdminToken, err = tokenFor(options.BaseURL, config); err != nil {
				return err
			}
			return runLoadtest(ctx, options, output, command.OutOrStdout())
		})
	command.Long = command.Short + `.

Ctrl-C ends the applications; what was promised until then is compared all the same, within about ten seconds.

Exit code 0: no differences. 1: differences, or the run could not be finished. 2: wrong usage. 130: interrupted, and no
difference was found; the report says which promises had not become coupons yet.`
	flags := command.Flags()
	flags.StringVar(&options.BaseURL, "url", "", "where firstcome listens (FIRSTCOME_HTTP_ADDR, or http://"+devHTTPAddr+")")
	flags.StringVar(&options.Campaign, "campaign", "", "campaign to apply to; a new one for this run when empty")
	flags.BoolVar(&options.Create, "create", false, "with --campaign: create it if there is none of that code")
	flags.Int64Var(&options.Quota, "quota", 100, "quota of the new campaign")
	flags.IntVar(&options.Users, "users", 1000, "how many users apply, once each")
	flags.IntVar(&options.Concurrency, "concurrency", 0, "how many apply at the same time at the most (32, with --rate 1000)")
	flags.StringVar(&output.rate, "rate", "", "let users come at this rate, such as 5000/s, whether or not others were answered")
	flags.DurationVar(&options.Ramp, "ramp", 0, "with --rate: how long the rate rises until it is reached")
	flags.DurationVar(&options.BurstAt, "burst-at", 0, "with --rate: when --burst-users of the users come all at once")
	flags.IntVar(&options.BurstUsers, "burst-users", 0, "with --rate: how many come all at once")
	flags.Int64Var(&options.FirstUserID, "first-user-id", 1, "the users are this one and those after it")
	flags.DurationVar(&options.RequestTimeout, "request-timeout", 10*time.Second, "after this an answer counts as unknown")
	flags.DurationVar(&options.SettleTimeout, "settle-timeout", time.Minute, "how long to wait until every winner is stored")
	flags.BoolVar(&options.AllowRemote, "allow-remote", false, "send load to another machine than this one")
	flags.BoolVar(&output.asJSON, "json", false, "print JSON, and the progress to standard error")
	flags.StringVar(&output.html, "html", "", "write the report with curves to this file as well, one page that needs nothing else")
	return command
}

// checkLoadtestNumbers refuses numbers below one where they are written out; left out, they have defaults.
func checkLoadtestNumbers(flags *pflag.FlagSet) error {
	for _, name := range []string{"quota", "users", "concurrency", "burst-users", "first-user-id"} {
		given := flags.Lookup(name)
		if number, err := strconv.ParseInt(given.Value.String(), 10, 64); given.Changed && (err != nil || number < 1) {
			return usageError{fmt.Sprintf("--%s must be at least 1, not %s", name, given.Value)}
		}
	}
	return nil
}

func runLoadtest(ctx context.Context, options loadtest.Config, output loadtestOutput, out io.Writer) error {
	if output.rate != "" {
		var err error
		if options.Rate, err = loadtest.ParseRate(output.rate); err != nil {
			return err
		}
	}
	options.Progress = true
	text := out
	if output.asJSON {
		text = os.Stderr
	}
	report, err := loadtest.Run(ctx, options, text)
	if err == nil || report.Requests > 0 { // what was measured is not thrown away
		err = errors.Join(err, writeLoadtest(report, output, out))
	}
	switch {
	case len(report.Differences) > 0:
		return fmt.Errorf("%d differences between what was promised and what was issued", len(report.Differences))
	case report.Interrupted:
		return interruptedError{err}
	}
	return err
}

func writeLoadtest(report loadtest.Report, output loadtestOutput, out io.Writer) error {
	if output.asJSON {
		if err := report.WriteJSON(out); err != nil {
			return err
		}
	}
	if output.html == "" {
		return nil
	}
	file, err := os.Create(output.html)
	if err != nil {
		return err
	}
	return errors.Join(report.WriteHTML(file), file.Close())
}

// tokenFor is the token configured for the service at an address, or else the one that dev made up in its folder.
func tokenFor(address string, config Config) (string, error) {
	if config.AdminToken != "" {
		return config.AdminToken, nil
	}
	kept, err := os.ReadFile(tokenFile(config.DataDir))
	if token := strings.TrimSpace(string(kept)); err == nil && token != "" {
		return token, nil
	}
	return "", usageError{fmt.Sprintf("no token for %s: %sADMIN_TOKEN is not set, and there is none in %s; set it, or name the "+
		"folder of the `firstcome dev` there with --data-dir", address, envPrefix, fullPath(tokenFile(config.DataDir)))}
}
