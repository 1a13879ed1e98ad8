# Sourced by servers.sh: the servers as plain processes on Debian or Ubuntu,
# for machines without a Docker engine.
# shellcheck shell=bash

# mariadbd is in a folder that is not on every user's path.
PATH=$PATH:/usr/sbin
native_folder=$docker_folder/native
# shellcheck source=docker/native/process.sh
source "$native_folder/process.sh"
# shellcheck source=docker/native/install.sh
source "$native_folder/install.sh"
# shellcheck source=docker/native/database.sh
source "$native_folder/database.sh"
# Each of these defines NAME_install and NAME_start for a server or, without their numbers, for several of one kind.
# shellcheck source=docker/native/redis.sh
source "$native_folder/redis.sh"
# shellcheck source=docker/native/redis-cluster.sh
source "$native_folder/redis-cluster.sh"
# shellcheck source=docker/native/kafka.sh
source "$native_folder/kafka.sh"
# shellcheck source=docker/native/kafka-brokers.sh
source "$native_folder/kafka-brokers.sh"
# shellcheck source=docker/native/mysql.sh
source "$native_folder/mysql.sh"
# shellcheck source=docker/native/mysql-pair.sh
source "$native_folder/mysql-pair.sh"
# shellcheck source=docker/native/mariadb.sh
source "$native_folder/mariadb.sh"

# prepare_servers NAME...: install what is missing. One at a time: another
# clone may be filling the same cache folder.
prepare_servers() {
    local name
    mkdir -p "$FIRSTCOME_SERVERS_FOLDER" "$FIRSTCOME_SERVERS_CACHE"
    exec 8>"$FIRSTCOME_SERVERS_CACHE/lock"
    flock --wait 900 8 || die "another installation into $FIRSTCOME_SERVERS_CACHE has not ended for 15 minutes"
    for name; do
        "${name%%[0-9]*}_install"
    done
    if [[ -n ${FIRSTCOME_SERVERS_CLOCKS:-} ]]; then
        need_packages libfaketime
    fi
    exec 8>&-
}

start_server() {
    lock_server "$1"
    continue_process "$1"
    "${1%%[0-9]*}_start" "$1"
    unlock_server
}

# complete_servers NAME...: what is left to do once all of these run.
complete_servers() {
    if [[ " $* " == *" pair2 "* ]]; then
        pair_complete
    fi
    if [[ " $* " == *" cluster6 "* ]]; then
        cluster_complete
    fi
    if [[ " $* " == *" sentinel3 "* ]]; then
        sentinel_complete
    fi
    brokers_complete "$@"
}

stop_server() {
    lock_server "$1"
    stop_process "$1"
    unlock_server
}

kill_server() {
    lock_server "$1"
    kill_process "$1"
    unlock_server
}

pause_server() { signal_running "$1" STOP; }
resume_server() { signal_running "$1" CONT; }

# The folder may be a link: see make_data_folder.
wipe_server() {
    local folder
    folder=$(data_folder "$1")
    if [[ $1 == broker* ]]; then
        broker_wipe "$1"
    fi
    rm -rf "$folder" "${FIRSTCOME_SERVERS_FOLDER:?}/$1" "$FIRSTCOME_SERVERS_FOLDER/$1".{log,log.previous,process}
    say "$1: data deleted"
}
