//go:build realservers

package sqlledger

import (
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestADatabaseThatRefusesEachRowBlamesNoneOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		testEachRowRefused(t, openRealLedger(t, settings),
			"CREATE TRIGGER refuse_all BEFORE INSERT ON coupon FOR EACH ROW SIGNAL SQLSTATE '45000'", "DROP TRIGGER refuse_all")
	})
}

// TestAnErrorThatIsNotKnownToBeAboutTheRowIsTheServers: with 20 good rows and errors that a proxy, a cluster or a
// network gives, for some of the rows, the batch waits, and no row is blamed.
func TestAnErrorThatIsNotKnownToBeAboutTheRowIsTheServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		ledger := openRealLedger(t, settings)
		winner := campaignFor(t, ledger)
		winners := make([]domain.Winner, 20)
		for i := range winners {
			winners[i] = winner
			winners[i].UserID, winners[i].Slot = domain.UserID(i+1), domain.Slot(i+1)
		}
		for _, number := range []int{9001, 9005, 9006, 1020, 3101, 1159, 1105, 9999} {
			execute(t, ledger, fmt.Sprintf(`CREATE TRIGGER odd BEFORE INSERT ON coupon FOR EACH ROW
				IF NEW.user_id > 10 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = %d; END IF`, number))
			_, err := ledger.StoreCoupons(t.Context(), "spring", winners)
			require.Equal(t, domain.CodeUnavailable, domain.CodeOf(err), "error %d is blamed on a row: %v", number, err)
			execute(t, ledger, "DROP TRIGGER odd")
		}
		results, err := ledger.StoreCoupons(t.Context(), "spring", winners)
		require.NoError(t, err)
		for _, result := range results {
			require.Equal(t, domain.Stored, result.Outcome)
		}
	})
}

func TestPingTellsWhatIsMissingOnRealServers(t *testing.T) {
	onEachServer(t, func(t *testing.T, settings *mysql.Config) {
		t.Helper()
		testPingTellsTheSchema(t, openRealLedger(t, settings))
	})
}
