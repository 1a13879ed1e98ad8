# Sourced by native.sh: Redis in two topologies that survive the loss of a master.
# cluster1 to cluster6 are a Redis Cluster: at first three masters, and a replica for each of them.
# watched1 to watched3 are a primary and two replicas, at first in that order, and sentinel1 to sentinel3 choose another
# primary when it is lost; they call the set "firstcome".
# A lost master is replaced after 3 s.
# shellcheck shell=bash

failover_ms=3000

cluster_port() { echo $((FIRSTCOME_SERVERS_CLUSTER_PORT + ${1#cluster} - 1)); }
watched_port() { echo $((FIRSTCOME_SERVERS_WATCHED_PORT + ${1#watched} - 1)); }
sentinel_port() { echo $((FIRSTCOME_SERVERS_SENTINEL_PORT + ${1#sentinel} - 1)); }

cluster_install() { redis_install; }
watched_install() { redis_install; }
sentinel_install() { redis_install; }

# start_redis NAME PORT VARIABLE [FILE] OPTIONS...: a Redis that keeps what it was told. FILE holds further options.
start_redis() {
    local name=$1 port=$2 variable=$3
    shift 3
    if ! running_process "$name" >/dev/null; then
        make_data_folder "$name"
        require_free_port "$port" "$variable"
        launch "$name" redis-server "$@" --bind 127.0.0.1 --port "$port" --dir "$(data_folder "$name")" \
            --appendonly yes --save '' --maxmemory-policy noeviction --repl-diskless-sync-delay 0
    fi
    wait_until_ready "$name" 60 redis-cli -e -p "$port" ping
}

# The nodes talk to each other ten ports further up.
cluster_start() {
    local port
    port=$(cluster_port "$1")
    start_redis "$1" "$port" FIRSTCOME_SERVERS_CLUSTER_PORT --cluster-enabled yes --cluster-port $((port + 10)) \
        --cluster-node-timeout "$failover_ms" --cluster-replica-validity-factor 0
}

# cluster_complete: make one cluster of the six nodes, once all of them run for the first time.
cluster_complete() {
    local name addresses=()
    for name in cluster{1..6}; do
        [[ $(server_state "$name") == running ]] || return 0
        addresses+=("127.0.0.1:$(cluster_port "$name")")
    done
    if redis-cli -p "$(cluster_port cluster1)" cluster info | grep -q '^cluster_known_nodes:1\b'; then
        redis-cli --cluster create "${addresses[@]}" --cluster-replicas 1 --cluster-yes >/dev/null ||
            die "cluster: could not be made of ${addresses[*]}"
        say "cluster: made of ${addresses[*]}"
    fi
    for name in cluster{1..6}; do
        wait_until_told "$name" "$(cluster_port "$name")" 'cluster info' 1 '^cluster_state:ok'
        wait_until_told "$name" "$(cluster_port "$name")" 'cluster nodes' 3 'slave '
    done
}

# wait_until_told NAME PORT QUESTION COUNT PATTERN: until so many lines of the answer fit.
wait_until_told() {
    wait_until_ready "$1" 60 bash -c "[[ \$(redis-cli -p $2 $3 | grep -c '$5') == $4 ]]"
}

# A server that was there before follows whomever the sentinels name, and writes that into its file.
watched_start() {
    local port folder
    port=$(watched_port "$1")
    make_data_folder "$1"
    folder=$(data_folder "$1")
    if [[ ! -e $folder/redis.conf ]]; then
        echo 'replica-announce-ip 127.0.0.1' >"$folder/redis.conf"
        if [[ $1 != watched1 ]]; then
            echo "replicaof 127.0.0.1 $FIRSTCOME_SERVERS_WATCHED_PORT" >>"$folder/redis.conf"
        fi
        give_to_server_user "$folder/redis.conf"
    fi
    start_redis "$1" "$port" FIRSTCOME_SERVERS_WATCHED_PORT "$folder/redis.conf"
}

# A sentinel keeps what it knows in its file.
sentinel_start() {
    local port folder
    port=$(sentinel_port "$1")
    if ! running_process "$1" >/dev/null; then
        make_data_folder "$1"
        folder=$(data_folder "$1")
        if [[ ! -e $folder/sentinel.conf ]]; then
            cat >"$folder/sentinel.conf" <<TEXT
sentinel monitor firstcome 127.0.0.1 $FIRSTCOME_SERVERS_WATCHED_PORT 2
sentinel down-after-milliseconds firstcome $failover_ms
sentinel failover-timeout firstcome 10000
TEXT
            give_to_server_user "$folder/sentinel.conf"
        fi
        require_free_port "$port" FIRSTCOME_SERVERS_SENTINEL_PORT
        launch "$1" redis-server "$folder/sentinel.conf" --sentinel --bind 127.0.0.1 --port "$port" --dir "$folder"
    fi
    wait_until_ready "$1" 60 redis-cli -e -p "$port" ping
}

# sentinel_complete: the sentinels know each other and both replicas.
sentinel_complete() {
    local name
    for name in watched{1..3} sentinel{1..3}; do
        [[ $(server_state "$name") == running ]] || return 0
    done
    for name in sentinel{1..3}; do
        wait_until_told "$name" "$(sentinel_port "$name")" 'info sentinel' 1 'status=ok.*slaves=2,sentinels=3'
    done
}
