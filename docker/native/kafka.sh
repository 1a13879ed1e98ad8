# Sourced by native.sh: Kafka in KRaft mode from Maven Central, one process as
# broker and controller.
# shellcheck shell=bash

kafka_version=4.3.1
kafka_libraries=$FIRSTCOME_SERVERS_CACHE/kafka-$kafka_version

kafka_install() {
    local fetched
    need_maven
    if [[ ! -d $kafka_libraries ]]; then
        fetched=$(mktemp -d "$FIRSTCOME_SERVERS_CACHE/incomplete.XXXXXX")
        run_maven --file "$native_folder/kafka-pom.xml" "-Dkafka.version=$kafka_version" \
            "$maven_dependency_plugin:copy-dependencies" -DincludeScope=runtime "-DoutputDirectory=$fetched"
        keep_in_cache "$fetched" "kafka-$kafka_version"
    fi
    check_readable "$kafka_libraries"
}

# Topics are made by firstcome alone, with the partitions and retention that
# it states. The short retention check lets a test see records expire. The
# short session lets a killed broker come back after 3 s: until its old session
# ends, the new process may not register.
kafka_properties() {
    local listeners=PLAINTEXT://127.0.0.1:$FIRSTCOME_SERVERS_KAFKA_PORT advertised protocols pair
    advertised=$listeners
    protocols=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
    for pair in ${FIRSTCOME_SERVERS_KAFKA_PROXIED:-}; do
        listeners+=,BEHIND_${pair#*:}://127.0.0.1:${pair%:*}
        advertised+=,BEHIND_${pair#*:}://127.0.0.1:${pair#*:}
        protocols+=,BEHIND_${pair#*:}:PLAINTEXT
    done
    cat <<TEXT
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$FIRSTCOME_SERVERS_KAFKA_CONTROLLER_PORT
listeners=$listeners,CONTROLLER://127.0.0.1:$FIRSTCOME_SERVERS_KAFKA_CONTROLLER_PORT
advertised.listeners=$advertised
listener.security.protocol.map=$protocols
controller.listener.names=CONTROLLER
log.dirs=$1/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
connections.max.idle.ms=${FIRSTCOME_SERVERS_KAFKA_IDLE_MS:-600000}
TEXT
}

# kafka_format NAME PROPERTIES
kafka_format() {
    "${as_server_user[@]}" java -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
        -cp "$kafka_libraries/*" kafka.tools.StorageTool format --ignore-formatted \
        --cluster-id MkU3OEVBNTcwNTJENDM2Qg --config "$2" >"$FIRSTCOME_SERVERS_FOLDER/$1.log" 2>&1 ||
        fail_start "$1" "could not format its data folder"
}

kafka_start() {
    local folder properties
    if ! running_process kafka >/dev/null; then
        make_data_folder kafka
        folder=$(data_folder kafka)
        properties=$folder/server.properties
        kafka_properties "$folder" >"$properties"
        if [[ ! -e $folder/log/meta.properties ]]; then
            kafka_format kafka "$properties"
        fi
        require_free_port "$FIRSTCOME_SERVERS_KAFKA_PORT" FIRSTCOME_SERVERS_KAFKA_PORT
        require_free_port "$FIRSTCOME_SERVERS_KAFKA_CONTROLLER_PORT" FIRSTCOME_SERVERS_KAFKA_CONTROLLER_PORT
        launch kafka java "-Xmx$FIRSTCOME_SERVERS_KAFKA_HEAP" -XX:+UseSerialGC \
            -Dorg.slf4j.simpleLogger.showDateTime=true -cp "$kafka_libraries/*" kafka.Kafka "$properties"
    fi
    wait_until_ready kafka 90 grep -q 'Kafka Server started' "$FIRSTCOME_SERVERS_FOLDER/kafka.log"
}
