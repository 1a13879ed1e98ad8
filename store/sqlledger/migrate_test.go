//go:build !release

package sqlledger

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"firstcome/domain"
)

func TestADamagedFileIsNamedWithWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "firstcome.db")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("no database "), 1000), 0o600))
	_, err := Open(Config{Dialect: DialectSQLite, DSN: file}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, file)
	assert.ErrorContains(t, err, "start with another folder")
	assert.Equal(t, domain.CodeUnavailable, domain.CodeOf(err))
}

func TestForAMissingDatabaseTheStatementIsGiven(t *testing.T) {
	ledger := &Ledger{config: Config{Dialect: DialectMySQL, DSN: "user:secret@tcp(127.0.0.1:1)/my-shop"}}
	told := ledger.migrationFailure(&mysql.MySQLError{Number: 1049, Message: "Unknown database"})
	assert.Contains(t, told, "CREATE DATABASE `my-shop` CHARACTER SET utf8mb4")
	assert.NotContains(t, told, "secret")
	assert.NotContains(t, classify(&mysql.MySQLError{Number: 1049}).Message, messageSchema)
}
