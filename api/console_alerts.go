package api

import (
	"fmt"
	"slices"
	"strings"

	"firstcome/domain"
)

// alert is a line above everything else: what is wrong, and what to do about it.
type alert struct {
	// Level is "bad" when something promised does not happen, else "warn".
	Level string
	// Subject is in short what it is about, Text the rest.
	Subject, Text  string
	Link, LinkText string
}

// alertsOf says what an operator has to know, the worst first. It depends on nothing but the overview.
func alertsOf(found overview) []alert {
	alerts := slices.Concat(dependencyAlerts(found), gateAlerts(found), promiseAlerts(found), auditAlerts(found), pipelineAlerts(found),
		warningAlerts(found), eventAlerts(found))
	slices.SortStableFunc(alerts, func(a, b alert) int { return strings.Compare(a.Level, b.Level) })
	return alerts
}

// consequences says what the failure of a dependency means, and what to do.
var consequences = map[string]string{
	"redis":    "Nobody is admitted until it answers. Start Redis; the gates then open by themselves.",
	"kafka":    "Winners are kept in Redis and told \"reserved\". Start Kafka; they are sent then by themselves.",
	"database": "Winners wait in Kafka and nothing is lost, but no coupon is issued, and figures here are old. Start the database; the rest follows by itself.",
	"disk":     "Nobody is admitted, because nothing that was answered could be kept. Make room in the data folder; the rest follows by itself.",
}

func dependencyAlerts(found overview) []alert {
	var alerts []alert
	for _, check := range found.Readiness.Checks {
		consequence, known := consequences[check.Name]
		if check.Status != "ok" && known {
			alerts = append(alerts, alert{
				Level: "bad", Subject: displayName(check.Name) + " does not answer.", Text: consequence,
			})
		}
	}
	return alerts
}

func displayName(dependency string) string {
	switch dependency {
	case "redis":
		return "Redis"
	case "kafka":
		return "Kafka"
	}
	return "The " + dependency
}

func gateAlerts(found overview) []alert {
	var alerts []alert
	for _, figures := range found.Campaigns {
		link := "/console/campaigns/" + figures.Code
		if figures.GateClosed != "" && figures.Phase != "ended" {
			alerts = append(alerts, alert{
				Level: "bad", Subject: "The gate of " + figures.Code + " is closed (" + figures.GateClosed + "): nobody is admitted.",
				Text: "A retryer rebuilds it by itself, mostly within seconds. If this line stays, see that a process with the " +
					"role retryer runs, and that Redis, Kafka and the database answer.",
				Link: link, LinkText: "Look at the campaign",
			})
		}
	}
	return alerts
}

// promiseAlerts says who has no slot, and what to do about it.
func promiseAlerts(found overview) []alert {
	var alerts []alert
	for _, figures := range found.Campaigns {
		if figures.WithoutSlot == 0 {
			continue
		}
		alerts = append(alerts, alert{
			Level:   "bad",
			Subject: fmt.Sprintf("%s: %s promised, no slot left: raise the quota by %d.", figures.Code, grouped(fmt.Sprint(figures.WithoutSlot)), figures.WithoutSlot),
			Text:    "They wait, come before all newcomers, and get their coupons by themselves as soon as there are slots. Or look at each, and discard what can't be kept.",
			Link:    "/console/fail-events?campaign=" + figures.Code + "&reason=" + string(domain.ReasonNoSlotLeft), LinkText: "Look at them",
		})
	}
	return alerts
}

func auditAlerts(found overview) []alert {
	var alerts []alert
	for _, audit := range found.Audits {
		switch {
		case audit.DifferencesTotal > 0:
			alerts = append(alerts, alert{
				Level:   "bad",
				Subject: fmt.Sprintf("The audit of %s is off by %s.", audit.Campaign, counted(audit.DifferencesTotal, "difference")),
				Text:    "See who and what it concerns, then run firstcome audit " + audit.Campaign + " --repair, which mends what is safe to mend.",
				Link:    "/console/audit", LinkText: "See the differences",
			})
		case audit.Error != "":
			alerts = append(alerts, alert{
				Level: "warn", Subject: "The last audit of " + audit.Campaign + " could not be made.",
				Text: audit.Error + ". Run it again.", Link: "/console/audit", LinkText: "Run it now",
			})
		}
	}
	return alerts
}

func pipelineAlerts(found overview) []alert {
	pipeline := found.Pipeline
	link := func(level, subject, text string) alert {
		return alert{Level: level, Subject: subject, Text: text, Link: "/console/pipeline", LinkText: "Look at the pipeline"}
	}
	if pipeline.LedgerError != "" && len(pipeline.Processes) == 0 {
		return nil // the database is away, which stands above
	}
	var alerts []alert
	if pipeline.Held() {
		alerts = append(alerts, link("warn", "An operator has paused all consumers.", "No coupon is issued; winners wait in Kafka. Resume them on the page of the pipeline."))
	}
	if len(pipeline.WithConsumer()) == 0 && pipeline.LedgerError == "" {
		alerts = append(alerts, link("bad", "No consumer runs.", "Winners wait in Kafka and get no coupon. Start one: firstcome serve --roles consumer."))
	}
	if len(pipeline.WithRetryer()) == 0 && pipeline.LedgerError == "" {
		alerts = append(alerts, link("bad", "No retryer runs.", "What failed is not tried again, and a closed gate stays closed. Start one: firstcome serve --roles retryer."))
	}
	for _, consumer := range pipeline.WithConsumer() {
		if !pipeline.Held() && consumer.Consumer.Paused != "" {
			alerts = append(alerts, link("bad", "The consumer on "+consumer.Host+" stores nothing.", consumer.Consumer.Paused))
			continue
		}
		for _, waiting := range consumer.Consumer.Waiting {
			subject := fmt.Sprintf("Waiting on %s: %s of %s.", consumer.Host, counted(int64(waiting.Records), "record"), waiting.Of)
			alerts = append(alerts, link("warn", subject, "They are kept and tried again: "+waiting.Why))
		}
	}
	return alerts
}

// maxWarningAlerts bounds how many warnings are shown; operators mend a few at a time.
const maxWarningAlerts = 10

// warningAlerts says each of the stores' warnings once, and which of the running processes were told it.
func warningAlerts(found overview) []alert {
	var told []domain.StoreWarning
	hosts := map[domain.StoreWarning][]string{}
	for _, process := range found.Pipeline.running(func(processView) bool { return true }) {
		for _, warning := range process.Warnings {
			if hosts[warning] == nil {
				told = append(told, warning)
			}
			if !slices.Contains(hosts[warning], process.Host) {
				hosts[warning] = append(hosts[warning], process.Host)
			}
		}
	}
	var alerts []alert
	for i, warning := range told {
		if i == maxWarningAlerts {
			return append(alerts, alert{Level: "warn", Subject: fmt.Sprintf("%d more warnings of the stores.", len(told)-i), Text: "The log and /readyz name them."})
		}
		alerts = append(alerts, alert{
			Level: "warn", Subject: displayName(warning.Store) + " is not set up to keep every promise.",
			Text: strings.TrimRight(warning.Text, ".") + ". Told to " + listed(hosts[warning]) + ".",
		})
	}
	return alerts
}

// listed names the first few, and counts the rest.
func listed(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// eventAlerts tells of every dead event, whatever campaign it is of, and also of those that name none.
func eventAlerts(found overview) []alert {
	dead := found.Pipeline.FailEvents[domain.FailStatusDead]
	if dead == 0 {
		return nil
	}
	subject := counted(dead, "fail event") + " given up after the last attempt."
	if dead >= maxCounted {
		subject = grouped(digits(dead)) + " or more fail events given up after the last attempt."
	}
	return []alert{{
		Level: "warn", Subject: subject,
		Text: "Winners among them have no coupon. Look at why, and retry or discard each.", Link: "/console/fail-events?status=" + string(domain.FailStatusDead),
		LinkText: "Look at them",
	}}
}

func counted(count int64, thing string) string {
	text := grouped(fmt.Sprint(count)) + " " + thing
	if count != 1 {
		text += "s"
	}
	return text
}
