# Sourced by native.sh: broker1 to broker3 are one Kafka cluster, each of them broker and controller (KRaft). It serves
# while two of them run; with fewer, nothing is acknowledged (min.insync.replicas is 2).
# A lost leader is replaced after 3 s.
# shellcheck shell=bash

broker_port() { echo $((FIRSTCOME_SERVERS_BROKER_PORT + ${1#broker} - 1)); }
# The controllers talk to each other ten ports further up.
broker_controller_port() { echo $(($(broker_port "$1") + 10)); }

broker_install() { kafka_install; }

# broker_properties NAME FOLDER. Ids of the group's and the transactions' topics are few, so that a start takes seconds.
broker_properties() {
    local name voters='' port
    for name in broker{1..3}; do
        voters+=,${name#broker}@127.0.0.1:$(broker_controller_port "$name")
    done
    port=$(broker_port "$1")
    cat <<TEXT
process.roles=broker,controller
node.id=${1#broker}
controller.quorum.voters=${voters#,}
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$(broker_controller_port "$1")
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=$2/log
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
unclean.leader.election.enable=false
offsets.topic.replication.factor=3
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=1000
replica.lag.time.max.ms=5000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=1000
controller.quorum.fetch.timeout.ms=2000
TEXT
}

# broker_disk NAME: give the broker a small disk of its own, if FIRSTCOME_SERVERS_BROKER_DISKS names one for it.
broker_disk() {
    local pair
    for pair in ${FIRSTCOME_SERVERS_BROKER_DISKS:-}; do
        if [[ ${pair%%:*} == "$1" ]] && ! mountpoint -q "$(data_folder "$1")"; then
            mount -t tmpfs -o "size=${pair#*:},mode=0777" "firstcome-$1" "$(data_folder "$1")"
        fi
    done
}

# A first start waits for nobody: a broker serves only once two of the three run (brokers_complete).
broker_start() {
    local folder properties port name others=0
    if ! running_process "$1" >/dev/null; then
        make_data_folder "$1"
        broker_disk "$1"
        folder=$(data_folder "$1")
        # Not on its disk, which may be full.
        properties=$FIRSTCOME_SERVERS_FOLDER/$1.properties
        broker_properties "$1" "$folder" >"$properties"
        if [[ ! -e $folder/log/meta.properties ]]; then
            kafka_format "$1" "$properties"
        fi
        for port in "$(broker_port "$1")" "$(broker_controller_port "$1")"; do
            require_free_port "$port" FIRSTCOME_SERVERS_BROKER_PORT
        done
        launch "$1" java "-Xmx${FIRSTCOME_SERVERS_BROKER_HEAP:-256m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
            -Dorg.slf4j.simpleLogger.showDateTime=true -cp "$kafka_libraries/*" kafka.Kafka "$properties"
    fi
    for name in broker{1..3}; do
        if [[ $name != "$1" && $(server_state "$name") == running ]]; then
            others=$((others + 1))
        fi
    done
    if ((others > 0)); then
        broker_wait "$1"
    fi
}

broker_wait() { wait_until_ready "$1" 120 grep -q 'Kafka Server started' "$FIRSTCOME_SERVERS_FOLDER/$1.log"; }

# brokers_complete NAME...: wait for those that could not be waited for when they were started.
brokers_complete() {
    local name
    for name; do
        if [[ $name == broker[1-3] && $(server_state "$name") == running ]]; then
            broker_wait "$name"
        fi
    done
}

# broker_wipe NAME: take its disk away, before its data is deleted.
broker_wipe() {
    if mountpoint -q "$(data_folder "$1")"; then
        umount "$(data_folder "$1")"
    fi
    rm -f "$FIRSTCOME_SERVERS_FOLDER/$1.properties"
}
