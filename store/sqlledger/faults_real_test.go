//go:build realservers

package sqlledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func store(ctx context.Context, ledger *Ledger, winner domain.Winner) (domain.StoreOutcome, error) {
	results, err := ledger.StoreCoupons(ctx, winner.Campaign, []domain.Winner{winner})
	if err != nil {
		return 0, err
	}
	return results[0].Outcome, nil
}

// requireStored requires that the ledger has recovered.
func requireStored(t *testing.T, ledger *Ledger, winner domain.Winner) {
	t.Helper()
	outcome, err := store(t.Context(), ledger, winner)
	require.NoError(t, err)
	require.Equal(t, domain.Stored, outcome)
}

// another opens a second ledger on the same database, as another process would; a parameter is added to its DSN.
func another(t *testing.T, ledger *Ledger, parameter string) *Ledger {
	t.Helper()
	settings, err := mysql.ParseDSN(ledger.config.DSN)
	require.NoError(t, err)
	name, value, _ := strings.Cut(parameter, "=")
	if name != "" {
		settings.Params = map[string]string{name: value}
	}
	return openForTest(t, Config{Dialect: DialectMySQL, DSN: settings.FormatDSN()})
}

func TestAReadOnlyDatabaseIsUnavailable(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		winner := campaignFor(t, ledger)
		variable := "transaction_read_only=1"
		if strings.HasSuffix(t.Name(), "MariaDB") {
			variable = "tx_read_only=1"
		}
		_, err := store(t.Context(), another(t, ledger, variable), winner)
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, messageReadOnly)
		requireStored(t, ledger, winner)
	})
}

func TestAUserWithoutRightsIsUnavailableAndToldSo(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		winner := campaignFor(t, ledger)
		own, err := mysql.ParseDSN(ledger.config.DSN)
		require.NoError(t, err)
		own.User, own.Passwd = "reader_"+strings.ToLower(rand.Text()[:12]), rand.Text()
		execute(t, ledger, fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", own.User, own.Passwd))
		defer execute(t, ledger, fmt.Sprintf("DROP USER '%s'@'%%'", own.User))
		execute(t, ledger, fmt.Sprintf("GRANT SELECT, LOCK TABLES, UPDATE ON %s.* TO '%s'@'%%'", own.DBName, own.User))
		reader := openForTest(t, Config{Dialect: DialectMySQL, DSN: own.FormatDSN()})
		_, err = store(t.Context(), reader, winner)
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, messageRights)
	})
}

// holdRow locks the campaign's row from another connection until the given function is called.
func holdRow(t *testing.T, ledger *Ledger) (release func()) {
	t.Helper()
	tx, err := ledger.pool.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "UPDATE campaign SET fencing = fencing + 1")
	require.NoError(t, err)
	return func() { require.NoError(t, tx.Rollback()) }
}

func TestALockWaitIsTriedAgainAndThenUnavailable(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		winner := campaignFor(t, ledger)
		impatient, err := Open(Config{
			Dialect: DialectMySQL, DSN: ledger.config.DSN, CallTimeout: 2500 * time.Millisecond,
		}, nil, discardLogger)
		require.NoError(t, err)
		defer impatient.Close()
		release := holdRow(t, ledger)
		_, err = store(t.Context(), impatient, winner)
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
		release()
		requireStored(t, impatient, winner)
	})
}

// waitingConnection gives the ID of the connection of this database that runs a statement which begins so.
func waitingConnection(t *testing.T, ledger *Ledger, statement string) int64 {
	t.Helper()
	var id int64
	require.Eventually(t, func() bool {
		err := ledger.pool.QueryRowContext(t.Context(), `SELECT id FROM information_schema.processlist
			WHERE db = DATABASE() AND info LIKE ?`, statement+"%").Scan(&id)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Error(err)
		}
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
	return id
}

func TestAKilledConnectionHadNoEffectAndTheNextCallRecovers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		winner := campaignFor(t, ledger)
		for _, kill := range []string{"KILL", "KILL QUERY"} {
			release := holdRow(t, ledger)
			failed := make(chan error, 1)
			go func() {
				_, err := store(t.Context(), ledger, winner)
				failed <- err
			}()
			id := waitingConnection(t, ledger, "SELECT * FROM `campaign`")
			execute(t, ledger, fmt.Sprintf("%s %d", kill, id))
			err := <-failed
			require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%s: %v", kill, err)
			release()
			_, err = ledger.FindCoupon(t.Context(), "spring", winner.UserID)
			require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
		}
		requireStored(t, ledger, winner)
	})
}

// TestACanceledCallHadNoEffect: the statement under way may still run to its end, but is never committed.
func TestACanceledCallHadNoEffect(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		winner := campaignFor(t, ledger)
		release := holdRow(t, ledger)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := store(ctx, ledger, winner)
			failed <- err
		}()
		waitingConnection(t, ledger, "SELECT * FROM `campaign`")
		cancel()
		err := <-failed
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "%v", err)
		require.ErrorIs(t, err, context.Canceled)
		release()
		requireStored(t, ledger, winner)
	})
}

// cutter is a proxy in front of a server that cuts a connection at its COMMIT, before or after the server got it.
type cutter struct {
	listener net.Listener
	server   string
	armed    atomic.Bool
	deliver  bool
	wait     sync.WaitGroup
}

func newCutter(t *testing.T, server string, deliver bool) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{listener: listener, server: server, deliver: deliver}
	c.wait.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			c.wait.Go(func() { c.serve(client) })
		}
	})
	return c
}

func (c *cutter) close() {
	_ = c.listener.Close()
	c.wait.Wait()
}

func (c *cutter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	c.wait.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		isCommit := bytes.HasSuffix(buffer[:n], []byte("\x03COMMIT"))
		if isCommit && c.armed.CompareAndSwap(true, false) {
			if c.deliver {
				_ = client.(*net.TCPConn).CloseWrite() // nothing of the answer gets through
				_, _ = server.Write(buffer[:n])
			}
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestAConnectionThatBreaksAtTheCommitLeavesTheOutcomeUnknown(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		winner := campaignFor(t, ledger)
		for _, delivered := range []bool{false, true} {
			proxy := newCutter(t, settings.Addr, delivered)
			behind, err := mysql.ParseDSN(ledger.config.DSN)
			require.NoError(t, err)
			behind.Addr = proxy.listener.Addr().String()
			cut := openForTest(t, Config{Dialect: DialectMySQL, DSN: behind.FormatDSN()})
			proxy.armed.Store(true)
			_, err = store(t.Context(), cut, winner)
			require.Equal(t, domain.CodeOutcomeUnknown, domain.CodeOf(err), "delivered=%t: %v", delivered, err)
			outcome, err := store(t.Context(), cut, winner)
			require.NoError(t, err, "asking again is safe, and tells")
			want := domain.Stored
			if delivered {
				want = domain.AlreadyStored
			}
			assert.Equal(t, want, outcome)
			require.NoError(t, cut.Close())
			proxy.close()
			winner.UserID, winner.Slot = winner.UserID+1, winner.Slot+1
		}
	})
}

// TestTimesSurviveWhateverTheServersZone: the DSN asks for another zone, and the tables are read by a session of a third.
func TestTimesSurviveWhateverTheServersZone(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		winner := campaignFor(t, ledger)
		winner.AdmittedAt = time.Date(2031, 7, 8, 9, 10, 11, 123_456_789, time.FixedZone("somewhere", -7*3600))
		elsewhere := another(t, ledger, "time_zone='+09:00'")
		requireStored(t, elsewhere, winner)
		coupon, err := ledger.FindCoupon(t.Context(), "spring", winner.UserID)
		require.NoError(t, err)
		want := time.Date(2031, 7, 8, 16, 10, 11, 123_456_000, time.UTC)
		assert.Equal(t, want, coupon.AdmittedAt)
		conn, err := ledger.pool.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.ExecContext(t.Context(), "SET time_zone = '-05:00'")
		require.NoError(t, err)
		var text string
		require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT CAST(admitted_at AS CHAR) FROM coupon").Scan(&text))
		assert.Equal(t, "2031-07-08 16:10:11.123456", text)
		_, err = conn.ExecContext(t.Context(), "SET time_zone = '+00:00'")
		require.NoError(t, err)
	})
}

// TestDataThatDoesNotFitIsRefusedNotShortened: the insert that passes over conflicts must not pass over anything else.
func TestDataThatDoesNotFitIsRefusedNotShortened(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		lax := openRealLedger(t, settings)
		winner := campaignFor(t, lax)
		ledger := another(t, lax, "sql_mode=''")
		execute(t, ledger, "ALTER TABLE coupon MODIFY user_id INT NOT NULL")
		requireStored(t, ledger, winner)
		winner.UserID, winner.Slot = 1<<40, winner.Slot+1
		_, err := store(t.Context(), ledger, winner)
		require.Equal(t, domain.CodeRowRefused, domain.CodeOf(err), "%v", err)
		_, err = ledger.FindCoupon(t.Context(), "spring", 1<<31-1)
		require.Equal(t, domain.CodeNotFound, domain.CodeOf(err), "a user was given another one's coupon")
		execute(t, ledger, "ALTER TABLE coupon MODIFY user_id BIGINT NOT NULL, ADD COLUMN needed INT NOT NULL")
		_, err = store(t.Context(), ledger, winner)
		require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "no row is to blame for that: %v", err)
	})
}

// TestAConflictIsSeenWhateverTheDSNSays: with clientFoundRows a row that was passed over would count as inserted.
func TestAConflictIsSeenWhateverTheDSNSays(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		winner := campaignFor(t, ledger)
		settings, err := mysql.ParseDSN(ledger.config.DSN)
		require.NoError(t, err)
		settings.ClientFoundRows = true
		found := openForTest(t, Config{Dialect: DialectMySQL, DSN: settings.FormatDSN()})
		requireStored(t, found, winner)
		outcome, err := store(t.Context(), found, winner)
		require.NoError(t, err)
		assert.Equal(t, domain.AlreadyStored, outcome)
		winner.UserID++
		outcome, err = store(t.Context(), found, winner)
		require.NoError(t, err)
		assert.Equal(t, domain.SlotTaken, outcome)
		_, err = found.CreateCampaign(t.Context(), domain.Campaign{
			Code: "spring", Quota: 1, State: domain.CampaignOpen, StartsAt: ledger.config.processNow(), EndsAt: domain.NoEnd,
		}, "ada")
		assert.Equal(t, domain.CodeConflict, domain.CodeOf(err))
	})
}
