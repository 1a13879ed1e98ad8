# Sourced by native.sh: MySQL as a pair. At first pair1 is the primary, and pair2 its replica, which is read-only.
# Who is what may change while they run; a database that starts again is what it was.
# shellcheck shell=bash

pair_install() { mysql_install; }
pair_initialise() { mysql_initialise "$@"; }

pair_port() { echo $((FIRSTCOME_SERVERS_PAIR_PORT + ${1#pair} - 1)); }

# A database that follows the other one has this file.
follows_file() { echo "$(data_folder "$1")/follows"; }

# The statements of database.sql are no part of what is replicated: each server carries them out by itself when it
# is made.
pair_start() {
    local name=$1 options=()
    if [[ -d $(data_folder "$name")/data ]]; then
        options=(--init-file=)
    fi
    if [[ -e $(follows_file "$name") ]]; then
        options+=(--super-read-only=ON)
    fi
    start_database "$name" "$(pair_port "$name")" FIRSTCOME_SERVERS_PAIR_PORT \
        "$mysql_programs/bin/mysqld" --no-defaults "--basedir=$mysql_programs" \
        "--lc-messages-dir=$mysql_programs/share" "--character-sets-dir=$mysql_programs/share/charsets" \
        --skip-mysqlx "--server-id=${name#pair}" --log-bin=binlog --gtid-mode=ON --enforce-gtid-consistency=ON \
        --relay-log=relay --slave-net-timeout=5 --default-authentication-plugin=mysql_native_password \
        -- "${options[@]}"
}

# on_pair NAME STATEMENTS
on_pair() {
    mariadb --no-defaults --protocol=tcp --host=127.0.0.1 "--port=$(pair_port "$1")" \
        --user=firstcome --password=firstcome --execute="$2"
}

other_of_pair() { [[ $1 == pair1 ]] && echo pair2 || echo pair1; }

# follow_pair NAME: make a database the read-only replica of the other one, whose transactions it has all or can get.
follow_pair() {
    touch "$(follows_file "$1")"
    on_pair "$1" "STOP SLAVE; RESET SLAVE ALL;
        CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = $(pair_port "$(other_of_pair "$1")"),
        MASTER_USER = 'firstcome', MASTER_PASSWORD = 'firstcome', MASTER_AUTO_POSITION = 1, MASTER_CONNECT_RETRY = 1;
        START SLAVE; SET GLOBAL super_read_only = ON"
    say "$1: follows $(other_of_pair "$1")"
}

# lead_pair NAME: let a replica take writes, with what it has by now. The other one is not told.
lead_pair() {
    rm -f "$(follows_file "$1")"
    on_pair "$1" "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF"
    say "$1: is a primary"
}

# pair_complete: once both run for the first time, the second follows the first.
pair_complete() {
    if [[ ! -e $(follows_file pair1) && ! -e $(follows_file pair2) ]]; then
        follow_pair pair2
    fi
}

# join_pair NAME: throw away what the database holds, make it a copy of the other one, which is stopped meanwhile, and
# let it follow. This is how a primary that was lost comes back.
join_pair() {
    local name=$1 other folder
    other=$(other_of_pair "$name")
    kill_server "$name"
    stop_server "$other"
    folder=$(data_folder "$name")
    rm -rf "$folder/data"
    cp --recursive --preserve "$(data_folder "$other")/data" "$folder/data"
    rm -f "$folder/data/auto.cnf"
    start_server "$other"
    start_server "$name"
    follow_pair "$name"
}
