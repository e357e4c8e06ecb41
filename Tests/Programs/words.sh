# shellcheck shell=bash
# What others can read: tshark in the packets, people in the errors and the status. Sourced by ./run.

# tshark -------------------------------------------------------------------------------------------------------------

dissect() {
    tshark -r "$work/session.pcap" -o "tls.keylog_file:$work/keys" -d "udp.port==$gateway_port,quic" "$@" \
        2>>"$work/tshark.out"
}

tshark_dissects() {
    local bad
    needs tshark
    export SSLKEYLOGFILE=$work/keys
    nat_arguments=(--largest 1472 --capture "$work/session.pcap")
    tunnel
    fetch 500000 "http://127.0.0.1:$forward_port/bytes/500000"
    put "$work/body" "http://127.0.0.1:$forward_port/put"
    kill -s USR1 "${started[nat]}"
    fetch 100000 "http://localhost:$http_port/bytes/100000" --proxy "socks5h://127.0.0.1:$socks_port"
    stop endpoint TERM
    [[ -s $work/keys ]] || fail "no secrets in SSLKEYLOGFILE"
    bad=$(dissect -Y '_ws.malformed || quic.decryption_failed || _ws.expert.severity == "Error"' | head -n 3)
    [[ -z $bad ]] || fail "tshark finds fault with: ${bad//$'\n'/ | }"
    (($(dissect -Y 'quic.stream_data' | wc -l) > 100)) || fail "tshark saw hardly any stream data"
    (($(dissect -Y 'http3' | wc -l) > 3)) || fail "tshark saw no HTTP/3"
    echo "$(dissect | wc -l) packets" >"$work/remark"
}

# Users and what is said ---------------------------------------------------------------------------------------------

users_come_and_go() {
    local second
    tunnel
    "$GODWIT" user add second --config "$work/gateway/gateway.toml" >"$work/user.out" 2>&1 ||
        fail "user add: $(last_line "$work/user.out")"
    second=$(grep -o 'godwit://[^[:space:]]*' "$work/user.out") || fail "user add printed no invite"
    "$GODWIT" user list --config "$work/gateway/gateway.toml" >"$work/user.out" 2>&1 || fail "user list"
    grep -q second "$work/user.out" || fail "user list does not know the new user"
    line=${second#godwit://}
    ! grep -q -e "${line%%@*}" "$work/gateway/users.toml" || fail "a token lies in users.toml"
    # The running gateway lets the new user in, soon.
    await 10 "the new user comes in" pipe_get "$second"
    "$GODWIT" user remove second --config "$work/gateway/gateway.toml" >"$work/user.out" 2>&1 ||
        fail "user remove: $(last_line "$work/user.out")"
    await 10 "the old user stays out" not pipe_get "$second"
    # Nobody else noticed.
    fetch 1000 "http://127.0.0.1:$forward_port/bytes/1000"
}

not() {
    ! "$@"
}

# pipe_get INVITE: a request through a `godwit pipe` of its own.
pipe_get() {
    printf 'GET /bytes/100 HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n' |
        XDG_RUNTIME_DIR=$work/none GODWIT_INVITE=$1 timeout 20 "$GODWIT" pipe 127.0.0.1 "$http_port" | grep -q '200 OK'
}

status_says() {
    tunnel
    fetch 1000 "http://127.0.0.1:$forward_port/bytes/1000"
    "$GODWIT" status --json >"$work/status.out" 2>&1 || fail "status: $(last_line "$work/status.out")"
    python3 -m json.tool "$work/status.out" >"$work/json.out" 2>&1 || fail "no JSON: $(last_line "$work/json.out")"
    "$GODWIT" status >"$work/status.out" 2>&1 || fail "status: $(last_line "$work/status.out")"
    grep -q "127.0.0.1:$nat_port\|localhost:$nat_port" "$work/status.out" || fail "status does not name the gateway"
    ! grep -q -- "$token" "$work"/*.out.log "$work/status.out" "$work/endpoint.out" "$work/gateway.out" 2>/dev/null ||
        fail "a token is in the open"
}

# expect_error CODE PATTERN COMMAND...: the exit code, and exactly one line, on standard error.
expect_error() {
    local code=$1 pattern=$2 outcome=0
    shift 2
    timeout $((60 * slowness)) "$@" </dev/null >"$work/stdout.out" 2>"$work/error.out" || outcome=$?
    ((outcome != 124)) || fail "\`${*##*/}\` did not end"
    local words="${*:2}"
    words=${words//$work\//}
    expect_equal "$code" "$outcome" "exit code of \`${words:0:70}\` ($(last_line "$work/error.out"))"
    expect_equal 1 "$(wc -l <"$work/error.out")" "lines of \`${words:0:70}\` ($(head -n 1 "$work/error.out"))"
    grep -q -i -E -- "$pattern" "$work/error.out" || fail "no \"$pattern\" in: $(cat "$work/error.out")"
}

# Without a running local endpoint in reach.
alone() {
    export XDG_RUNTIME_DIR=$work/none XDG_CONFIG_HOME=$work/none HOME=$work/none
    mkdir -p "$XDG_RUNTIME_DIR"
}

configuration_errors() {
    local config=$work/gateway/gateway.toml
    alone
    free_ports 1
    make_gateway "$work/gateway" "${ports[0]}"
    "$GODWIT" gateway --config "$config" --check || fail "--check of a good configuration"
    { echo "colour = 7" && cat "$config"; } >"$work/gateway/unknown.toml"
    expect_error 2 "unknown.toml.*1.*colour" "$GODWIT" gateway --config "$work/gateway/unknown.toml" --check
    expect_error 2 "unknown.toml.*1.*colour" "$GODWIT" gateway --config "$work/gateway/unknown.toml"
    sed 's/^workers.*/workers = "many"/' "$config" >"$work/gateway/type.toml"
    line=$(grep -n '^workers' "$config" | cut -d : -f 1)
    expect_error 2 "type.toml.*$line.*workers" "$GODWIT" gateway --config "$work/gateway/type.toml" --check
    echo 'listen = [' >"$work/gateway/syntax.toml"
    expect_error 2 "syntax.toml" "$GODWIT" gateway --config "$work/gateway/syntax.toml"
    expect_error 2 "absent.toml" "$GODWIT" gateway --config "$work/absent.toml"
    sed 's/^key .*/key = "absent.key"/' "$config" >"$work/gateway/nokey.toml"
    expect_error 2 "absent.key" "$GODWIT" gateway --config "$work/gateway/nokey.toml"
    expect_error 1 "gateway.toml|exists|--force" "$GODWIT" init --dir "$work/gateway" --name localhost
    echo 'socket = "x"' >"$work/local.toml"
    expect_error 2 "local.toml.*1.*socket" "$GODWIT" connect --config "$work/local.toml"
}

invite_errors() {
    alone
    expect_error 2 "invite" "$GODWIT" connect "http://example.org" -D 0
    expect_error 2 "invite" "$GODWIT" pipe 127.0.0.1 80 "godwit://short@localhost:1"
    expect_error 2 "invite|gateway" "$GODWIT" pipe 127.0.0.1 80
}

# What a user mistypes: each is answered with what to write.
usage_errors() {
    alone
    expect_error 2 "frobnicate" "$GODWIT" frobnicate
    expect_error 2 "did you mean '--config'" "$GODWIT" gateway --confg x
    expect_error 2 "debug.*critical" "$GODWIT" gateway --log-level loud
    expect_error 2 "1 to 65535" "$GODWIT" pipe localhost ssh
    expect_error 2 "xn--" "$GODWIT" pipe bücher.example 80
    expect_error 2 "BIND:.PORT:HOST:HOSTPORT" "$GODWIT" connect -L 22
    expect_error 2 "2001:db8" "$GODWIT" paths use eth0
    expect_error 2 "file" "$GODWIT" gateway --config "$work" --check
    expect_error 1 "godwit connect" "$GODWIT" status
}

port_errors() {
    alone
    start_origin
    free_ports 2
    make_gateway "$work/gateway" "${ports[0]}"
    start_gateway "$work/gateway" "${ports[0]}"
    sed -e "s|gateway.sock|other.sock|" "$work/gateway/gateway.toml" >"$work/gateway/second.toml"
    expect_error 1 "127.0.0.1:${ports[0]}" "$GODWIT" gateway --config "$work/gateway/second.toml"
    expect_error 1 "127.0.0.1:$http_port" "$GODWIT" connect "$invite" -L "$http_port:127.0.0.1:1"
}

# `pipe` says it by its exit code; `connect` goes on trying.
authentication_errors() {
    local stranger wrong
    alone
    start_origin
    free_ports 1
    make_gateway "$work/gateway" "${ports[0]}"
    start_gateway "$work/gateway" "${ports[0]}"
    stranger=$(head -c 32 /dev/urandom | base64url)
    expect_error 3 "invite|token" "$GODWIT" pipe 127.0.0.1 "$http_port" "${invite/$token/$stranger}"
    wrong=${invite%%pin=*}pin=sha256/$(head -c 32 /dev/urandom | base64url)
    expect_error 3 "pin|key|certificate" "$GODWIT" pipe 127.0.0.1 "$http_port" "$wrong"
}

reachability_errors() {
    alone
    start_origin
    free_ports 3
    make_gateway "$work/gateway" "${ports[0]}"
    start_gateway "$work/gateway" "${ports[0]}"
    expect_error 1 "refused.*127.0.0.1:$refused_port" "$GODWIT" pipe 127.0.0.1 "$refused_port" "$invite"
    expect_error 1 "nowhere.invalid" "$GODWIT" pipe nowhere.invalid 80 "$invite"
    expect_error 1 "127.0.0.9:80" "$GODWIT" pipe 127.0.0.9 80 "$invite"
    expect_error 4 "127.0.0.1:${ports[1]}|localhost:${ports[1]}" \
        "$GODWIT" pipe 127.0.0.1 80 "${invite/:${ports[0]}/:${ports[1]}}"
    expect_error 4 "nowhere.invalid" "$GODWIT" pipe 127.0.0.1 80 "${invite/@localhost:/@nowhere.invalid:}"
    # A network that swallows UDP looks like this port.
    start swallowing python3 -c 'import socket, sys, time
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
port.bind(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
time.sleep(600)' "${ports[2]}"
    await_line swallowing '^ready$'
    expect_error 4 "127.0.0.1:${ports[2]}.*no answer.*UDP" \
        "$GODWIT" pipe 127.0.0.1 80 "${invite/@localhost:${ports[0]}/@127.0.0.1:${ports[2]}}"
}

# What encrypts packets --------------------------------------------------------------------------------------------

# in_use BACKEND: whether `godwit version` says so.
in_use() {
    [[ $("$GODWIT" version | sed -n 's/^aead \([a-z-]*\): .*, in use$/\1/p') == "$1" ]]
}

backends_are_told() {
    local backend backends
    in_use openssl || in_use multi-buffer || fail "godwit version names no backend in use: $("$GODWIT" version)"
    read -r -a backends <<<"$("$GODWIT" version | sed -n 's/^aead \([a-z-]*\): \(OpenSSL\|Intel\).*/\1/p' | tr '\n' ' ')"
    for backend in "${backends[@]}"; do
        export GODWIT_AEAD=$backend
        in_use "$backend" || fail "GODWIT_AEAD=$backend does not choose it: $("$GODWIT" version)"
    done
    GODWIT_AEAD=rot13 "$GODWIT" version | grep -q '^warning: GODWIT_AEAD=rot13 is none of' || fail "no warning of rot13"
    # A gateway with one and a local endpoint with the other understand each other.
    start_origin
    free_ports 2
    export GODWIT_AEAD=openssl
    make_gateway "$work/gateway" "${ports[0]}"
    start_gateway "$work/gateway" "${ports[0]}"
    export GODWIT_AEAD=auto
    start_endpoint endpoint "${ports[1]}" "$invite" -L "${ports[1]}:127.0.0.1:$http_port"
    await_port tcp "${ports[1]}" endpoint
    fetch 3000000 "http://127.0.0.1:${ports[1]}/bytes/3000000"
    echo "${backends[*]}" >"$work/remark"
}

add_case 180 tshark_dissects "tshark dissects a session with SSLKEYLOGFILE"
add_case 180 users_come_and_go "users come and go while the gateway runs"
add_case 120 backends_are_told "OpenSSL and the multi-buffer library are told apart, and understand each other"
add_case 120 status_says "status, for people and as JSON"
add_case 180 configuration_errors "errors: configuration"
add_case 120 invite_errors "errors: invites"
add_case 120 usage_errors "errors: what is mistyped"
add_case 120 port_errors "errors: ports in use"
add_case 180 authentication_errors "errors: wrong token, wrong pin"
add_case 240 reachability_errors "errors: origin and gateway that cannot be reached"
