package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"firstcome/domain"
	"firstcome/operator"
	"firstcome/retryer"
)

// auditOptions are the flags of the command.
type auditOptions struct {
	asJSON, repair bool
	url            string
}

func auditCommand() *cobra.Command {
	var options auditOptions
	command := &cobra.Command{
		Use:   "audit [CAMPAIGN...]",
		Short: "Compare Redis, Kafka and the database, and report every winner, slot or coupon that is not where it should be",
		Long: `Compares, for the campaigns named or for all, what Redis (winners, free slots, pending), Kafka (records not yet
stored) and the database (coupons, fail events) hold. It may run during a sale: what is on its way is counted, and only
what stays wrong is reported.

It reads the stores of FIRSTCOME_REDIS_ADDRS, FIRSTCOME_KAFKA_BROKERS and FIRSTCOME_MYSQL_DSN. When none of them is set,
or --url is given, it asks a running firstcome (such as "firstcome dev") to do it.

Exit code 0: no differences, or all repaired. 1: differences, or a campaign could not be audited. 2: wrong usage.`,
		RunE: func(command *cobra.Command, campaigns []string) error {
			config, err := commandConfig(command)
			if err != nil {
				return err
			}
			for _, code := range campaigns {
				if err := domain.CheckCampaignCode(code); err != nil {
					return usageError{fmt.Sprintf("%q: %v", code, err)}
				}
			}
			results, err := runAudit(command.Context(), config, options, campaigns)
			if err != nil {
				return err
			}
			return reportAudit(command.OutOrStdout(), options.asJSON, results)
		},
	}
	command.Flags().BoolVar(&options.asJSON, "json", false, "print JSON")
	command.Flags().BoolVar(&options.repair, "repair", false, "mend what can be mended without breaking a promise")
	command.Flags().StringVar(&options.url, "url", "", "let a running firstcome do it (when no store is configured: at FIRSTCOME_HTTP_ADDR, or http://"+devHTTPAddr+")")
	addFlags(command)
	return command
}

func runAudit(ctx context.Context, config Config, options auditOptions, campaigns []string) ([]domain.AuditResult, error) {
	stored := len(config.RedisAddrs) > 0 || len(config.KafkaBrokers) > 0 || config.MySQLDSN != ""
	if options.url == "" && stored {
		if err := config.require("REDIS_ADDRS", "KAFKA_BROKERS", "MYSQL_DSN"); err != nil {
			return nil, err
		}
		return auditStores(ctx, config, config.configuredAddresses(), options, campaigns)
	}
	if options.url == "" {
		options.url = localURL(config)
	}
	return auditRemotely(ctx, config, options, campaigns)
}

// auditStores opens the stores as a retryer does, and audits without running any of its jobs.
func auditStores(
	ctx context.Context, config Config, at addresses, options auditOptions, campaigns []string,
) ([]domain.AuditResult, error) {
	config.Roles = []string{roleRetryer}
	p := &program{config: config, tools: instruments{registry: newRegistry(), logger: config.logger()}}
	var err error
	if p.stores, err = openStores(config, at, p.tools); err != nil {
		return nil, err
	}
	defer func() { _ = p.stores.close() }()
	auditor, err := retryer.New(p.retryerConfig(), p.retryerPorts(), p.tools.registry, p.tools.logger)
	if err != nil {
		return nil, err
	}
	order := operator.AuditOrder{Campaigns: campaigns, Repair: options.repair}
	return operator.NewAudits(auditor, p.stores.ledger).Run(ctx, order, operatorName())
}

const (
	// auditPatience is longer than a server takes for its longest audit.
	auditPatience = 3 * time.Minute
	// maxAuditAnswer bounds what is read of a server's answer.
	maxAuditAnswer = 64 << 20
)

// auditRemotely asks a running firstcome, once a campaign, or once for all.
func auditRemotely(ctx context.Context, config Config, options auditOptions, campaigns []string) ([]domain.AuditResult, error) {
	if len(campaigns) == 0 {
		campaigns = []string{""}
	}
	var all []domain.AuditResult
	for _, campaign := range campaigns {
		results, err := askAudit(ctx, config, options, campaign)
		if err != nil {
			return nil, err
		}
		all = append(all, results...)
	}
	return all, nil
}

func askAudit(ctx context.Context, config Config, options auditOptions, campaign string) ([]domain.AuditResult, error) {
	token, err := tokenFor(options.url, config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	query := url.Values{"repair": {strconv.FormatBool(options.repair)}}
	if campaign != "" {
		query.Set("campaign", campaign)
	}
	address := strings.TrimSuffix(options.url, "/") + "/v1/admin/audit?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, http.NoBody)
	if err != nil {
		return nil, usageError{"--url: " + err.Error()}
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("X-Actor", operatorName())
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask a running firstcome: %w (set the three addresses to read the stores without one)", err)
	}
	defer func() { _ = response.Body.Close() }()
	return readAudit(response)
}

func readAudit(response *http.Response) ([]domain.AuditResult, error) {
	var answer struct {
		Audits []domain.AuditResult `json:"audits"`
		Title  string               `json:"title"`
		Detail string               `json:"detail"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAuditAnswer)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("the answer to the audit (%s) can't be read: %w", response.Status, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the audit was refused: %s: %s", answer.Title, answer.Detail)
	}
	return answer.Audits, nil
}

// reportAudit prints the results; the error makes the exit code.
func reportAudit(out io.Writer, asJSON bool, results []domain.AuditResult) error {
	if asJSON {
		if results == nil {
			results = []domain.AuditResult{}
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(results); err != nil {
			return err
		}
	} else if err := printAudits(out, results); err != nil {
		return err
	}
	var errs []error
	for _, result := range results {
		switch {
		case result.Error != "":
			errs = append(errs, fmt.Errorf("campaign %s could not be audited: %s", result.Campaign, result.Error))
		case !result.Clean():
			errs = append(errs, fmt.Errorf("campaign %s has %d differences", result.Campaign, result.DifferencesTotal))
		}
	}
	return errors.Join(errs...)
}

func printAudits(out io.Writer, results []domain.AuditResult) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "CAMPAIGN\tEPOCH\tQUOTA\tADMITTED\tREVOKED\tOWED\tFREE\tPENDING\tIN TOPIC\tFAIL\tPROCESSING\tDEAD\tISSUED\tDIFFERENCES")
	for _, r := range results {
		c := r.Counts
		verdict := strconv.FormatInt(r.DifferencesTotal, 10)
		if r.Error != "" {
			verdict = "not audited"
		}
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", r.Campaign, r.Epoch, r.Quota,
			c.Admitted, c.Revoked, c.Owed, c.Free, c.Pending, c.InTopic, c.Fail, c.Processing, c.Dead, c.Issued, verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if n := r.Counts.WithoutSlot; n > 0 {
			_, _ = fmt.Fprintf(out, "%s: %d promised, no slot left: raise the quota by %d\n", r.Campaign, n, n)
		}
		printDifferences(out, r)
	}
	return nil
}

func printDifferences(out io.Writer, result domain.AuditResult) {
	for _, d := range result.Differences {
		_, _ = fmt.Fprintf(out, "%s: %s%s: %s%s%s\n", result.Campaign, d.Kind, concerns(d.UserID, d.Slot), d.Detail,
			listed("; found in: ", d.Found), listed("; missing in: ", d.Missing))
	}
	if more := result.DifferencesTotal - int64(len(result.Differences)); more > 0 {
		_, _ = fmt.Fprintf(out, "%s: and %d more differences (%d of them looked at only once)\n", result.Campaign, more, result.Unchecked)
	}
	for _, r := range result.Repairs {
		done := "repair"
		if !r.Done {
			done = "NO REPAIR"
		}
		_, _ = fmt.Fprintf(out, "%s: %s: %s%s: %s\n", result.Campaign, done, r.Kind, concerns(r.UserID, r.Slot), r.Detail)
	}
}

func concerns(user domain.UserID, slot domain.Slot) string {
	text := ""
	if user != 0 {
		text += " user " + user.String()
	}
	if slot != 0 {
		text += fmt.Sprintf(" slot %d", slot)
	}
	return text
}

func listed(title string, places []string) string {
	if len(places) == 0 {
		return ""
	}
	return title + strings.Join(places, ", ")
}
