#!/usr/bin/env bash
# Measures how cost grows, on servers of its own, which are removed again. Arguments go to the measuring program: see
# `go run ./bench/growth -help`. Needs what docker/servers.sh needs, and wrk (as bench/run.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v wrk >/dev/null; then
    echo "wrk is missing, which makes the load: apt-get install wrk" >&2
    exit 1
fi
go build -trimpath -o bin/growth ./bench/growth

# shellcheck source=docker/separate.sh
source docker/separate.sh
separate_servers growth
docker/servers.sh up redis kafka mysql
eval "$(docker/servers.sh env)"
bin/growth "$@"
