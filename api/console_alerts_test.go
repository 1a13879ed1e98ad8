package api

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// healthy is an overview about which there is nothing to say.
func healthy() overview {
	return overview{
		Readiness: readiness{Checks: []checkResult{{Name: "redis", Status: "ok"}, {Name: "kafka", Status: "ok"}, {Name: "database", Status: "ok"}}},
		Campaigns: []campaignFigures{{Campaign: domain.Campaign{Code: "spring"}, Phase: "open"}},
		Pipeline: pipelineState{pipelineView: pipelineView{Consumers: domain.ConsumersRunning, Processes: []processView{
			{Host: "one", Consumer: &consumerView{}, Jobs: []jobView{{Name: "sweep"}}},
		}}},
		Audits: []domain.AuditResult{{Campaign: "spring"}},
	}
}

func TestAlertsSayWhatIsWrongAndWhatToDo(t *testing.T) {
	require.Empty(t, alertsOf(healthy()))
	failed := func(number int) func(*overview) {
		return func(o *overview) { o.Readiness.Checks[number].Status = "failed" }
	}
	process := func(change func(*processView)) func(*overview) {
		return func(o *overview) { change(&o.Pipeline.Processes[0]) }
	}
	for name, c := range map[string]struct {
		change func(*overview)
		level  string
		// subject and text are parts of what is said, link is where it leads.
		subject, text, link string
	}{
		"Redis":            {failed(0), "bad", "Redis does not answer.", "Start Redis", ""},
		"Kafka":            {failed(1), "bad", "Kafka does not answer.", "Start Kafka", ""},
		"the database":     {failed(2), "bad", "The database does not answer.", "Start the database", ""},
		"a closed gate":    {func(o *overview) { o.Campaigns[0].GateClosed = "no state" }, "bad", "The gate of spring is closed (no state)", "role retryer", "/console/campaigns/spring"},
		"one difference":   {func(o *overview) { o.Audits[0].DifferencesTotal = 1 }, "bad", "off by 1 difference.", "firstcome audit spring --repair", "/console/audit"},
		"many differences": {func(o *overview) { o.Audits[0].DifferencesTotal = 1200 }, "bad", "off by 1,200 differences.", "--repair", "/console/audit"},
		"no audit":         {func(o *overview) { o.Audits[0].Error = "Kafka is away" }, "warn", "could not be made", "Kafka is away", "/console/audit"},
		"held":             {func(o *overview) { o.Pipeline.Consumers = domain.ConsumersPaused }, "warn", "An operator has paused all consumers.", "Resume", "/console/pipeline"},
		"no consumer":      {process(func(p *processView) { p.Consumer = nil }), "bad", "No consumer runs.", "--roles consumer", "/console/pipeline"},
		"no retryer":       {process(func(p *processView) { p.Jobs = nil }), "bad", "No retryer runs.", "--roles retryer", "/console/pipeline"},
		"a paused one":     {process(func(p *processView) { p.Consumer.Paused = "the database is read-only" }), "bad", "The consumer on one stores nothing.", "read-only", "/console/pipeline"},
		"a campaign that waits": {process(func(p *processView) {
			p.Consumer.Waiting = []domain.WaitingRecords{{Of: "campaign spring", Records: 1200, Why: "gate-closed"}}
		}), "warn", "Waiting on one: 1,200 records of campaign spring.", "tried again: gate-closed", "/console/pipeline"},
		"a warning": {process(func(p *processView) {
			p.Warnings = []domain.StoreWarning{{Store: "kafka", Text: "min.insync.replicas is 1"}}
		}), "warn", "Kafka is not set up to keep every promise.", "min.insync.replicas is 1. Told to one.", ""},
		"promises without a slot": {func(o *overview) { o.Campaigns[0].WithoutSlot = 1200 }, "bad",
			"spring: 1,200 promised, no slot left: raise the quota by 1200.", "come before all newcomers", "/console/fail-events?campaign=spring&reason=NO_SLOT_LEFT"},
		"a dead event, of whatever campaign": {func(o *overview) { o.Pipeline.FailEvents = dead(1) }, "warn", "1 fail event given up", "retry or discard", "/console/fail-events?status=DEAD"},
	} {
		t.Run(name, func(t *testing.T) {
			found := healthy()
			c.change(&found)
			alerts := alertsOf(found)
			require.Len(t, alerts, 1)
			assert.Equal(t, c.level, alerts[0].Level)
			assert.Contains(t, alerts[0].Subject, c.subject)
			assert.Contains(t, alerts[0].Text, c.text)
			assert.Equal(t, c.link, alerts[0].Link)
			assert.Equal(t, c.link != "", alerts[0].LinkText != "")
		})
	}
}

func dead(count int64) map[domain.FailStatus]int64 {
	return map[domain.FailStatus]int64{domain.FailStatusDead: count}
}

func TestAlertsDoNotSayWhatFollowsFromSomethingElse(t *testing.T) {
	for name, change := range map[string]func(*overview){
		"the gate of a campaign that is over": func(o *overview) { o.Campaigns[0].GateClosed, o.Campaigns[0].Phase = "no state", "ended" },
		"processes that can't be read":        func(o *overview) { o.Pipeline.LedgerError, o.Pipeline.Processes = "away", nil },
		"figures that are not known":          func(o *overview) { o.Campaigns[0].Issued, o.Campaigns[0].Admitted = unknown, unknown },
	} {
		found := healthy()
		change(&found)
		assert.Empty(t, alertsOf(found), name)
	}
	held := healthy()
	held.Pipeline.Consumers, held.Pipeline.Processes[0].Consumer.Paused = domain.ConsumersPaused, "held by an operator"
	assert.Len(t, alertsOf(held), 1, "one line for all consumers that an operator holds")
}

func TestWhatIsWorstStandsFirst(t *testing.T) {
	found := healthy()
	found.Pipeline.FailEvents, found.Readiness.Checks[2].Status = dead(3), "failed"
	found.Pipeline.Consumers = domain.ConsumersPaused
	var levels []string
	for _, alert := range alertsOf(found) {
		levels = append(levels, alert.Level)
	}
	assert.Equal(t, []string{"bad", "warn", "warn"}, levels)
}

func TestAWarningIsShownOnceForAllProcessesThatRun(t *testing.T) {
	found := healthy()
	warning := domain.StoreWarning{Store: "redis", Text: "appendonly is no."}
	for _, host := range []string{"two", "two", "three", "four", "five"} {
		found.Pipeline.Processes = append(found.Pipeline.Processes, processView{Host: host, Warnings: []domain.StoreWarning{warning}})
	}
	found.Pipeline.Processes = append(found.Pipeline.Processes, processView{
		Host: "gone", Silent: true, Warnings: []domain.StoreWarning{{Store: "kafka", Text: "of a process that is gone"}},
	})
	alerts := alertsOf(found)
	require.Len(t, alerts, 1)
	assert.Equal(t, "appendonly is no. Told to two, three, four and 1 more.", alerts[0].Text)

	for i := range 3 * maxWarningAlerts {
		found.Pipeline.Processes[0].Warnings = append(found.Pipeline.Processes[0].Warnings, domain.StoreWarning{Store: "kafka", Text: fmt.Sprint("number ", i)})
	}
	alerts = alertsOf(found)
	require.Len(t, alerts, maxWarningAlerts+1)
	assert.Equal(t, "21 more warnings of the stores.", alerts[maxWarningAlerts].Subject)
}
