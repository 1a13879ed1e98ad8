# Sourced by native.sh: fetching the programs of the servers.
# shellcheck shell=bash

# One version of the plugin, so that its options mean the same everywhere.
maven_dependency_plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# need_packages PACKAGE...: install the Debian packages that are missing.
need_packages() {
    local package missing=()
    for package; do
        if ! dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
            missing+=("$package")
        fi
    done
    ((${#missing[@]} > 0)) || return 0
    say "installing packages: ${missing[*]}"
    install_packages "${missing[@]}" || {
        # The package lists may be missing or too old.
        as_root apt-get update -qq
        install_packages "${missing[@]}" || die "could not install ${missing[*]}"
    }
}

# RUNLEVEL=1 keeps the packages from starting servers of their own.
install_packages() {
    as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >/dev/null 2>&1
}

# need_program PROGRAM PACKAGE: the package, unless the program came some
# other way.
need_program() {
    if ! command -v "$1" >/dev/null; then
        need_packages "$2"
    fi
}

# Maven Central holds Kafka and a MySQL, which Debian doesn't.
need_maven() {
    need_program java default-jre-headless
    need_program mvn maven
}

# Maven's output is shown where it fails; else it has nothing to tell.
run_maven() {
    local output
    output=$(timeout 900 mvn --batch-mode --quiet --no-transfer-progress "$@" 2>&1) || {
        echo "$output" >&2
        die "Maven failed: $*"
    }
}

# keep_in_cache FROM NAME: only a complete folder gets its final name. The
# server's user must be able to read it.
keep_in_cache() {
    chmod -R a+rX "$1"
    mv "$1" "$FIRSTCOME_SERVERS_CACHE/$2"
    say "installed $2"
}

# check_readable FILE
check_readable() {
    "${as_server_user[@]}" test -r "$1" ||
        die "user nobody can't read $1; set FIRSTCOME_SERVERS_CACHE to a folder that everybody can read"
}
