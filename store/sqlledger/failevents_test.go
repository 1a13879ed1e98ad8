package sqlledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// A record that an older program kept is delivered again, when the crash came before the commit of its offset.
func TestARecordThatAnOlderProgramKeptIsOneEvent(t *testing.T) {
	testOlderEvents(t, openSQLiteLedger(t))
}

func testOlderEvents(t *testing.T, ledger *Ledger) {
	t.Helper()
	event := func(user domain.UserID) domain.FailEvent {
		return domain.FailEvent{
			Winner: domain.Winner{Campaign: "welcome", UserID: user, Epoch: 1, AdmittedAt: time.Now()},
			Reason: domain.ReasonNoSlotLeft, Raw: []byte("a record"),
			Position: domain.RecordPosition{Topic: "coupon_create", Offset: 5}, Digest: domain.RecordDigest{1},
		}
	}
	require.NoError(t, ledger.RecordFailEvent(t.Context(), event(7)))
	execute(t, ledger, "UPDATE fail_event SET content_key = ''") // as the migration leaves it
	require.NoError(t, ledger.RecordFailEvent(t.Context(), event(7)))
	require.NoError(t, ledger.RecordFailEvent(t.Context(), event(8)))
	events, err := ledger.FailEvents(t.Context(), domain.FailEventFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, events, 2)
	assert.Equal(t, domain.UserID(8), events[0].UserID)
	assert.Equal(t, domain.UserID(7), events[1].UserID)
}
