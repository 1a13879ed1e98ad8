# Sourced by native.sh: starting, watching and ending server processes.
# FOLDER/NAME.process holds the process ID and start time of server NAME,
# FOLDER/NAME.log its output, FOLDER/NAME its data.
# shellcheck shell=bash

# Databases refuse to run as root, and no test server needs its rights.
as_server_user=()
if ((EUID == 0)); then
    as_server_user=(setpriv --reuid=nobody "--regid=$(id -g nobody)" --clear-groups --)
fi

# lock_server NAME: from here to unlock_server no other call of this script
# starts or ends that server.
lock_server() {
    mkdir -p "$FIRSTCOME_SERVERS_FOLDER"
    exec 9>"$FIRSTCOME_SERVERS_FOLDER/$1.lock"
    flock --wait 180 9 || die "$1: another call has been working on it for 3 minutes"
}

unlock_server() { exec 9>&-; }

# process_status PID: print the state letter and the start time of a process;
# fails when it has ended, also when nobody has collected its exit status yet.
# Until the last of its threads is gone, it may still hold its port and files.
process_status() {
    local text fields
    # Not $(<file): a process that ends meanwhile is a read error, and at that
    # bash ends the script.
    IFS= read -r text 2>/dev/null <"/proc/$1/stat" || return 1
    # The program's name, in parentheses, may hold spaces: cut it off.
    read -ra fields <<<"${text##*) }"
    if [[ ${fields[0]} == [ZX] ]] && ((fields[17] <= 1)); then
        return 1
    fi
    echo "${fields[0]} ${fields[19]}"
}

# running_process NAME: print the process ID of a server, paused or not; fails
# when it doesn't run. The start time is compared because after a reboot the
# same ID may belong to another program.
running_process() {
    local id recorded_start state start
    read -r id recorded_start 2>/dev/null <"$FIRSTCOME_SERVERS_FOLDER/$1.process" || return 1
    read -r state start < <(process_status "$id") || return 1
    [[ $start == "$recorded_start" ]] || return 1
    echo "$id"
}

# server_state NAME: print running, paused or stopped.
server_state() {
    local id state
    if ! id=$(running_process "$1") || ! state=$(process_status "$id"); then
        echo stopped
    elif [[ $state == T* ]]; then
        echo paused
    else
        echo running
    fi
}

# data_folder NAME: print where the server's data is, links resolved.
data_folder() { realpath --canonicalize-missing "$FIRSTCOME_SERVERS_FOLDER/$1"; }

# make_data_folder NAME: make sure the folder is there and that the server's
# user can write to it. Below a closed folder such as /root it cannot: then
# the folder is a link to one below /tmp.
make_data_folder() {
    local link=$FIRSTCOME_SERVERS_FOLDER/$1 folder
    if [[ -L $link && ! -d $link ]]; then
        say "$1: $(readlink "$link") is gone, and its data with it"
        rm "$link"
    fi
    if [[ ! -d $link ]]; then
        mkdir -p "$link"
        give_to_server_user "$link"
    fi
    if ! "${as_server_user[@]}" test -w "$(data_folder "$1")"; then
        rmdir "$link" || die "$1: its user can't write to $link, made by another user; delete it"
        folder=$(mktemp -d "/tmp/firstcome-$1.XXXXXX")
        give_to_server_user "$folder"
        ln -s "$folder" "$link"
    fi
}

give_to_server_user() {
    if ((EUID == 0)); then
        chown "nobody:$(id -g nobody)" "$1"
    fi
}

# require_free_port PORT VARIABLE: without this, another program's answer
# could be taken for the server's own.
require_free_port() {
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
        die "port $1 is taken by another program; set $2 to a free one"
    fi
}

# shifted_clock NAME: set clock to the variables with which the server takes its
# time from the file NAME in FIRSTCOME_SERVERS_CLOCKS (+90 is 90 s ahead), if
# there is one. It may change while the server runs, whose waits stay as long as
# they are. The C library's memory allocator is put ahead of Redis's own, which
# would ask for the time before libfaketime is ready.
shifted_clock() {
    local file=${FIRSTCOME_SERVERS_CLOCKS:-}/$1 libraries=/usr/lib/$(uname -m)-linux-gnu/faketime
    clock=()
    if [[ -n ${FIRSTCOME_SERVERS_CLOCKS:-} && -e $file ]]; then
        clock=("LD_PRELOAD=$libraries/libfaketimeMT.so.1:libc.so.6" "FAKETIME_TIMESTAMP_FILE=$file"
            FAKETIME_CACHE_DURATION=1 FAKETIME_DONT_FAKE_MONOTONIC=1)
    fi
}

# launch NAME COMMAND...: start a server in a session of its own, so that it
# outlives this script and the terminal, without the script's locks.
launch() {
    local name=$1 log=$FIRSTCOME_SERVERS_FOLDER/$1.log id state start clock
    shift
    if [[ -e $log ]]; then
        mv "$log" "$log.previous"
    fi
    shifted_clock "$name"
    set -- "${as_server_user[@]}" env "${clock[@]}" "$@"
    (cd "$(data_folder "$name")" && exec setsid "$@") </dev/null >"$log" 2>&1 9>&- &
    id=$!
    # Else bash tells of the server's end, when it comes.
    disown "$id"
    read -r state start < <(process_status "$id") || fail_start "$name" "ended at once"
    echo "$id $start" >"$FIRSTCOME_SERVERS_FOLDER/$name.process"
}

# wait_until_ready NAME SECONDS PROBE...: PROBE is a program that succeeds
# once the server serves. SECONDS begin anew while the server's log grows, up to
# five times as many in all: a machine with much to do starts Kafka in minutes.
wait_until_ready() {
    local name=$1 seconds=$2 deadline=$((SECONDS + $2)) last=$((SECONDS + 5 * $2)) told=0 now
    shift 2
    until timeout 5 "$@" >/dev/null 2>&1; do
        running_process "$name" >/dev/null || fail_start "$name" "ended while starting"
        now=$(wc -c <"$FIRSTCOME_SERVERS_FOLDER/$name.log")
        if ((now != told)); then
            told=$now deadline=$((SECONDS + seconds))
        fi
        if ((SECONDS >= deadline || SECONDS >= last)); then
            kill_process "$name"
            fail_start "$name" "not ready, and silent for $seconds s or not ready after $((5 * seconds)) s"
        fi
        sleep 0.1
    done
    say "$name: ready (process $(running_process "$name"))"
}

fail_start() {
    say "$1: $2; the end of its log:"
    tail -n 40 "$FIRSTCOME_SERVERS_FOLDER/$1.log" >&2
    exit 1
}

# wait_for_end ID SECONDS
wait_for_end() {
    local deadline=$((SECONDS + $2))
    while process_status "$1" >/dev/null; do
        ((SECONDS < deadline)) || return 1
        sleep 0.05
    done
}

# stop_process NAME: an orderly stop; a paused process has to go on to see the
# signal.
stop_process() {
    local id
    id=$(running_process "$1") || return 0
    kill -TERM "$id"
    kill -CONT "$id"
    if wait_for_end "$id" 30; then
        say "$1: stopped"
    else
        say "$1: still running 30 s after it was asked to stop"
        kill_process "$1"
    fi
}

kill_process() {
    local id
    id=$(running_process "$1") || return 0
    kill -KILL "$id"
    wait_for_end "$id" 10 || die "$1: process $id doesn't end"
    say "$1: killed"
}

# continue_process NAME: end a pause, if there is one.
continue_process() {
    if [[ $(server_state "$1") == paused ]]; then
        signal_running "$1" CONT
    fi
}

# signal_running NAME SIGNAL
signal_running() {
    local id
    id=$(running_process "$1") || die "$1: not running"
    kill "-$2" "$id"
}
