package sqlledger

import (
	"context"
	"crypto/rand"
	"database/sql"

	"gorm.io/gorm"

	"firstcome/domain"
)

// theInstallation is the key of the one row.
const theInstallation = 1

// installationRow says which installation this ledger is.
type installationRow struct {
	ID                  int64
	InstallationID      string
	VerifiedRun         string
	VerifiedRunStartedS int64
}

// TableName tells gorm the table.
func (installationRow) TableName() string { return "installation" }

// InstallationID names the installation that this ledger is: drawn once by Migrate, and the same for all time, also in
// replicas and backups. CodeUnavailable, also where no migration has come to its end.
func (l *Ledger) InstallationID(ctx context.Context) (string, error) {
	var rows []installationRow
	err := l.readToDecide(ctx, "installation", func(db *gorm.DB) error {
		return db.Select("installation_id").Where("id = ?", theInstallation).Find(&rows).Error
	})
	if err != nil {
		return "", err
	}
	if len(rows) == 0 {
		return "", domain.Errorf(domain.CodeUnavailable, "the ledger has no installation ID: run `firstcome migrate`")
	}
	return rows[0].InstallationID, nil
}

// nameInstallation draws the installation's ID, where there is none. Of several at once the first one's stays.
func (l *Ledger) nameInstallation(ctx context.Context, pool *sql.DB) error {
	_, err := pool.ExecContext(ctx, "INSERT INTO installation (id, installation_id, created_at) VALUES (?, ?, ?)"+
		l.backend.passOver, theInstallation, rand.Text(), l.config.processNow())
	return err
}
