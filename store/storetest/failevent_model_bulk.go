package storetest

import (
	"context"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"firstcome/domain"
)

// The steps of the model of fail events that are about bulk jobs. Events change between two steps of a job.

// selects says whether the job is about an event as it is now.
func (j *modelJob) selects(event *modelEvent) bool {
	return event.idle() && event.ID <= j.newest && (j.Filter.Status == "" || j.Filter.Status == event.Status)
}

func (m *eventModel) startBulk(t *rapid.T) {
	order := domain.BulkOrder{
		Action: rapid.SampledFrom([]domain.BulkAction{domain.BulkRetry, domain.BulkDiscard}).Draw(t, "action"),
		Filter: domain.FailEventFilter{
			Campaign: m.campaign.Code,
			Status:   rapid.SampledFrom([]domain.FailStatus{"", domain.FailStatusFail, domain.FailStatusDead}).Draw(t, "status"),
		},
	}
	if order.Action == domain.BulkDiscard {
		order.Reason = "many tests"
	}
	job, err := m.ledger(t).StartBulk(context.Background(), order, operatorName)
	require.NoError(t, err)
	started := &modelJob{BulkJob: job, until: m.now().Add(domain.BulkLease)}
	for id := range m.events {
		started.newest = max(started.newest, id)
	}
	matched, newest := int64(0), int64(0)
	for id, event := range m.events {
		if started.selects(event) {
			matched++
			newest = max(newest, id)
		}
	}
	require.Equal(t, matched, job.Matched)
	started.newest = newest
	m.jobs = append(m.jobs, started)
}

func (m *eventModel) anyJob(t *rapid.T) *modelJob {
	if len(m.jobs) == 0 {
		t.Skip("there is no job")
	}
	return m.jobs[rapid.IntRange(max(0, len(m.jobs)-3), len(m.jobs)-1).Draw(t, "job")]
}

// stepBulk has somebody work on a job, who may have lost it to somebody else.
func (m *eventModel) stepBulk(t *rapid.T) {
	job := m.anyJob(t)
	worker := job.BulkJob
	lost := job.Status == domain.BulkDone
	if job.stale != "" && rapid.Bool().Draw(t, "the worker before") {
		worker.LeaseToken, lost = job.stale, true
	}
	after, err := m.ledger(t).StepBulk(context.Background(), worker)
	if lost {
		requireCode(t, domain.CodeLeaseLost, err)
		return
	}
	require.NoError(t, err)
	for _, event := range m.events {
		switch {
		case !job.selects(event):
		case job.Action == domain.BulkRetry:
			job.Done++
			event.makeDue(m.now())
		case !m.refusedRow(event.UserID):
			job.Done++
			m.giveUp(event, job.Reason)
		}
	}
	require.Equal(t, domain.BulkDone, after.Status, "the model has fewer events than one step handles")
	require.Equal(t, job.Done, after.Done)
	job.Status = domain.BulkDone
}

// takeBulk has an operator take up a job, which nobody can while it is worked on.
func (m *eventModel) takeBulk(t *rapid.T) {
	job := m.anyJob(t)
	taken, err := m.ledger(t).TakeBulk(context.Background(), job.ID, operatorName)
	if job.Status == domain.BulkDone || m.now().Before(job.until) && !job.until.After(m.now().Add(2*domain.BulkLease)) {
		requireCode(t, domain.CodeConflict, err)
		return
	}
	require.NoError(t, err)
	require.NotEqual(t, job.LeaseToken, taken.LeaseToken)
	job.stale, job.LeaseToken, job.until = job.LeaseToken, taken.LeaseToken, m.now().Add(domain.BulkLease)
}
