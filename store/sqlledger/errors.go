package sqlledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

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

// SQLite's result codes for a file that is damaged, and for one that is no database.
const (
	sqliteCorrupt      = 11
	sqliteNotADatabase = 26
)

func isDamaged(err sqliteError) bool {
	code := err.Code() & 0xff
	return code == sqliteCorrupt || code == sqliteNotADatabase
}

// Numbers of MySQL and MariaDB that are named in the code.
const (
	mysqlNoDatabase    = 1049
	mysqlNoIndex       = 1176
	mysqlLockWait      = 1205
	mysqlDeadlock      = 1213
	mysqlOptionRefuses = 1290
)

// Messages for the person who has to act.
const (
	messageAway       = "the database is away or did not answer in time"
	messageBusy       = "the database is busy"
	messageReadOnly   = "the database is read-only"
	messageFull       = "the database's disk is full"
	messageRights     = "the database refuses this program's user"
	messageSchema     = "the database's tables are missing or of another version: run `firstcome migrate`"
	messageNoDatabase = "there is no database of the name that the DSN holds: `firstcome migrate` says how to make it"
	messageDamaged    = "the database's file is damaged: put a copy of its folder back, or start with another folder"
	messageRefused    = "the database refuses this row"
	messageEachRow    = "the database refuses every row, those that it took before too"
	messageItsReason  = "the database refused for a reason of its own, which says nothing about a row"
	messageUnknown    = "the database did not answer to the commit"
	messageDefect     = "unexpected answer of the database driver"
)

// rowNumbers are the errors of MySQL and MariaDB that are about the row, although their SQLSTATE doesn't show it:
// a wrong value, a value shortened, a CHECK, an illegal value, a row that fits no partition.
var rowNumbers = map[uint16]bool{
	1265: true, 1366: true, 1367: true, 1411: true, 1525: true, 1526: true, 1748: true, 3819: true,
}

// rowClasses are the classes of SQLSTATE that are about the row: its data, a constraint, the check of a view, a
// trigger's own refusal.
var rowClasses = map[string]bool{"22": true, "23": true, "44": true, "45": true}

// serverNumbers are errors of the server that have a message of their own.
var serverNumbers = map[uint16]string{
	1021: messageFull, 1114: messageFull,
	1792: messageReadOnly, 1836: messageReadOnly, 1223: messageReadOnly,
	1044: messageRights, 1045: messageRights, 1130: messageRights, 1142: messageRights, 1143: messageRights,
	1227: messageRights, 1370: messageRights, 1698: messageRights,
	mysqlNoDatabase: messageNoDatabase, 1054: messageSchema, 1146: messageSchema, 1364: messageSchema,
	mysqlLockWait: messageBusy, mysqlDeadlock: messageBusy, 1020: messageBusy, 1040: messageBusy, 1203: messageBusy,
	1206: messageBusy, 1226: messageBusy, 1637: messageBusy, 3101: messageBusy,
	1016: messageAway, 1026: messageAway, 1030: messageAway, 1037: messageAway, 1038: messageAway, 1041: messageAway,
	1053: messageAway, 1105: messageAway, 1129: messageAway, 1135: messageAway, 1159: messageAway, 1161: messageAway,
	1180: messageAway, 1194: messageAway, 1195: messageAway, 1317: messageAway, 1412: messageAway, 1815: messageAway,
	1927: messageAway, 1969: messageAway, 2006: messageAway, 2013: messageAway, 3024: messageAway, 3032: messageAway,
	3100: messageAway, 3168: messageAway, 3169: messageAway, 4031: messageAway,
	// ProxySQL: it reached no server in time, the servers are shunned, its own limit.
	9001: messageAway, 9002: messageAway, 9005: messageAway, 9006: messageAway,
}

// serverClasses are classes of SQLSTATE with a message of their own: connection, not supported, transaction state,
// authorization, roll-back, syntax and rights, intervention.
var serverClasses = map[string]string{
	"08": messageAway, "0A": messageSchema, "21": messageSchema, "25": messageReadOnly, "28": messageRights,
	"40": messageBusy, "42": messageSchema, "70": messageAway, "XA": messageAway,
}

// classify gives the error of a call or of a statement its code. It is the one place that knows drivers' errors; an
// error that has a code already keeps it. CodeRowRefused is only what is known to be about a row. Whatever else the
// server says, what nobody here has heard of included, is about the server: the caller waits, which harms no row, where
// a good row that is blamed would end as a dead fail event.
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
	if isReadOnlyServer(err) {
		return domain.Wrap(domain.CodeUnavailable, err, messageReadOnly)
	}
	if message, known := serverNumbers[err.Number]; known {
		return domain.Wrap(domain.CodeUnavailable, err, message)
	}
	class := err.SQLState[:2]
	if rowNumbers[err.Number] || rowClasses[string(class)] {
		return domain.Wrap(domain.CodeRowRefused, err, messageRefused)
	}
	message, known := serverClasses[string(class)]
	if !known {
		message = messageItsReason
	}
	return domain.Wrap(domain.CodeUnavailable, err, message)
}

// isReadOnlyServer says that the server takes no writes now, as one does that was the primary. Error 1290 names the
// option that refuses, and other options than --read-only and --super-read-only say nothing of that kind.
func isReadOnlyServer(err error) bool {
	var fromMySQL *mysql.MySQLError
	if !errors.As(err, &fromMySQL) {
		return false
	}
	switch fromMySQL.Number {
	case 1792, 1836:
		return true
	case mysqlOptionRefuses:
		return strings.Contains(strings.ReplaceAll(fromMySQL.Message, "_", "-"), "read-only")
	}
	return false
}

func classifySQLite(err sqliteError) *domain.Error {
	switch err.Code() & 0xff {
	case sqliteTooBig, sqliteConstraint, sqliteMismatch:
		return domain.Wrap(domain.CodeRowRefused, err, messageRefused)
	case sqliteCorrupt, sqliteNotADatabase:
		return domain.Wrap(domain.CodeUnavailable, err, messageDamaged)
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

// undoneByCommit are the answers to COMMIT with which the server has undone the transaction; 3101 is that of a group
// whose other member was faster.
var undoneByCommit = map[uint16]bool{mysqlDeadlock: true, mysqlOptionRefuses: true, 1792: true, 1836: true, 3101: true}

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
