# Sourced by native.sh: Redis 7 from Debian's packages.
# shellcheck shell=bash

redis_install() {
    need_program redis-server redis-server
    need_program redis-cli redis-tools
}

# Snapshots are off: the append-only file alone brings the data back.
redis_start() {
    local port=$FIRSTCOME_SERVERS_REDIS_PORT
    if ! running_process redis >/dev/null; then
        make_data_folder redis
        require_free_port "$port" FIRSTCOME_SERVERS_REDIS_PORT
        launch redis redis-server --bind 127.0.0.1 --port "$port" --dir "$(data_folder redis)" \
            --appendonly yes --save '' --maxmemory-policy noeviction
    fi
    # -e: while Redis still loads its file, the ping is an error.
    wait_until_ready redis 60 redis-cli -e -p "$port" ping
}
