package sqlledger

import (
	"cmp"
	_ "embed"
	"errors"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"firstcome/domain"
)

//go:embed statement/insert_coupons.sql
var insertCouponsStatement string

const (
	// rowStart begins one row of insert_coupons.sql, and rowParameters counts its parameters; the moment of storing follows.
	rowStart      = "(?, ?, ?, ?, "
	rowParameters = 4
)

// freshCoupon is a row that is to be inserted.
type freshCoupon struct {
	user       domain.UserID
	slot       domain.Slot
	admittedAt time.Time
}

// freshCoupons gives the rows of the winners that are to be stored.
func freshCoupons(winners []domain.Winner, results []domain.StoreResult) []freshCoupon {
	rows := make([]freshCoupon, 0, len(winners))
	for i, winner := range winners {
		if results[i].Outcome == domain.Stored {
			rows = append(rows, freshCoupon{winner.UserID, winner.Slot, storedTime(winner.AdmittedAt)})
		}
	}
	return rows
}

// insertCoupons inserts the rows in the order of their slots, so that writers meet in the same order and seldom
// deadlock. errConflict: a row was passed over because its user or its slot has a row. The statement goes past gorm,
// whose reflection on every field of every row took longer than all else that this process does to store a batch.
func (l *Ledger) insertCoupons(tx *gorm.DB, campaign campaignRow, rows []freshCoupon) error {
	if len(rows) == 0 {
		return nil
	}
	for _, row := range rows {
		if row.user < 1 || !holdsTime(row.admittedAt) {
			return domain.Wrap(domain.CodeRowRefused, errImpossible, messageRefused)
		}
	}
	slices.SortFunc(rows, func(a, b freshCoupon) int {
		return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.user, b.user))
	})
	text, values := l.insertStatement(campaign, rows)
	inserted, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, text, values...)
	if err != nil {
		return err
	}
	count, err := inserted.RowsAffected()
	if err == nil && count < int64(len(rows)) {
		return errConflict
	}
	return err
}

func (l *Ledger) insertStatement(campaign campaignRow, rows []freshCoupon) (text string, values []any) {
	// What is the same in every row is boxed once.
	var id, issuedAt any = campaign.ID, l.config.processNow()
	moment := l.backend.clockInStatement
	if moment == "" {
		moment = "?"
	}
	values = make([]any, 0, (rowParameters+1)*len(rows))
	for _, row := range rows {
		values = append(values, id, int64(row.user), int64(row.slot), row.admittedAt)
		if l.backend.clockInStatement == "" {
			values = append(values, issuedAt)
		}
	}
	row := rowStart + moment + ")"
	return insertCouponsStatement + strings.Repeat(row+",", len(rows)-1) + row + l.backend.passOver, values
}

// errImpossible is about rows that SQLite would take and MySQL not.
var errImpossible = errors.New("the user ID is not positive, or the time of admission lies outside the years 1000 to 9999")
