#!/usr/bin/env bash
# docker/schemathesis.sh [dev|real]: sends calls made up from openapi.yaml to a program of its own, for SECONDS_EACH (60)
# at most, and fails on an answer that is a fault of the server or that the document does not name. The program is a
# `firstcome dev`, or with `real` a `firstcome serve` on real servers of its own. Each run makes up the same calls, so that a
# check of a change fails because of the change; SEED makes up others. An answer may take a minute: an audit of every
# campaign that was made up takes its time. Needs Go and Python 3 with venv.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-dev}
if [[ $kind != dev && $kind != real ]]; then
    echo "usage: docker/schemathesis.sh [dev|real]" >&2
    exit 2
fi
tool=.tools/schemathesis
if [[ ! -x $tool/bin/schemathesis ]]; then
    python3 -m venv "$tool" 2>/dev/null || { apt-get install -y -q python3-venv && python3 -m venv --clear "$tool"; }
    "$tool/bin/pip" install --quiet schemathesis==4.32.5
fi
folder=$(mktemp -d)
server=
leave() {
    if [[ -n $server ]]; then
        kill "$server"
        wait "$server" || true
    fi
    if [[ $kind == real ]]; then remove_servers; fi
    rm -rf "$folder"
}
if [[ $kind == real ]]; then
    # shellcheck source=docker/separate.sh
    source docker/separate.sh
    separate_servers schemathesis
fi
trap leave EXIT

go build -o "$folder/firstcome" .
port=$((20000 + RANDOM % 10000))
export FIRSTCOME_ADMIN_TOKEN=contract-test FIRSTCOME_LOG_LEVEL=error FIRSTCOME_HTTP_ADDR=127.0.0.1:$port
if [[ $kind == dev ]]; then
    "$folder/firstcome" dev --data-dir "$folder/data" >"$folder/log" 2>&1 &
else
    docker/servers.sh up redis kafka mysql
    eval "$(docker/servers.sh env)"
    export FIRSTCOME_KAFKA_REPLICATION_FACTOR=1
    "$folder/firstcome" migrate
    "$folder/firstcome" serve >"$folder/log" 2>&1 &
fi
server=$!
for _ in $(seq 300); do
    if curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz"; then break; fi
    sleep 0.2
done
export SCHEMATHESIS_HOOKS=docker/schemathesis_checks.py
"$tool/bin/schemathesis" run "http://127.0.0.1:$port/openapi.yaml" --url "http://127.0.0.1:$port" \
    --header 'Authorization: Bearer contract-test' --phases examples,coverage,fuzzing \
    --checks no_fault_of_the_server,status_code_conformance,content_type_conformance,response_schema_conformance \
    --max-examples 5 --max-time "${SECONDS_EACH:-60}" --seed "${SEED:-1}" --request-timeout 60
