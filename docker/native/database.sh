# Sourced by native.sh: what starting MySQL and MariaDB has in common.
# shellcheck shell=bash

# start_database NAME PORT VARIABLE COMMAND... [-- OPTIONS...]: VARIABLE is the setting that
# the port comes from. The OPTIONS overrule what is set here, and are not meant for initialising.
#
# The socket's path is relative to the data folder, since an absolute one may
# exceed the 107 bytes that the system allows. Without name resolution a client
# on loopback is 127.0.0.1, which database.sql admits.
start_database() {
    local name=$1 port=$2 variable=$3 folder command=()
    shift 3
    while (($# > 0)) && [[ $1 != -- ]]; do
        command+=("$1")
        shift
    done
    shift || true
    if ! running_process "$name" >/dev/null; then
        make_data_folder "$name"
        folder=$(data_folder "$name")
        if [[ ! -d $folder/data ]]; then
            initialise_database "$name" "$folder" "${command[@]}"
        fi
        # The server's user can't always read the clone. No replica is told of these statements.
        { echo 'SET SQL_LOG_BIN = 0;' && cat "$docker_folder/database.sql"; } >"$folder/database.sql"
        chmod a+r "$folder/database.sql"
        # Left over after a kill; MySQL takes them for another server's.
        rm -f "$folder/data/server.sock" "$folder/data/server.sock.lock"
        require_free_port "$port" "$variable"
        launch "$name" "${command[@]}" "--datadir=$folder/data" --bind-address=127.0.0.1 "--port=$port" \
            --socket=server.sock --pid-file=server.pid --skip-name-resolve \
            --init-file="$folder/database.sql" --max-connections=400 \
            --character-set-server=utf8mb4 --default-time-zone=+00:00 "$@"
    fi
    wait_until_ready "$name" 90 mariadb --no-defaults --protocol=tcp --host=127.0.0.1 "--port=$port" \
        --user=firstcome --password=firstcome --execute='SELECT 1' firstcome
}

# initialise_database NAME FOLDER COMMAND...: only a complete data folder gets
# its final name, so that an interrupted attempt isn't taken for one.
initialise_database() {
    local name=$1 folder=$2
    shift 2
    rm -rf "$folder/incomplete"
    (cd "$folder" && "${name%%[0-9]*}_initialise" "$folder/incomplete" "$@") >"$FIRSTCOME_SERVERS_FOLDER/$name.log" 2>&1 ||
        fail_start "$name" "could not initialise its data folder"
    mv "$folder/incomplete" "$folder/data"
}
