package sqlledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"

	"firstcome/domain"
)

func serverError(number uint16, state string) error {
	err := &mysql.MySQLError{Number: number, Message: "said the server"}
	copy(err.SQLState[:], state)
	return fmt.Errorf("while storing: %w", err)
}

func serverSays(number uint16, message string) error {
	return &mysql.MySQLError{Number: number, Message: message, SQLState: [5]byte([]byte("HY000"))}
}

// fakeSQLiteError has the shape of the driver's error, with an extended result code.
type fakeSQLiteError int

func (e fakeSQLiteError) Error() string { return "said SQLite" }
func (e fakeSQLiteError) Code() int     { return int(e) }

// TestErrorsOfAStoreAwayAreNotBlamedOnTheRow: a row that is blamed for an outage becomes a fail event, and a bad row
// taken for an outage holds up its partition without end.
func TestErrorsOfAStoreAwayAreNotBlamedOnTheRow(t *testing.T) {
	for name, test := range map[string]struct {
		err     error
		code    domain.Code
		message string
	}{
		"lock wait":                {serverError(1205, "HY000"), domain.CodeUnavailable, messageBusy},
		"deadlock":                 {serverError(1213, "40001"), domain.CodeUnavailable, messageBusy},
		"too many connections":     {serverError(1040, "08004"), domain.CodeUnavailable, messageBusy},
		"user's connections":       {serverError(1203, "42000"), domain.CodeUnavailable, messageBusy},
		"read-only option":         {serverSays(1290, "running with the --read-only option"), domain.CodeUnavailable, messageReadOnly},
		"super-read-only option":   {serverSays(1290, "with the --super-read-only option"), domain.CodeUnavailable, messageReadOnly},
		"read_only on MariaDB":     {serverSays(1290, "with the --read_only option"), domain.CodeUnavailable, messageReadOnly},
		"another option":           {serverSays(1290, "with the --secure-file-priv option"), domain.CodeUnavailable, messageItsReason},
		"read-only transaction":    {serverError(1792, "25006"), domain.CodeUnavailable, messageReadOnly},
		"read-only mode":           {serverError(1836, "HY000"), domain.CodeUnavailable, messageReadOnly},
		"disk full":                {serverError(1021, "HY000"), domain.CodeUnavailable, messageFull},
		"table full":               {serverError(1114, "HY000"), domain.CodeUnavailable, messageFull},
		"gone away":                {serverError(2006, "HY000"), domain.CodeUnavailable, messageAway},
		"lost connection":          {serverError(2013, "HY000"), domain.CodeUnavailable, messageAway},
		"shutdown":                 {serverError(1053, "08S01"), domain.CodeUnavailable, messageAway},
		"interrupted":              {serverError(1317, "70100"), domain.CodeUnavailable, messageAway},
		"execution time":           {serverError(3024, "HY000"), domain.CodeUnavailable, messageAway},
		"killed on MariaDB":        {serverError(1927, "70100"), domain.CodeUnavailable, messageAway},
		"unknown 08":               {serverError(9999, "08S02"), domain.CodeUnavailable, messageAway},
		"no rights on database":    {serverError(1044, "42000"), domain.CodeUnavailable, messageRights},
		"wrong password":           {serverError(1045, "28000"), domain.CodeUnavailable, messageRights},
		"no rights on table":       {serverError(1142, "42000"), domain.CodeUnavailable, messageRights},
		"no table":                 {serverError(1146, "42S02"), domain.CodeUnavailable, messageSchema},
		"no database":              {serverError(1049, "42000"), domain.CodeUnavailable, messageNoDatabase},
		"no column":                {serverError(1054, "42S22"), domain.CodeUnavailable, messageSchema},
		"out of range":             {serverError(1264, "22003"), domain.CodeRowRefused, messageRefused},
		"wrong text":               {serverError(1366, "HY000"), domain.CodeRowRefused, messageRefused},
		"too long":                 {serverError(1406, "22001"), domain.CodeRowRefused, messageRefused},
		"null":                     {serverError(1048, "23000"), domain.CodeRowRefused, messageRefused},
		"foreign key":              {serverError(1452, "23000"), domain.CodeRowRefused, messageRefused},
		"check":                    {serverError(3819, "HY000"), domain.CodeRowRefused, messageRefused},
		"check on MariaDB":         {serverError(4025, "23000"), domain.CodeRowRefused, messageRefused},
		"signal":                   {serverError(1644, "45000"), domain.CodeRowRefused, messageRefused},
		"wrong time":               {serverError(1292, "22007"), domain.CodeRowRefused, messageRefused},
		"duplicate":                {serverError(1062, "23000"), domain.CodeRowRefused, messageRefused},
		"no default":               {serverError(1364, "HY000"), domain.CodeUnavailable, messageSchema},
		"illegal value":            {serverError(1367, "22007"), domain.CodeRowRefused, messageRefused},
		"no partition":             {serverError(1526, "HY000"), domain.CodeRowRefused, messageRefused},
		"shortened":                {serverError(1265, "01000"), domain.CodeRowRefused, messageRefused},
		"never heard of":           {serverError(9999, "HY000"), domain.CodeUnavailable, messageItsReason},
		"never heard of, no state": {serverError(9999, ""), domain.CodeUnavailable, messageItsReason},
		"ProxySQL, no server":      {serverError(9001, "HY000"), domain.CodeUnavailable, messageAway},
		"ProxySQL 9005":            {serverError(9005, "HY000"), domain.CodeUnavailable, messageAway},
		"ProxySQL 9006":            {serverError(9006, "HY000"), domain.CodeUnavailable, messageAway},
		"record has changed":       {serverError(1020, "HY000"), domain.CodeUnavailable, messageBusy},
		"group was faster":         {serverError(3101, "40000"), domain.CodeUnavailable, messageBusy},
		"network read":             {serverError(1159, "08S01"), domain.CodeUnavailable, messageAway},
		"network read, HY000":      {serverError(1159, "HY000"), domain.CodeUnavailable, messageAway},
		"too big a packet":         {serverError(1153, "08S01"), domain.CodeUnavailable, messageAway},
		"SQLite busy":              {fakeSQLiteError(5), domain.CodeUnavailable, messageAway},
		"SQLite busy snapshot":     {fakeSQLiteError(5 | 2<<8), domain.CodeUnavailable, messageAway},
		"SQLite locked":            {fakeSQLiteError(6), domain.CodeUnavailable, messageAway},
		"SQLite read-only":         {fakeSQLiteError(8), domain.CodeUnavailable, messageAway},
		"SQLite interrupted":       {fakeSQLiteError(9), domain.CodeUnavailable, messageAway},
		"SQLite I/O":               {fakeSQLiteError(10 | 3<<8), domain.CodeUnavailable, messageAway},
		"SQLite full":              {fakeSQLiteError(13), domain.CodeUnavailable, messageAway},
		"SQLite can't open":        {fakeSQLiteError(14), domain.CodeUnavailable, messageAway},
		"SQLite no table":          {fakeSQLiteError(1), domain.CodeUnavailable, messageSchema},
		"SQLite trigger":           {fakeSQLiteError(19 | 7<<8), domain.CodeRowRefused, messageRefused},
		"SQLite not null":          {fakeSQLiteError(19 | 5<<8), domain.CodeRowRefused, messageRefused},
		"SQLite too big":           {fakeSQLiteError(18), domain.CodeRowRefused, messageRefused},
		"SQLite mismatch":          {fakeSQLiteError(20), domain.CodeRowRefused, messageRefused},
		"refused":                  {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, domain.CodeUnavailable, messageAway},
		"no such host":             {&net.DNSError{Err: "no such host"}, domain.CodeUnavailable, messageAway},
		"read timeout":             {os.ErrDeadlineExceeded, domain.CodeUnavailable, messageAway},
		"broken connection":        {mysql.ErrInvalidConn, domain.CodeUnavailable, messageAway},
		"bad connection":           {driver.ErrBadConn, domain.CodeUnavailable, messageAway},
		"end of file":              {io.EOF, domain.CodeUnavailable, messageAway},
		"deadline":                 {fmt.Errorf("waiting: %w", context.DeadlineExceeded), domain.CodeUnavailable, messageAway},
		"canceled":                 {context.Canceled, domain.CodeUnavailable, messageAway},
		"transaction done":         {sql.ErrTxDone, domain.CodeUnavailable, messageAway},
		"connection given back":    {sql.ErrConnDone, domain.CodeUnavailable, messageAway},
		"pool closed":              {errors.New("sql: database is closed"), domain.CodeUnavailable, messageAway},
		"a defect":                 {errors.New("sql: Scan error"), domain.CodeInternal, messageDefect},
		"has a code of its own":    {fmt.Errorf("so: %w", domain.Errorf(domain.CodeConflict, "taken")), domain.CodeConflict, "taken"},
		"conflict of our own":      {errConflict, domain.CodeUnavailable, errConflict.Message},
		"impossible by our rule":   {domain.Wrap(domain.CodeRowRefused, errImpossible, messageRefused), domain.CodeRowRefused, messageRefused},
	} {
		got := classify(test.err)
		assert.Equal(t, test.code, got.Code, name)
		assert.Equal(t, test.message, got.Message, name)
	}
}

// TestOnlyACommitThatWasCertainlyUndoneHadNoEffect: a winner who is stored twice over is harmless, one who is thought
// to be stored and is not would be lost.
func TestOnlyACommitThatWasCertainlyUndoneHadNoEffect(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code domain.Code
	}{
		"not sent, canceled":       {context.Canceled, domain.CodeUnavailable},
		"not sent, too late":       {context.DeadlineExceeded, domain.CodeUnavailable},
		"not sent, rolled back":    {sql.ErrTxDone, domain.CodeUnavailable},
		"not sent, broken":         {driver.ErrBadConn, domain.CodeUnavailable},
		"undone, deadlock":         {serverError(1213, "40001"), domain.CodeUnavailable},
		"undone, read-only":        {serverError(1290, "HY000"), domain.CodeUnavailable},
		"undone, group":            {serverError(3101, "40000"), domain.CodeUnavailable},
		"broken while waiting":     {mysql.ErrInvalidConn, domain.CodeOutcomeUnknown},
		"too slow":                 {os.ErrDeadlineExceeded, domain.CodeOutcomeUnknown},
		"interrupted":              {serverError(1317, "70100"), domain.CodeOutcomeUnknown},
		"shutdown":                 {serverError(1053, "08S01"), domain.CodeOutcomeUnknown},
		"error during commit":      {serverError(1180, "HY000"), domain.CodeOutcomeUnknown},
		"SQLite I/O":               {fakeSQLiteError(10), domain.CodeOutcomeUnknown},
		"anything else whatsoever": {errors.New("whatever"), domain.CodeOutcomeUnknown},
	} {
		assert.Equal(t, test.code, classifyCommit(test.err).Code, name)
	}
}

func TestOnlyConflictsBetweenTransactionsAreTriedAgain(t *testing.T) {
	for _, again := range []error{serverError(1205, "HY000"), serverError(1213, "40001"), errConflict, serverSays(1290, "--read-only")} {
		assert.True(t, isConflict(again), "%v", again)
	}
	for _, never := range []error{
		nil, serverError(1644, "45000"), classifyCommit(mysql.ErrInvalidConn), context.Canceled, serverError(1290, "HY000"),
	} {
		assert.False(t, isConflict(never), "%v", never)
	}
}
