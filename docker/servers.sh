#!/usr/bin/env bash
# Starts, stops and disturbs the real servers that firstcome runs on and is
# tested against: redis, kafka, mysql and mariadb, a Redis Cluster, a set of Redis Sentinel, a Kafka of three brokers
# and a pair of MySQL.
set -euo pipefail

docker_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# These are meant where no name is given; the others are asked for.
all_servers=(redis kafka mysql mariadb)
cluster_servers=(cluster{1..6})
sentinel_servers=(watched{1..3} sentinel{1..3})
broker_servers=(broker{1..3})
pair_servers=(pair{1..2})

usage() {
    cat <<'TEXT'
usage: docker/servers.sh VERB [NAME...]        NAME: redis kafka mysql mariadb, and only for native:
                                               cluster     all of cluster1 to cluster6, a Redis Cluster
                                               sentinels   all of watched1 to watched3, a Redis with two replicas,
                                                           and sentinel1 to sentinel3, which watch over them
                                               brokers     all of broker1 to broker3, a Kafka cluster
                                               pair        pair1 and pair2, at first a MySQL primary and its replica

  up [NAME...]       start and wait until ready (the first four, unless named); what runs already is left alone
  down [NAME...]     stop; with WIPE=1 end at once and delete the data as well
  status [NAME...]   print running, paused or stopped for each
  start NAME...      the same as up
  stop NAME...       stop in an orderly way
  kill NAME...       end at once, as a crash does
  pause NAME...      freeze: connections stay open and nothing answers
  resume NAME...     end the freeze
  follow NAME        make pair1 or pair2 the read-only replica of the other one
  lead NAME          let it take writes again, with what it has by now
  join NAME          make it a copy of the other one, and its replica
  env                print the settings that reach these servers, for eval
  with COMMAND...    up, run COMMAND with those settings, then leave the servers as found

Settings (environment variables):
  FIRSTCOME_SERVERS                 docker or native; docker where a Docker engine answers
  FIRSTCOME_SERVERS_REDIS_PORT      16379
  FIRSTCOME_SERVERS_KAFKA_PORT      19092
  FIRSTCOME_SERVERS_MYSQL_PORT      13306
  FIRSTCOME_SERVERS_MARIADB_PORT    13307
  FIRSTCOME_SERVERS_KAFKA_HEAP      512m
  FIRSTCOME_TEST_DATABASE           mysql, or mariadb: what the tests of the whole service store in
Only for native:
  FIRSTCOME_SERVERS_CLUSTER_PORT    17001 to 17006, and 17011 to 17016 between the nodes
  FIRSTCOME_SERVERS_WATCHED_PORT    17021 to 17023
  FIRSTCOME_SERVERS_SENTINEL_PORT   17031 to 17033
  FIRSTCOME_SERVERS_BROKER_PORT     17041 to 17043, and 17051 to 17053 between the controllers
  FIRSTCOME_SERVERS_BROKER_HEAP     256m
  FIRSTCOME_SERVERS_PAIR_PORT       17061 and 17062
  FIRSTCOME_SERVERS_BROKER_DISKS    brokers that get a small disk of their own when they are started, as root:
                                    "broker3:64m ..."
  FIRSTCOME_SERVERS_KAFKA_CONTROLLER_PORT  19093
  FIRSTCOME_SERVERS_KAFKA_IDLE_MS   600000, after which Kafka closes a connection on which nothing was asked
  FIRSTCOME_SERVERS_KAFKA_PROXIED   further ports that lead through proxies: "PORT:PROXY_PORT ..."; who asks at
                                    PORT is sent to PROXY_PORT
  FIRSTCOME_SERVERS_CLOCKS          folder of files, each named after a server, that shift its clock (libfaketime)
  FIRSTCOME_SERVERS_FOLDER          data and logs; .servers in the clone
  FIRSTCOME_SERVERS_CACHE           downloaded programs; firstcome-servers in the user's cache folder,
                                    for root /var/cache/firstcome-servers
TEXT
}

say() { echo "servers: $*" >&2; }

die() {
    say "$*"
    exit 1
}

# Root's servers run as another user, who can't look into /root.
default_cache() {
    if ((EUID == 0)); then
        echo /var/cache/firstcome-servers
    else
        echo "${XDG_CACHE_HOME:-$HOME/.cache}/firstcome-servers"
    fi
}

export FIRSTCOME_SERVERS_REDIS_PORT=${FIRSTCOME_SERVERS_REDIS_PORT:-16379}
export FIRSTCOME_SERVERS_KAFKA_PORT=${FIRSTCOME_SERVERS_KAFKA_PORT:-19092}
export FIRSTCOME_SERVERS_KAFKA_CONTROLLER_PORT=${FIRSTCOME_SERVERS_KAFKA_CONTROLLER_PORT:-19093}
export FIRSTCOME_SERVERS_MYSQL_PORT=${FIRSTCOME_SERVERS_MYSQL_PORT:-13306}
export FIRSTCOME_SERVERS_MARIADB_PORT=${FIRSTCOME_SERVERS_MARIADB_PORT:-13307}
export FIRSTCOME_SERVERS_CLUSTER_PORT=${FIRSTCOME_SERVERS_CLUSTER_PORT:-17001}
export FIRSTCOME_SERVERS_WATCHED_PORT=${FIRSTCOME_SERVERS_WATCHED_PORT:-17021}
export FIRSTCOME_SERVERS_SENTINEL_PORT=${FIRSTCOME_SERVERS_SENTINEL_PORT:-17031}
export FIRSTCOME_SERVERS_PAIR_PORT=${FIRSTCOME_SERVERS_PAIR_PORT:-17061}
export FIRSTCOME_SERVERS_BROKER_PORT=${FIRSTCOME_SERVERS_BROKER_PORT:-17041}
export FIRSTCOME_SERVERS_KAFKA_HEAP=${FIRSTCOME_SERVERS_KAFKA_HEAP:-512m}
FIRSTCOME_SERVERS_FOLDER=$(realpath --canonicalize-missing "${FIRSTCOME_SERVERS_FOLDER:-$docker_folder/../.servers}")
FIRSTCOME_SERVERS_CACHE=$(realpath --canonicalize-missing "${FIRSTCOME_SERVERS_CACHE:-$(default_cache)}")
export FIRSTCOME_SERVERS_FOLDER FIRSTCOME_SERVERS_CACHE

# Each of the two files sourced here defines prepare_servers, start_server,
# stop_server, kill_server, pause_server, resume_server, wipe_server and
# server_state, and complete_servers for what needs several of them.
choose_backend() {
    if [[ -z ${FIRSTCOME_SERVERS:-} ]]; then
        FIRSTCOME_SERVERS=native
        if docker info >/dev/null 2>&1; then
            FIRSTCOME_SERVERS=docker
        fi
    fi
    export FIRSTCOME_SERVERS
    if [[ $FIRSTCOME_SERVERS == docker ]]; then
        # shellcheck source=docker/compose.sh
        source "$docker_folder/compose.sh"
    elif [[ $FIRSTCOME_SERVERS == native ]]; then
        # shellcheck source=docker/native/native.sh
        source "$docker_folder/native/native.sh"
    else
        die "FIRSTCOME_SERVERS is '$FIRSTCOME_SERVERS'; it must be native or docker"
    fi
}

up() {
    local name
    prepare_servers "$@"
    for name; do
        start_server "$name"
    done
    complete_servers "$@"
}

down() {
    local name
    for name; do
        if [[ ${WIPE:-} == 1 ]]; then
            kill_server "$name"
            wipe_server "$name"
        else
            stop_server "$name"
        fi
    done
}

each() {
    local action=$1 name
    shift
    for name; do
        "$action" "$name"
    done
}

status() {
    local name
    for name; do
        printf '%-9s %s\n' "$name" "$(server_state "$name")"
    done
}

# The settings of this script are printed too, so that a test that calls it
# disturbs the same servers, and needn't ask for a Docker engine each time.
print_environment() {
    local redis=127.0.0.1:$FIRSTCOME_SERVERS_REDIS_PORT
    local kafka=127.0.0.1:$FIRSTCOME_SERVERS_KAFKA_PORT
    local mysql="firstcome:firstcome@tcp(127.0.0.1:$FIRSTCOME_SERVERS_MYSQL_PORT)/firstcome"
    local mariadb="firstcome:firstcome@tcp(127.0.0.1:$FIRSTCOME_SERVERS_MARIADB_PORT)/firstcome"
    local database=${FIRSTCOME_TEST_DATABASE:-mysql}
    local program=$docker_folder/servers.sh variable
    local cluster sentinels brokers
    [[ $database == mysql || $database == mariadb ]] || die "FIRSTCOME_TEST_DATABASE is '$database'; it must be mysql or mariadb"
    cluster=$(addresses_from "$FIRSTCOME_SERVERS_CLUSTER_PORT" 6)
    sentinels=$(addresses_from "$FIRSTCOME_SERVERS_SENTINEL_PORT" 3)
    brokers=$(addresses_from "$FIRSTCOME_SERVERS_BROKER_PORT" 3)

    cat <<TEXT
export FIRSTCOME_REDIS_ADDRS=${redis@Q}
export FIRSTCOME_KAFKA_BROKERS=${kafka@Q}
export FIRSTCOME_MYSQL_DSN=${mysql@Q}
export FIRSTCOME_TEST_REDIS_ADDRS=${redis@Q}
export FIRSTCOME_TEST_CLUSTER_ADDRS=${cluster@Q}
export FIRSTCOME_TEST_SENTINEL_ADDRS=${sentinels@Q}
export FIRSTCOME_TEST_KAFKA_BROKERS=${kafka@Q}
export FIRSTCOME_TEST_THREE_BROKERS=${brokers@Q}
export FIRSTCOME_TEST_PAIR_PORT=${FIRSTCOME_SERVERS_PAIR_PORT@Q}
export FIRSTCOME_TEST_DATABASE=${database@Q}
export FIRSTCOME_TEST_DATABASE_DSN=${!database@Q}
export FIRSTCOME_TEST_MYSQL_DSN=${mysql@Q}
export FIRSTCOME_TEST_MARIADB_DSN=${mariadb@Q}
export FIRSTCOME_TEST_SERVERS=${program@Q}
TEXT
    for variable in FIRSTCOME_SERVERS "${!FIRSTCOME_SERVERS_@}"; do
        echo "export $variable=${!variable@Q}"
    done
}

# addresses_from PORT COUNT: print that many addresses, separated by commas.
addresses_from() {
    local port list=
    for ((port = $1; port < $1 + $2; port++)); do
        list+=,127.0.0.1:$port
    done
    echo "${list#,}"
}

# with COMMAND...: the exit status is the command's.
run_with_servers() {
    local name
    declare -gA state_before
    for name in "${all_servers[@]}"; do
        state_before[$name]=$(server_state "$name")
    done
    trap leave_as_found EXIT
    up "${all_servers[@]}"
    eval "$(print_environment)"
    "$@"
}

# A server that ran before may be gone now: tests end and freeze servers.
leave_as_found() {
    local name
    for name in "${all_servers[@]}"; do
        if [[ ${state_before[$name]} == stopped ]]; then
            stop_server "$name"
        else
            start_server "$name"
        fi
    done
}

# expand_names NAME...: set names to the servers that are meant.
expand_names() {
    local name known=" ${all_servers[*]} ${cluster_servers[*]} ${sentinel_servers[*]} ${broker_servers[*]} ${pair_servers[*]} "
    names=()
    for name; do
        if [[ $name == cluster ]]; then
            names+=("${cluster_servers[@]}")
        elif [[ $name == sentinels ]]; then
            names+=("${sentinel_servers[@]}")
        elif [[ $name == brokers ]]; then
            names+=("${broker_servers[@]}")
        elif [[ $name == pair ]]; then
            names+=("${pair_servers[@]}")
        elif [[ $known == *" $name "* ]]; then
            names+=("$name")
        else
            die "no server is called '$name'; there are: $known cluster sentinels brokers pair"
        fi
    done
}

main() {
    local verb=${1:-help} names=()
    shift || true
    case $verb in
        up | down | status)
            (($# > 0)) || set -- "${all_servers[@]}"
            expand_names "$@"
            set -- "${names[@]}"
            ;;
        start | stop | kill | pause | resume)
            (($# > 0)) || die "$verb needs the name of a server"
            expand_names "$@"
            set -- "${names[@]}"
            ;;
        follow | lead | join) [[ ${1:-} == pair[12] ]] || die "$verb needs pair1 or pair2" ;;
        with) (($# > 0)) || die "with needs a command" ;;
        env) (($# == 0)) || die "env takes no names" ;;
        help | -h | --help)
            usage
            return
            ;;
        *)
            usage >&2
            die "no verb is called '$verb'"
            ;;
    esac

    choose_backend
    case $verb in
        up | start) up "$@" ;;
        down) down "$@" ;;
        status) status "$@" ;;
        stop | kill | pause | resume) each "${verb}_server" "$@" ;;
        follow | lead | join) "${verb}_pair" "$1" ;;
        env) print_environment ;;
        with) run_with_servers "$@" ;;
    esac
}

main "$@"
