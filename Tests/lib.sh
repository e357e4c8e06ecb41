# shellcheck shell=bash
# Variables that only the programs use are assigned here.
# shellcheck disable=SC2034
# What the test programs in Tests/*/run share: cases, processes, ports. Sourced by them.
#
# A program declares its cases with `add_case SECONDS 'FUNCTION [ARGUMENT]' NAME...` and ends with `run_cases "$@"`.
# Each case is a process of its own under `timeout`, with a directory `$work` that is its own; what it starts with
# `start` ends with it. Printed is one line a case, `ok NAME`, `skip NAME: why` or `not ok NAME: why` (then the end of
# its output, behind #), and `N passed, N failed, N skipped` at the end. Exit code: 0 if nothing failed.
#
#     run [PATTERN...]     only the cases whose names contain one of the patterns
#     run --list           the names of the cases
#     KEEP=DIR run ...     leaves everything the cases wrote in DIR
#     STRICT=1 run ...     a case that would be skipped fails: for machines that have all it takes
#     REPEAT=5 run ...     each case so often, and a table of what they measured: median and worst beside the goal. A median
#                          beyond its goal is a failure then, whatever a single run may miss.
#
# A program whose cases measure time on a machine that does other things too sets `attempts`: a case that ends by `too_slow` is run
# again after a pause, so often in all, and its line says so. What ends by `fail` fails. One whose cases measure none, or as tests allow
# for what runs beside them, sets `jobs`: so many are run at once, and their lines come in the order in which they end.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tests=$root/Tests
export PYTHONPATH=$tests/support PYTHONDONTWRITEBYTECODE=1
# Nothing here is meant for the proxy of the machine.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
# Timeouts are multiplied by this, for slow machines.
slowness=${SLOWNESS:-1}
# How often a case is run until it is not too slow.
attempts=1
# How many cases are run at once.
jobs=1
# How often each case is run, passed or not.
repeat=${REPEAT:-1}
# Exit codes of a case that cannot run here, and of one that missed nothing but a time or a rate.
readonly skipped=77 missed_time=76

case_names=()
declare -A case_limit case_function

# add_case SECONDS 'FUNCTION [ARGUMENT]' NAME...
add_case() {
    local limit=$1 function=$2
    shift 2
    local name="$*"
    case_names+=("$name")
    case_limit[$name]=$((limit * slowness))
    case_function[$name]=$function
}

# Ends the case: it failed.
fail() {
    echo "$*" >"$work/reason"
    echo "FAILED: $*"
    exit 1
}

# Ends the case: a time or a rate was not reached.
too_slow() {
    echo "$*" >"$work/reason"
    echo "FAILED: $*"
    exit "$missed_time"
}

# Ends the case: it cannot run here.
skip() {
    echo "$*" >"$work/reason"
    exit "$skipped"
}

# measured WHAT VALUE UNIT most|least GOAL [BEYOND]: a figure of the case, a whole number, for its remark and for the table of
# repeated runs. The case ends by `too_slow` if the figure misses the goal by more than TOLERANCE allows: that times what the goal
# has above BEYOND, or half of a goal that is the least.
measured() {
    local what=$1 value=$2 unit=$3 side=$4 goal=$5 beyond=${6:-0} bound
    [[ $value =~ ^[0-9]+$ ]] || fail "no figure for $what: $value"
    printf '%s\t%s\t%s\t%s\t%s\n' "$what" "$value" "$unit" "$side" "$goal" >>"$work/figures"
    echo "$what $value $unit, goal $goal $unit" >>"$work/remark"
    if [[ $side == most ]]; then
        bound=$((beyond + (goal - beyond) * TOLERANCE))
        ((value <= bound)) || too_slow "$what $value $unit, the goal is $goal $unit"
    else
        bound=$((TOLERANCE > 1 ? goal / 2 : goal))
        ((value >= bound)) || too_slow "$what $value $unit, the goal is $goal $unit"
    fi
}

# remarks TEXT: more to be seen behind the name of the case.
remarks() {
    echo "$*" >>"$work/remark"
}

# needs PROGRAM...: skips the case unless all of them are there.
needs() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

# Processes ----------------------------------------------------------------------------------------------------------

declare -A started

# start NAME PROGRAM...: in the background; its output goes to $work/NAME.out. A function would be a shell around the
# program, and ending that would leave the program behind.
start() {
    local name=$1
    shift
    : >"$work/$name.out"
    "$@" </dev/null >>"$work/$name.out" 2>&1 &
    started[$name]=$!
}

# is_running NAME
is_running() {
    [[ -n ${started[$1]:-} ]] && kill -0 "${started[$1]}" 2>/dev/null
}

# worker NAME: the process that works below a started keeper; the started one itself where it works alone.
worker() {
    local child
    child=$(pgrep -P "${started[$1]}" | head -n 1 || true)
    echo "${child:-${started[$1]}}"
}

# stop NAME [SIGNAL]: ends it and waits for it; its exit code is in `stopped_with`.
stop() {
    local name=$1 signal=${2:-TERM} deadline=$((SECONDS + 15 * slowness))
    local pid=${started[$name]:-}
    [[ -n $pid ]] || return 0
    kill -s "$signal" "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.05; done
    if kill -0 "$pid" 2>/dev/null; then
        echo "$name did not end on $signal within $((15 * slowness)) s"
        kill -s KILL "$pid" 2>/dev/null || true
    fi
    stopped_with=0
    wait "$pid" 2>/dev/null || stopped_with=$?
    unset "started[$name]"
}

stop_all() {
    local pid name
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for name in "${!started[@]}"; do stop "$name" TERM; done
}

# await SECONDS WHAT COMMAND...: until the command succeeds; fails the case with "WHAT within SECONDS s" otherwise.
await() {
    local limit=$(($1 * slowness)) what=$2
    shift 2
    local deadline=$((SECONDS + limit))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "$what within $limit s"
        sleep 0.05
    done
}

# await_line NAME PATTERN [SECONDS]: until the output of a started process has a line of that form; sets `line`.
await_line() {
    local name=$1 pattern=$2 limit=$((${3:-20} * slowness))
    local deadline=$((SECONDS + limit))
    until line=$(grep -m 1 -E -- "$pattern" "$work/$name.out"); do
        is_running "$name" || fail "$name ended early: $(last_line "$work/$name.out")"
        ((SECONDS < deadline)) || fail "$name did not print \"$pattern\" within $limit s"
        sleep 0.05
    done
}

# last_line FILE
last_line() {
    grep -v '^[[:space:]]*$' "$1" 2>/dev/null | tail -n 1 || true
}

# Ports --------------------------------------------------------------------------------------------------------------

# free_ports COUNT: sets `ports` to different ports that are free now, for TCP and UDP both, and that the system gives to nobody
# who asks for any port.
free_ports() {
    local text
    text=$(python3 "$tests/support/free_ports.py" "$1")
    read -r -a ports <<<"$text"
}

# is_bound udp|tcp PORT: whether somebody listens there.
is_bound() {
    local state=0A # TCP_LISTEN
    [[ $1 == tcp ]] || state=07
    grep -q -i -E "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$2") [0-9A-F]+:0000 $state " "/proc/net/$1" "/proc/net/${1}6"
}

# await_port udp|tcp PORT NAME: until the started process listens there.
await_port() {
    local deadline=$((SECONDS + 20 * slowness))
    until is_bound "$1" "$2"; do
        is_running "$3" || fail "$3 ended early: $(last_line "$work/$3.out")"
        ((SECONDS < deadline)) || fail "$3 does not listen on $1 port $2"
        sleep 0.05
    done
}

# Values -------------------------------------------------------------------------------------------------------------

# field KEY LINE: the value of KEY=VALUE in a line.
field() {
    local word
    for word in $2; do
        if [[ $word == "$1="* ]]; then
            echo "${word#*=}"
            return
        fi
    done
    echo "(no $1)"
}

# expect_fields LINE KEY=VALUE...: VALUE is a shell pattern, or >N for a number above N.
expect_fields() {
    local text=$1 pair value
    shift
    for pair in "$@"; do
        value=$(field "${pair%%=*}" "$text")
        if [[ ${pair#*=} == '>'* ]]; then
            [[ $value =~ ^[0-9]+$ ]] || fail "wanted $pair in: $text"
            ((value > ${pair#*=>})) || fail "wanted $pair in: $text"
        else
            # The right side is a pattern on purpose.
            # shellcheck disable=SC2053
            [[ $value == ${pair#*=} ]] || fail "wanted $pair in: $text"
        fi
    done
}

# expect_equal WANTED ACTUAL WHAT...
expect_equal() {
    [[ $1 == "$2" ]] || fail "${*:3}: wanted $1, got $2"
}

# sha256 FILE
sha256() {
    sha256sum "$1" | cut -d ' ' -f 1
}

# pattern_sha256 COUNT [SEED]: of what the HTTP origin sends for /bytes/COUNT/SEED.
pattern_sha256() {
    python3 -c 'import hashlib, sys
from pattern import pattern
count, seed = int(sys.argv[1]), int(sys.argv[2])
digest = hashlib.sha256()
for offset in range(0, count, 1 << 20):
    digest.update(pattern(seed + offset, min(1 << 20, count - offset)))
print(digest.hexdigest())' "$1" "${2:-0}"
}

# Godwit -------------------------------------------------------------------------------------------------------------

# make_certificate DIR: key.pem and cert.pem for localhost and 127.0.0.1 in it.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1/key.pem" -out "$1/cert.pem" \
        -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
}

base64url() {
    openssl base64 -A | tr '+/' '-_' | tr -d '='
}

# pin_of CERTIFICATE: as an invite has it.
pin_of() {
    openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary | base64url
}

# make_gateway DIR PORT [ARGUMENT...]: what `godwit init` makes, with loopback allowed; sets `invite` and `token`.
make_gateway() {
    local directory=$1 port=$2
    shift 2
    "$GODWIT" init --dir "$directory" --name localhost --listen "127.0.0.1:$port" --user tester "$@" \
        >"$work/init.out" 2>&1 || fail "godwit init: $(last_line "$work/init.out")"
    invite=$(grep -o -m 1 'godwit://[^[:space:]]*' "$work/init.out") || fail "godwit init printed no invite"
    token=${invite#godwit://}
    token=${token%%@*}
    sed -i -e "s|^users .*|&\\nworkers = 2\\ncontrol = \"$directory/gateway.sock\"|" \
        -e 's|^allow .*|allow = ["*:*", "127.0.0.0/8:*"]|' -e 's|^deny .*|deny = ["127.0.0.9/32:*"]|' \
        "$directory/gateway.toml"
}

# start_gateway DIR PORT [NAME]
start_gateway() {
    local name=${3:-gateway}
    start "$name" "$GODWIT" gateway --config "$1/gateway.toml"
    await_port udp "$2" "$name"
}

# start_endpoint NAME TCP_PORT ARGUMENT...: `godwit connect`; the port is one that it will listen on.
start_endpoint() {
    local name=$1 port=$2
    shift 2
    start "$name" "$GODWIT" connect "$@"
    await_port tcp "$port" "$name"
}

# start_origin: sets http_port, echo_port, sink_port and refused_port. /file is `origin_file`, if that is set.
start_origin() {
    start origin python3 "$tests/support/origin.py" ${origin_file:+--file "$origin_file"}
    await_line origin '^ready$'
    http_port=$(sed -n 's/^http //p' "$work/origin.out")
    echo_port=$(sed -n 's/^echo //p' "$work/origin.out")
    sink_port=$(sed -n 's/^sink //p' "$work/origin.out")
    refused_port=$(sed -n 's/^refused //p' "$work/origin.out")
}

# start_nat SERVER_PORT [ARGUMENT...]: a translator in front of the server; sets `nat_port`.
start_nat() {
    local port=$1
    shift
    start nat python3 "$tests/support/udp_nat.py" --to "127.0.0.1:$port" "$@"
    await_line nat '^listening '
    nat_port=${line##*:}
}

# Running the cases --------------------------------------------------------------------------------------------------

# What ended a case that did not end by `fail`.
note_failure() {
    [[ -s $work/reason ]] || echo "\`$1\` failed at $2:$3" >"$work/reason"
}

run_one() {
    local name=$1
    work=$CASE_WORK
    mkdir -p "$work/run"
    # The default place of control sockets: each case has its own.
    export XDG_RUNTIME_DIR=$work/run
    # bash itself has something to say about processes that end meanwhile.
    trap 'stop_all 2>/dev/null' EXIT
    set -o errtrace
    trap 'note_failure "$BASH_COMMAND" "${BASH_SOURCE[0]##*/}" "$LINENO"' ERR
    trap 'exit 143' TERM INT
    # Function and argument are words without blanks.
    ${case_function[$name]}
}

matches() {
    local name=$1 pattern
    shift
    (($# == 0)) && return 0
    for pattern in "$@"; do [[ $name == *"$pattern"* ]] && return 0; done
    return 1
}

report_output() {
    local file
    for file in "$@"; do
        [[ -s $file ]] || continue
        echo "# $(basename "$file"):"
        tail -n 12 "$file" | cut -c 1-240 | sed 's/^/#   /'
    done
}

# run_case NAME DIR: one attempt; sets `code`, and `reason` when it failed.
run_case() {
    export CASE_WORK=$2
    mkdir -p "$CASE_WORK"
    code=0
    timeout --kill-after=20 "${case_limit[$1]}" "$0" --case "$1" >"$CASE_WORK/case.log" 2>&1 || code=$?
    reason=$(head -n 1 "$CASE_WORK/reason" 2>/dev/null || true)
    ((code != 124 && code != 137)) || reason="not finished within ${case_limit[$1]} s"
    [[ -n $reason ]] || reason=$(last_line "$CASE_WORK/case.log")
    reason=${reason:-exit code $code}
}

# judge_case NAME DIR: with its attempts; prints what came of it, and returns 0, 1 or `skipped`.
judge_case() {
    local name=$1 code reason attempt again=
    run_case "$name" "$2"
    for ((attempt = 2; attempt <= attempts && code == missed_time; attempt++)); do
        echo "# once more, $name: $reason"
        again=", at attempt $attempt: $reason"
        # What else the machine does is over by then, perhaps.
        sleep "$((attempt * attempt))"
        run_case "$name" "$2-$attempt"
    done
    if ((code == skipped)) && [[ -z ${STRICT:-} ]]; then
        echo "skip $name: $reason"
        return "$skipped"
    elif ((code == 0)); then
        echo "ok $name$(remark "$CASE_WORK")$again"
    else
        echo "not ok $name: $reason"
        report_output "$CASE_WORK"/*.log "$CASE_WORK"/*.out
        return 1
    fi
}

# await_case: until one of those that run has ended; prints its lines and counts it.
await_case() {
    local pid='' code=0 number
    wait -n -p pid "${!running[@]}" || code=$?
    number=${running[$pid]}
    unset "running[$pid]"
    cat "$base/$number.lines"
    keep_figures "$number"
    case $code in
        0) passed=$((passed + 1)) ;;
        "$skipped") missed=$((missed + 1)) ;;
        *) failed=$((failed + 1)) ;;
    esac
    [[ -n ${KEEP:-} ]] || rm -rf "${base:?}/$number" "$base/$number"-* "$base/$number.lines" "$base/$number.name"
}

run_cases() {
    if [[ ${1:-} == --case ]]; then
        run_one "$2"
        return
    fi
    if [[ ${1:-} == --list ]]; then
        printf '%s\n' "${case_names[@]}"
        return
    fi
    local passed=0 failed=0 missed=0 name number=0 round
    # The number of a case that runs, by its process.
    declare -A running=()
    base=${KEEP:-$(mktemp -d "${TMPDIR:-/tmp}/godwit-tests.XXXXXX")}
    mkdir -p "$base"
    [[ -n ${KEEP:-} ]] || trap 'rm -rf "$base"' EXIT
    prepare "$base"
    # A second attempt would leave out what was slow.
    ((repeat == 1)) || attempts=1
    for name in "${case_names[@]}"; do
        matches "$name" "$@" || continue
        for ((round = 1; round <= repeat; round++)); do
            ((${#running[@]} < jobs)) || await_case
            number=$((number + 1))
            echo "$name" >"$base/$number.name"
            # Cases that run at once take their ports from different places.
            CASE_SLOT=$((number % (jobs * 4))) judge_case "$name" "$base/$number" >"$base/$number.lines" &
            running[$!]=$number
        done
    done
    while ((${#running[@]} > 0)); do await_case; done
    local code=0
    if ((repeat > 1)); then python3 "$tests/support/medians.py" "$base/figures" || code=1; fi
    echo "$passed passed, $failed failed, $missed skipped"
    ((failed == 0 && code == 0))
}

# keep_figures NUMBER: what a case has measured, with its name.
keep_figures() {
    [[ ! -s $base/$1/figures ]] || sed "s/^/$(cat "$base/$1.name")\t/" "$base/$1/figures" >>"$base/figures"
}

# What a case wants to be seen behind its name: the lines of the file `remark`.
remark() {
    [[ ! -s $1/remark ]] || echo " ($(paste -s -d ';' "$1/remark" | sed 's/;/; /g'))"
}
