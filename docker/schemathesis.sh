#!/usr/bin/env bash
# Sends calls made up from openapi.yaml to a `firstcome dev` of its own, for SECONDS_EACH (60) at most, and fails on an
# answer that is a fault of the server or that the document does not name. Needs Go and Python 3 with venv.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=.tools/schemathesis
if [[ ! -x $tool/bin/schemathesis ]]; then
    python3 -m venv "$tool" 2>/dev/null || { apt-get install -y -q python3-venv && python3 -m venv --clear "$tool"; }
    "$tool/bin/pip" install --quiet schemathesis==4.32.5
fi
folder=$(mktemp -d)
go build -o "$folder/firstcome" .
port=$((20000 + RANDOM % 10000))
FIRSTCOME_ADMIN_TOKEN=contract-test "$folder/firstcome" dev --http-addr "127.0.0.1:$port" --data-dir "$folder/data" --log-level error >"$folder/log" 2>&1 &
server=$!
trap 'kill $server; wait $server || true; rm -rf "$folder"' EXIT
for _ in $(seq 100); do
    if curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz"; then break; fi
    sleep 0.2
done
"$tool/bin/schemathesis" run "http://127.0.0.1:$port/openapi.yaml" --url "http://127.0.0.1:$port" \
    --header 'Authorization: Bearer contract-test' --exclude-path /v1/admin/audit --phases examples,coverage,fuzzing \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --max-examples 5 --max-time "${SECONDS_EACH:-60}"
