package sqlledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"

	"firstcome/domain"
)

// sqliteError is what the SQLite driver answers; its low byte is SQLite's primary result code. Described here, so
// that release builds need no SQLite.
type sqliteError interface {
	error
	Code() int
}

// SQLite's result codes that are about a row: too big, a constraint or RAISE(ABORT), a type mismatch.
const (
	sqliteTooBig     = 18
	sqliteConstraint = 19
	sqliteMismatch   = 20
)

// Numbers of MySQL and MariaDB that are named in the code.
const (
	mysqlNoIndex  = 1176
	mysqlLockWait = 1205
	mysqlDeadlock = 1213
)

// Messages for the person who has to act.
const (
	messageAway     = "the database is away or did not answer in time"
	messageBusy     = "the database is busy"
	messageReadOnly = "the database is read-only"
	messageFull     = "the database's disk is full"
	messageRights   = "the database refuses this program's user"
	messageSchema   = "the database's tables are missing or of another version: run `firstcome migrate`"
	messageRefused  = "the database refuses this row"
	messageUnknown  = "the database did not answer to the commit"
	messageDefect   = "unexpected answer of the database driver"
)

// unavailableNumbers are errors of the server that say nothing about a row, although their SQLSTATE doesn't show it.
var unavailableNumbers = map[uint16]string{
	1021: messageFull, 1114: messageFull,
	1290: messageReadOnly, 1792: messageReadOnly, 1836: messageReadOnly, 1223: messageReadOnly,
	1044: messageRights, 1045: messageRights, 1130: messageRights, 1142: messageRights, 1143: messageRights,
	1227: messageRights, 1370: messageRights, 1698: messageRights,
	1049: messageSchema, 1054: messageSchema, 1146: messageSchema,
	mysqlLockWait: messageBusy, mysqlDeadlock: messageBusy, 1040: messageBusy, 1203: messageBusy, 1206: messageBusy,
	1226: messageBusy, 1637: messageBusy,
	1016: messageAway, 1026: messageAway, 1030: messageAway, 1037: messageAway, 1038: messageAway, 1041: messageAway,
	1053: messageAway, 1105: messageAway, 1129: messageAway, 1135: messageAway, 1180: messageAway, 1194: messageAway,
	1195: messageAway, 1193: messageAway, 1298: messageAway, 1317: messageAway, 1412: messageAway, 1815: messageAway,
	1927: messageAway, 1969: messageAway, 2006: messageAway, 2013: messageAway, 3024: messageAway, 3032: messageAway,
	3100: messageAway, 3168: messageAway, 3169: messageAway, 4031: messageAway,
}

// unavailableClasses are classes of SQLSTATE that say nothing about a row: connection, transaction state,
// authorization, roll-back, syntax and rights, intervention, not supported.
var unavailableClasses = map[string]string{
	"08": messageAway, "0A": messageSchema, "25": messageReadOnly, "28": messageRights, "40": messageBusy,
	"42": messageSchema, "70": messageAway, "XA": messageAway,
}

// classify gives the error of a call or of a statement its code. It is the one place that knows drivers' errors; an
// error that has a code already keeps it. What the server says about a row, and anything it says that is not known
// here, is CodeRowRefused: whoever stores many rows then finds the one that it means, and none is stuck for ever.
func classify(err error) *domain.Error {
	var coded *domain.Error
	if errors.As(err, &coded) {
		return coded
	}
	var fromMySQL *mysql.MySQLError
	if errors.As(err, &fromMySQL) {
		return classifyMySQL(fromMySQL)
	}
	var fromSQLite sqliteError
	if errors.As(err, &fromSQLite) {
		return classifySQLite(fromSQLite)
	}
	if isConnectionError(err) {
		return domain.Wrap(domain.CodeUnavailable, err, messageAway)
	}
	return domain.Wrap(domain.CodeInternal, err, messageDefect)
}

func classifyMySQL(err *mysql.MySQLError) *domain.Error {
	if message, known := unavailableNumbers[err.Number]; known {
		return domain.Wrap(domain.CodeUnavailable, err, message)
	}
	if message, known := unavailableClasses[string(err.SQLState[:2])]; known {
		return domain.Wrap(domain.CodeUnavailable, err, message)
	}
	return domain.Wrap(domain.CodeRowRefused, err, messageRefused)
}

func classifySQLite(err sqliteError) *domain.Error {
	switch err.Code() & 0xff {
	case sqliteTooBig, sqliteConstraint, sqliteMismatch:
		return domain.Wrap(domain.CodeRowRefused, err, messageRefused)
	case sqliteGenericError:
		return domain.Wrap(domain.CodeUnavailable, err, messageSchema)
	}
	return domain.Wrap(domain.CodeUnavailable, err, messageAway)
}

// sqliteGenericError is what SQLite says of a missing table, and of little else once the statements are right.
const sqliteGenericError = 1

func isConnectionError(err error) bool {
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded, driver.ErrBadConn, sql.ErrConnDone, sql.ErrTxDone,
		mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul, mysql.ErrBusyBuffer,
		mysql.ErrNoTLS, mysql.ErrOldProtocol, mysql.ErrUnknownPlugin, mysql.ErrNativePassword, mysql.ErrOldPassword,
		mysql.ErrCleartextPassword, io.EOF, io.ErrUnexpectedEOF, io.ErrShortWrite, net.ErrClosed,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	var network net.Error
	var operation *net.OpError
	return errors.As(err, &network) || errors.As(err, &operation) || err.Error() == poolClosed
}

// poolClosed is the text of database/sql's error for a pool that was closed; it has no name.
const poolClosed = "sql: database is closed"

// classifyCommit gives the error of a COMMIT its code. Only where it was certainly not sent, or the server says that
// it undid the transaction, the call had no effect; else nobody knows.
func classifyCommit(err error) *domain.Error {
	for _, notSent := range []error{context.Canceled, context.DeadlineExceeded, sql.ErrTxDone, driver.ErrBadConn} {
		if errors.Is(err, notSent) {
			return domain.Wrap(domain.CodeUnavailable, err, messageAway)
		}
	}
	var fromMySQL *mysql.MySQLError
	if errors.As(err, &fromMySQL) && undoneByCommit[fromMySQL.Number] {
		return classifyMySQL(fromMySQL)
	}
	return domain.Wrap(domain.CodeOutcomeUnknown, err, messageUnknown)
}

// undoneByCommit are the answers to COMMIT with which the server has undone the transaction.
var undoneByCommit = map[uint16]bool{mysqlDeadlock: true, 1290: true, 1792: true, 1836: true}

func isDeadlockOrLockWait(err error) bool {
	var fromMySQL *mysql.MySQLError
	return errors.As(err, &fromMySQL) && (fromMySQL.Number == mysqlDeadlock || fromMySQL.Number == mysqlLockWait)
}

// isMissingIndex says that a statement may have failed only because it named an index that is not there.
func isMissingIndex(err error) bool {
	var fromMySQL *mysql.MySQLError
	if errors.As(err, &fromMySQL) {
		return fromMySQL.Number == mysqlNoIndex
	}
	var fromSQLite sqliteError
	return errors.As(err, &fromSQLite) && fromSQLite.Code()&0xff == sqliteGenericError
}
