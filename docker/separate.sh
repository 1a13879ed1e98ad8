# Sourced by what needs servers of its own: somebody may be using those on the default ports.
# shellcheck shell=bash

# separate_servers NAME: from here on docker/servers.sh uses free ports and a folder of their own, until
# remove_servers. The ports are below 32768, from where on the system takes the ports of outgoing connections.
separate_servers() {
    local name port=$((20000 + RANDOM % 10000))
    for name in REDIS KAFKA KAFKA_CONTROLLER MYSQL MARIADB; do
        port=$((port + 1))
        while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
            port=$((port + 1))
        done
        export "FIRSTCOME_SERVERS_${name}_PORT=$port"
    done
    # Each of these takes up to twenty ports in a row.
    for name in CLUSTER WATCHED SENTINEL BROKER PAIR; do
        export "FIRSTCOME_SERVERS_${name}_PORT=$((port + 1))"
        port=$((port + 20))
    done
    FIRSTCOME_SERVERS_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/firstcome-$1.XXXXXX")
    # On its way to the data, the servers' user has to pass through it.
    chmod a+rx "$FIRSTCOME_SERVERS_FOLDER"
    export FIRSTCOME_SERVERS_FOLDER
    export COMPOSE_PROJECT_NAME=firstcome-$1-$$
    trap remove_servers EXIT
}

remove_servers() {
    local names=(redis kafka mysql mariadb)
    if [[ ${FIRSTCOME_SERVERS:-native} == native ]]; then
        names+=(cluster sentinels brokers pair)
    fi
    WIPE=1 docker/servers.sh down "${names[@]}" >/dev/null 2>&1 || echo "some of the servers are left over" >&2
    rm -rf "$FIRSTCOME_SERVERS_FOLDER"
}
