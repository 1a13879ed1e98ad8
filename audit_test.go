package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
	"firstcome/loadtest"
)

// newAuditEnvironment gives an environment in which an audit looks again soon: a shorter wait makes a false alarm likelier.
func newAuditEnvironment(t *testing.T) *environment {
	t.Helper()
	env := newEnvironment(t)
	env.config.AuditWait = 50 * time.Millisecond
	env.config.VerifyEvery = time.Hour // what these tests break, nothing but what they ask for is to mend
	return env
}

// execSQL changes the database behind the program's back.
func (env *environment) execSQL(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	env.withSQL(t, func(database *sql.DB) {
		_, err := database.ExecContext(t.Context(), statement, arguments...)
		require.NoError(t, err, statement)
	})
}

// textSQL reads one text from the database.
func (env *environment) textSQL(t *testing.T, query string) (text string) {
	t.Helper()
	env.withSQL(t, func(database *sql.DB) {
		require.NoError(t, database.QueryRowContext(t.Context(), query).Scan(&text), query)
	})
	return text
}

func (env *environment) withSQL(t *testing.T, use func(database *sql.DB)) {
	t.Helper()
	driver, dsn := "mysql", env.at.dsn
	if env.at.dialect == dialectSQLite {
		driver, dsn = "sqlite", env.at.dsn+"?_pragma=busy_timeout(30000)"
	}
	database, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, database.Close()) }()
	use(database)
}

// redisClient changes Redis behind the program's back.
func (env *environment) redisClient(t *testing.T) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: env.at.redis[0]})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// deleteRecords deletes everything that is on the topic, committed or not.
func (env *environment) deleteRecords(t *testing.T) {
	t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.V2_1_0_0
	client, err := sarama.NewClient(env.at.kafka, config)
	require.NoError(t, err)
	admin, err := sarama.NewClusterAdminFromClient(client)
	require.NoError(t, err)
	defer func() { _ = admin.Close() }()
	partitions, err := client.Partitions(env.config.KafkaTopic)
	require.NoError(t, err)
	ends := map[int32]int64{}
	for _, partition := range partitions {
		ends[partition], err = client.GetOffset(env.config.KafkaTopic, partition, sarama.OffsetNewest)
		require.NoError(t, err)
	}
	require.NoError(t, admin.DeleteRecords(env.config.KafkaTopic, ends))
}

// auditStopped audits as the command does while nothing else runs.
func (env *environment) auditStopped(t *testing.T, repair bool, campaigns ...string) map[string]domain.AuditResult {
	t.Helper()
	results, err := auditStores(t.Context(), env.config, env.at, auditOptions{repair: repair}, campaigns)
	require.NoError(t, err)
	found := map[string]domain.AuditResult{}
	for _, result := range results {
		require.Empty(t, result.Error, result.Campaign)
		found[result.Campaign] = result
	}
	return found
}

// audit asks the running system for an audit of one campaign.
func (s *system) audit(campaign string, repair bool) domain.AuditResult {
	s.t.Helper()
	got := s.must(http.MethodPost, "/v1/admin/audit?campaign="+campaign+"&repair="+strconv.FormatBool(repair), nil)
	require.Equal(s.t, http.StatusOK, got.status, "%v", got.body)
	return s.auditIn(got)
}

func (s *system) auditIn(got answer) domain.AuditResult {
	s.t.Helper()
	var view struct{ Audits []domain.AuditResult }
	text, err := json.Marshal(got.body)
	require.NoError(s.t, err)
	require.NoError(s.t, json.Unmarshal(text, &view))
	require.Len(s.t, view.Audits, 1)
	return view.Audits[0]
}

// auditWhenStored audits once so many coupons are stored and nothing is on its way any more.
func (s *system) auditWhenStored(campaign string, coupons int) domain.AuditResult {
	s.t.Helper()
	var result domain.AuditResult
	s.eventually("all coupons of "+campaign+" are stored", func() bool {
		result = s.audit(campaign, false)
		return result.Settled && result.Counts.Issued == int64(coupons)
	})
	return result
}

// named gives "kind user slot" of each difference, in order.
func named(differences []domain.AuditDifference) []string {
	names := []string{}
	for _, d := range differences {
		name := string(d.Kind)
		if d.UserID != 0 {
			name += " user " + d.UserID.String()
		}
		if d.Slot != 0 {
			name += " slot " + strconv.FormatInt(int64(d.Slot), 10)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestAnAuditIsCleanAtRestAndRaisesNoFalseAlarmDuringASale(t *testing.T) {
	env := newAuditEnvironment(t)
	env.config.AuditWait = 500 * time.Millisecond // five of these are longer than a lost gate stays closed
	s := env.start(t)
	campaign := s.newCampaign(newCode("audit-sale"), 50_000)
	load := startApplicants(s, campaign, 16)
	s.eventually("the sale runs", func() bool { return load.won() > 50 })
	inFlight := false
	for range 10 {
		result := s.audit(campaign, false)
		require.Empty(t, result.Error)
		require.Empty(t, result.Differences)
		inFlight = inFlight || !result.Settled
	}
	assert.True(t, inFlight, "nothing was on its way during any audit, so this test has shown little")

	raised := s.must(http.MethodPatch, "/v1/admin/campaigns/"+campaign, map[string]any{"quota": 100_000})
	require.Equal(t, http.StatusOK, raised.status, "%v", raised.body)
	env.emptyRedis()
	for range 3 {
		result := s.audit(campaign, false)
		require.Empty(t, result.Differences, "a rebuild under way is no difference")
	}
	before := load.won()
	s.eventually("the sale goes on", func() bool { return load.won() > before+50 })
	answers := load.stop()
	result := s.auditWhenStored(campaign, load.won())
	require.True(t, result.Clean(), "%+v", result)
	s.requireIssued(campaign, answers)
	s.requireSlots(campaign, load.won())
	kept := s.auditIn(s.must(http.MethodGet, "/v1/admin/audit?campaign="+campaign, nil))
	assert.Equal(t, result, kept, "the last result is kept")
}

// corruption is something that no way of an application leaves behind.
type corruption struct {
	prepare func(s *system, campaign string)
	plant   func(campaign string)
	found   []string
	// rows is how many coupons there are when all is put right; 20 have applied.
	rows int
}

func TestAnAuditFindsEveryPlantedCorruptionAndRepairsIt(t *testing.T) {
	env := newAuditEnvironment(t)
	client := env.redisClient(t)
	key := func(campaign, name string) string { return "coupon:{" + campaign + "}:" + name }
	ofCampaign := " AND campaign_id = (SELECT id FROM campaign WHERE code = ?)"
	corruptions := map[string]corruption{
		"row-deleted": {
			plant: func(c string) { env.execSQL(t, "DELETE FROM coupon WHERE slot = 3"+ofCampaign, c) },
			found: []string{"winner-lost user 3 slot 3"}, rows: 20,
		},
		"winner-missing": {
			plant: func(c string) { require.NoError(t, client.HDel(t.Context(), key(c, "users"), "4").Err()) },
			found: []string{"gate-closed", "slot-orphan slot 4", "unknown-to-gate user 4 slot 4"}, rows: 20,
		},
		"winner-replaced": {
			plant: func(c string) {
				require.NoError(t, client.HDel(t.Context(), key(c, "users"), "5").Err())
				require.NoError(t, client.ZAdd(t.Context(), key(c, "free"), redis.Z{Score: 5, Member: "5"}).Err())
			},
			found: []string{"unknown-to-gate user 5 slot 5"}, rows: 20,
		},
		"slot-moved": {
			plant: func(c string) { require.NoError(t, client.HSet(t.Context(), key(c, "users"), "6", "7:1").Err()) },
			found: []string{"slot-held-twice user 7 slot 7", "slot-mismatch user 6 slot 6", "slot-orphan slot 6"}, rows: 20,
		},
		"slot-freed": {
			plant: func(c string) {
				require.NoError(t, client.ZAdd(t.Context(), key(c, "free"), redis.Z{Score: 8, Member: "8"}).Err())
				require.NoError(t, client.Incr(t.Context(), key(c, "count")).Err())
			},
			found: []string{"slot-free-and-held user 8 slot 8", "slot-orphan slot 21"}, rows: 20,
		},
		"stuck": {
			prepare: func(s *system, c string) {
				env.refuseUser(1009)
				require.Equal(t, http.StatusAccepted, s.apply(c, 1009).status)
				s.eventually("the event is dead", func() bool {
					events := s.failEvents(c)
					return len(events) == 1 && events[0]["status"] == "DEAD"
				})
				env.acceptUser(1009)
			},
			plant: func(c string) {
				env.execSQL(t, "UPDATE fail_event SET status = 'PROCESSING', lease_token = 'x', lease_until = '2020-01-01 00:00:00' WHERE campaign_code = ?", c)
			},
			found: []string{"stuck-processing user 1009 slot 21"}, rows: 21,
		},
		"pending": {
			plant: func(c string) {
				epoch := client.HGet(t.Context(), key(c, "meta"), "epoch").Val()
				entry := redis.XAddArgs{Stream: key(c, "pending"), Values: []any{"e", epoch, "w", "777:21"}}
				require.NoError(t, client.XAdd(t.Context(), &entry).Err())
			},
			found: []string{"pending-without-winner user 777 slot 21"}, rows: 21,
		},
	}
	codes, expected := map[string]string{}, map[string]corruption{}
	s := env.start(t)
	for name, c := range corruptions {
		codes[name] = s.newCampaign(newCode(name), 100)
		expected[codes[name]] = c
		for user := range int64(20) {
			require.Equal(t, http.StatusAccepted, s.apply(codes[name], user+1).status)
		}
		if c.prepare != nil {
			c.prepare(s, codes[name])
		}
		require.True(t, s.auditWhenStored(codes[name], 20).Clean())
	}
	s.stop()

	// The consumer is away, so these winners are in the topic alone when it loses its records.
	roles := env.config.Roles
	env.config.Roles = []string{roleAPI, roleRetryer}
	s = env.start(t)
	records := s.newCampaign(newCode("records"), 2)
	require.Equal(t, http.StatusAccepted, s.apply(records, 1).status)
	require.Equal(t, http.StatusAccepted, s.apply(records, 2).status)
	s.eventually("the gate knows that they are in Kafka", func() bool { return s.apply(records, 2).text("status") == "accepted" })
	require.True(t, s.audit(records, false).Clean(), "what is on its way is not lost")
	s.stop()
	env.config.Roles = roles
	expected[records] = corruption{
		plant: func(string) { env.deleteRecords(t) },
		found: []string{"winner-lost user 1 slot 1", "winner-lost user 2 slot 2"}, rows: 2,
	}

	for code := range expected {
		require.Empty(t, env.auditStopped(t, false, code)[code].Differences, "before the corruption")
	}
	for code, c := range expected {
		c.plant(code)
	}
	found := env.auditStopped(t, false)
	for code, c := range expected {
		assert.Equal(t, c.found, named(found[code].Differences), code)
		assert.EqualValues(t, len(c.found), found[code].DifferencesTotal)
	}
	repaired := env.auditStopped(t, true)
	for code := range expected {
		assert.Empty(t, named(repaired[code].Differences), "%s: %+v", code, repaired[code].Repairs)
		assert.NotEmpty(t, repaired[code].Repairs, code)
	}

	s = env.start(t)
	for code, c := range expected {
		result := s.auditWhenStored(code, c.rows)
		assert.True(t, result.Clean(), "%+v", result)
		s.requireSlots(code, c.rows)
	}
}

func TestTheHistoryNamesARepairFromTheCommandLine(t *testing.T) {
	env := newAuditEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("history"), 1)
	s.stop()
	env.auditStopped(t, true, campaign)
	s = env.start(t)
	got := s.must(http.MethodGet, "/v1/admin/actions?action=repair&target=campaign+"+campaign, nil)
	actions, _ := got.body["actions"].([]any)
	require.Len(t, actions, 1)
	action, _ := actions[0].(map[string]any)
	assert.Contains(t, action["actor"], "command line")
}

func TestAnAuditNamesTwoCouponsForOneSlotAndRepairsNeither(t *testing.T) {
	env := newAuditEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("duplicate"), 3)
	for user := range int64(3) {
		require.Equal(t, http.StatusAccepted, s.apply(campaign, user+1).status)
	}
	require.True(t, s.auditWhenStored(campaign, 3).Clean())
	s.stop()
	env.allowDuplicates(t)
	env.execSQL(t, `INSERT INTO coupon (id, campaign_id, user_id, slot, admitted_at, issued_at)
		SELECT 1000000, campaign_id, 99, slot, admitted_at, issued_at FROM coupon WHERE user_id = 1`)
	env.execSQL(t, "UPDATE coupon SET slot = 50 WHERE user_id = 3")

	found := env.auditStopped(t, false, campaign)[campaign]
	duplicates := []string{
		"key-missing", "rows-over-quota", "slot-duplicated user 1 slot 1", "slot-duplicated user 99 slot 1",
		"slot-over-quota user 3 slot 50",
	}
	assert.ElementsMatch(t, append([]string{"unknown-to-gate user 99 slot 1", "slot-mismatch user 3 slot 50"}, duplicates...),
		named(found.Differences))

	found = env.auditStopped(t, true, campaign)[campaign]
	assert.Equal(t, duplicates, named(found.Differences), "what can be repaired is")
	refused := 0
	for _, repair := range found.Repairs {
		if repair.Kind == domain.AuditSlotDuplicated {
			assert.False(t, repair.Done)
			refused++
		}
	}
	assert.Equal(t, domain.AuditKeyMissing, found.Differences[0].Kind)
	assert.Contains(t, found.Differences[0].Detail, "coupon_slot on coupon is missing")
	assert.Contains(t, found.Differences[0].Detail, "firstcome migrate")
	assert.Equal(t, 2, refused, "that a duplicate is not repaired is said plainly: %+v", found.Repairs)

	env.execSQL(t, "UPDATE coupon SET slot = 9223372036854775807 WHERE user_id = 3")
	found = env.auditStopped(t, true, campaign)[campaign]
	assert.Contains(t, named(found.Differences), "slot-over-quota user 3 slot 9223372036854775807")
	assert.NotContains(t, named(found.Differences), "gate-closed", "a rebuild that can only fail is not begun")
}

// allowDuplicates lets the ledger take two coupons for one slot.
func (env *environment) allowDuplicates(t *testing.T) {
	t.Helper()
	if env.at.dialect == dialectSQLite {
		env.execSQL(t, "DROP INDEX coupon_slot")
		return
	}
	env.execSQL(t, "DROP INDEX coupon_slot ON coupon")
}

func TestALostWinnerIsPutBackWhileTheSaleRuns(t *testing.T) {
	env := newAuditEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("put-back"), 1000)
	load := startApplicants(s, campaign, 4)
	s.eventually("the first coupon is stored", func() bool { return s.coupons(campaign)["1"] != 0 })
	slot := s.coupons(campaign)["1"]
	env.execSQL(t, "DELETE FROM coupon WHERE user_id = 1 AND campaign_id = (SELECT id FROM campaign WHERE code = ?)", campaign)
	found := s.audit(campaign, false)
	require.Equal(t, []string{"winner-lost user 1 slot " + strconv.FormatInt(slot, 10)}, named(found.Differences))
	repaired := s.audit(campaign, true)
	require.Empty(t, repaired.Differences)
	require.Len(t, repaired.Repairs, 1)
	s.eventually("the coupon is stored again", func() bool { return s.coupons(campaign)["1"] == slot })
	answers := load.stop()
	assert.True(t, s.auditWhenStored(campaign, load.won()).Clean())
	s.requireIssued(campaign, answers)
}

func TestTheAuditCommandAsksARunningService(t *testing.T) {
	env := newAuditEnvironment(t)
	s := env.start(t)
	campaign := s.newCampaign(newCode("command"), 10)
	s.load(loadtest.Config{Campaign: campaign, Users: 30, Concurrency: 8, FirstUserID: 1})
	audit := func(arguments ...string) (string, error) {
		var out bytes.Buffer
		root := rootCommand()
		root.SetOut(&out)
		root.SetArgs(append([]string{"audit", "--url", s.baseURL, "--admin-token", testToken}, arguments...))
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
	printed, err := audit(campaign)
	require.NoError(t, err)
	assert.Contains(t, printed, campaign)
	s.auditWhenStored(campaign, 10)

	env.execSQL(t, "DELETE FROM coupon WHERE slot = 2 AND campaign_id = (SELECT id FROM campaign WHERE code = ?)", campaign)
	printed, err = audit(campaign)
	require.ErrorContains(t, err, "1 differences")
	assert.Contains(t, printed, "winner-lost")
	printed, err = audit("--json")
	require.Error(t, err)
	var results []domain.AuditResult
	require.NoError(t, json.Unmarshal([]byte(printed), &results))
	require.Len(t, results, 1)
	assert.Equal(t, domain.AuditWinnerLost, results[0].Differences[0].Kind)
	printed, err = audit("--repair", campaign)
	require.NoError(t, err, printed)
	assert.Contains(t, printed, "put back")
	s.eventually("the row is there again", func() bool { return len(s.coupons(campaign)) == 10 })

	_, err = audit("Not A Code")
	var usage usageError
	require.ErrorAs(t, err, &usage)
	_, err = audit("unknown")
	require.ErrorContains(t, err, "campaign")
}

func TestEveryHourAnAuditIsKept(t *testing.T) {
	env := newAuditEnvironment(t)
	env.config.AuditEvery = 100 * time.Millisecond
	s := env.start(t)
	campaign := s.newCampaign(newCode("hourly"), 10)
	require.Equal(t, http.StatusAccepted, s.apply(campaign, 1).status)
	s.eventually("the job's result can be read", func() bool {
		got := s.must(http.MethodGet, "/v1/admin/audit?campaign="+campaign, nil)
		list, _ := got.body["audits"].([]any)
		return got.status == http.StatusOK && len(list) == 1 && s.auditIn(got).Counts.Issued == 1
	})
}
