# Sourced by servers.sh: the servers as containers of compose.yaml.
# shellcheck shell=bash

# Compose reads the whole file, so the admin token that only the service needs
# has to have some value even where just the servers are meant.
compose() {
    FIRSTCOME_ADMIN_TOKEN=${FIRSTCOME_ADMIN_TOKEN:-unused} \
        docker compose --file "$docker_folder/compose.yaml" --profile test "$@"
}

# prepare_servers NAME...: fetch the images, so that the limit on the start
# counts the start alone.
prepare_servers() {
    compose pull --quiet --policy missing "$@" || die "could not fetch the images"
}

# server_state NAME: print running, paused or stopped.
server_state() {
    local state
    state=$(compose ps --all --format '{{.State}}' "$1")
    case $state in
        running | paused) echo "$state" ;;
        *) echo stopped ;;
    esac
}

start_server() {
    if [[ $(server_state "$1") == paused ]]; then
        compose unpause "$1"
    fi
    if ! compose up --detach --wait --wait-timeout 180 "$1"; then
        compose logs --tail 40 "$1" >&2
        die "$1 did not start"
    fi
}

# The topologies of several servers exist as plain processes only.
complete_servers() { :; }

stop_server() {
    if [[ $(server_state "$1") == paused ]]; then
        compose unpause "$1"
    fi
    compose stop "$1"
}

kill_server() { compose kill "$1"; }
pause_server() { compose pause "$1"; }
resume_server() { compose unpause "$1"; }

# The volumes are named, so that they outlive the containers: removing a
# container leaves its volume.
wipe_server() {
    compose rm --stop --force "$1"
    docker volume rm --force "${COMPOSE_PROJECT_NAME:-firstcome}_$1"
}
