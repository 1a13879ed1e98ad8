# Sourced by native.sh: MariaDB from Debian's packages (10.11 on Debian 12).
# shellcheck shell=bash

mariadb_install() {
    need_program mariadbd mariadb-server-core
    need_program mariadb mariadb-client-core
}

mariadb_start() {
    start_database mariadb "$FIRSTCOME_SERVERS_MARIADB_PORT" FIRSTCOME_SERVERS_MARIADB_PORT \
        mariadbd --no-defaults
}

# mariadb_initialise FOLDER COMMAND...: MariaDB has a program of its own for
# this, so the command goes unused.
mariadb_initialise() {
    "${as_server_user[@]}" mariadb-install-db --no-defaults "--datadir=$1" \
        --auth-root-authentication-method=normal --skip-test-db
}
