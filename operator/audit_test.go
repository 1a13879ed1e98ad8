package operator

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// fakeAuditor notes in one list what was recorded and what was audited.
type fakeAuditor struct {
	done []string
	// refusal is what the history says to each action.
	refusal error
}

func (f *fakeAuditor) Audit(_ context.Context, campaigns []string, repair bool) ([]domain.AuditResult, error) {
	f.done = append(f.done, AuditOrder{Campaigns: campaigns, Repair: repair}.verb())
	return []domain.AuditResult{{Campaign: "spring"}}, nil
}

func (f *fakeAuditor) LastAudits(context.Context, string) ([]domain.AuditResult, error) {
	return nil, nil
}

func (f *fakeAuditor) RecordAction(_ context.Context, action domain.OperatorAction) error {
	f.done = append(f.done, action.Actor+": "+action.Action+" "+action.Target)
	return f.refusal
}

func TestAnAuditIsRecordedBeforeItRuns(t *testing.T) {
	for name, c := range map[string]struct {
		order AuditOrder
		done  []string
	}{
		"all":      {AuditOrder{}, []string{"ann: audit all campaigns", "audit"}},
		"a repair": {AuditOrder{Repair: true}, []string{"ann: repair all campaigns", "repair"}},
		"two by name": {
			AuditOrder{Campaigns: []string{"spring", "autumn"}}, []string{"ann: audit campaign spring", "ann: audit campaign autumn", "audit"},
		},
	} {
		auditor := &fakeAuditor{}
		results, err := NewAudits(auditor, auditor).Run(t.Context(), c.order, "ann")
		require.NoError(t, err, name)
		assert.Len(t, results, 1, name)
		assert.Equal(t, c.done, auditor.done, name)
	}
}

func TestARepairThatCanNotBeRecordedDoesNotRun(t *testing.T) {
	auditor := &fakeAuditor{refusal: domain.Errorf(domain.CodeUnavailable, "the ledger is away")}
	_, err := NewAudits(auditor, auditor).Run(t.Context(), AuditOrder{Repair: true}, "ann")
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
	assert.NotContains(t, auditor.done, "repair")
}

func TestAProcessWithoutAnAuditorSaysSo(t *testing.T) {
	history := &fakeAuditor{}
	audits := NewAudits(nil, history)
	_, err := audits.Run(t.Context(), AuditOrder{Repair: true}, "ann")
	assert.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	_, err = audits.Last(t.Context(), "")
	assert.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	assert.Empty(t, history.done, "what can't run is not recorded")
}
