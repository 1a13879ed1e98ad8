#!/usr/bin/env bash
# Measures on servers of its own, which are removed again. Arguments go to the measuring program: see
# `go run ./bench -help`. Needs what docker/servers.sh needs, and wrk.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v wrk >/dev/null; then
    echo "installing wrk, which makes the load" >&2
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq wrk
fi
# A connection is a file, and there are thousands of them.
ulimit -n 20000 2>/dev/null || true
go build -trimpath -o bin/bench ./bench

# shellcheck source=docker/separate.sh
source docker/separate.sh
separate_servers bench
docker/servers.sh up redis kafka mysql
eval "$(docker/servers.sh env)"
bin/bench "$@"
