package sqlledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

// What was kept by a version that named JSON after Go's fields.
const (
	oldFilter = `{"Status":"DEAD","Reason":"SLOT_TAKEN","Campaign":"spring","UserID":9223372036854775807,` +
		`"From":"2030-01-02T03:04:05Z","Until":"0001-01-01T00:00:00Z","Text":"UserID","BeforeID":0,"Limit":0}`
	oldBeat = `{"Process":"host-1","Host":"host","Version":"1","Roles":["consumer"],"StartedAt":"2030-01-02T03:04:05Z",` +
		`"SeenAt":"2030-01-02T03:05:05Z","Consumer":{"Paused":"an operator","PausedSince":"2030-01-02T03:04:05Z",` +
		`"Waiting":[{"of":"campaign spring","records":3,"since":"2030-01-02T03:04:05Z","why":"the gate"}],"RowsStored":7,` +
		`"RowsPerSecond":1.5,"LimitRowsPerSecond":5000,"Partitions":1,"PartitionsTotal":8},"Retryer":{"Jobs":[{"Name":"retry",` +
		`"Every":1000000000,"LastRunAt":"2030-01-02T03:04:05Z","LastError":"","NextRunAt":"2030-01-02T03:04:06Z"}]},` +
		`"Warnings":[{"store":"redis","text":"no appendonly"}]}`
)

func TestFiltersAndHeartbeatsOfOlderVersionsAreRead(t *testing.T) {
	ledger := openSQLiteLedger(t)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	job, err := ledger.StartBulk(t.Context(), domain.BulkOrder{Action: domain.BulkRetry}, "ann")
	require.NoError(t, err)
	require.NoError(t, ledger.db.Model(&bulkRow{}).Where("id = ?", job.ID).Update("filter", oldFilter).Error)
	job, err = ledger.BulkJob(t.Context(), job.ID)
	require.NoError(t, err)
	assert.Equal(t, domain.FailEventFilter{
		Status: domain.FailStatusDead, Reason: domain.ReasonSlotTaken, Campaign: "spring", UserID: 9223372036854775807, From: at, Text: "UserID",
	}, job.Filter)

	require.NoError(t, ledger.db.Create(&heartbeatRow{Process: "host-1", Beat: oldBeat, SeenAt: at}).Error)
	beats, err := ledger.Heartbeats(t.Context(), at)
	require.NoError(t, err)
	require.Len(t, beats, 1)
	assert.Equal(t, domain.Heartbeat{
		Process: "host-1", Host: "host", Version: "1", Roles: []string{"consumer"}, StartedAt: at, SeenAt: at.Add(time.Minute),
		Consumer: &domain.ConsumerState{
			Paused: "an operator", PausedSince: at, RowsStored: 7, RowsPerSecond: 1.5, LimitRowsPerSecond: 5000, Partitions: 1, PartitionsTotal: 8,
			Waiting: []domain.WaitingRecords{{Of: "campaign spring", Records: 3, Since: at, Why: "the gate"}},
		},
		Retryer:  &domain.RetryerState{Jobs: []domain.JobState{{Name: "retry", Every: time.Second, LastRunAt: at, NextRunAt: at.Add(time.Second)}}},
		Warnings: []domain.StoreWarning{{Store: "redis", Text: "no appendonly"}},
	}, beats[0])
}

func TestFiltersAndHeartbeatsAreKeptUnderTheNamesOfTheAPI(t *testing.T) {
	ledger := openSQLiteLedger(t)
	_, err := ledger.StartBulk(t.Context(), domain.BulkOrder{
		Action: domain.BulkRetry, Filter: domain.FailEventFilter{UserID: 7, Status: domain.FailStatusDead},
	}, "ann")
	require.NoError(t, err)
	var job bulkRow
	require.NoError(t, ledger.db.Take(&job).Error)
	assert.JSONEq(t, `{"status":"DEAD","user_id":"7"}`, job.Filter)

	require.NoError(t, ledger.Beat(t.Context(), domain.Heartbeat{Process: "host-1", Retryer: &domain.RetryerState{Jobs: []domain.JobState{{Name: "retry"}}}}))
	var beat heartbeatRow
	require.NoError(t, ledger.db.Take(&beat).Error)
	assert.NotRegexp(t, `"[A-Z]\w*":`, beat.Beat, "no name of a Go field")
}
