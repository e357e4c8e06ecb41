# shellcheck shell=bash
# How connections end: in order, or with a reset, but never as if in order. Sourced by ./run.

half_close() {
    tunnel
    tcp 127.0.0.1 "$sink_forward" half-close 3000000
    expect_equal "3000000 $(pattern_sha256 3000000)" "${said#eof * }" "the answer after a half-close"
    await_line origin '^sink eof 3000000 '
    tcp 127.0.0.1 "$echo_forward" half-close 2000000
    [[ $said == "eof 2000000 "* ]] || fail "the echo ended with: $said"
}

reset_by_origin() {
    tunnel
    tcp 127.0.0.1 "$forward_port" end 'GET /abort/100000 HTTP/1.1\r\nHost: origin\r\n\r\n'
    [[ $said == reset* ]] || fail "a reset of the origin arrived as: $said"
}

reset_by_client() {
    tunnel
    tcp 127.0.0.1 "$sink_forward" reset 50000
    await_line origin '^sink (reset|eof) '
    [[ $line == "sink reset "* ]] || fail "a reset of the client arrived as: $line"
}

# refused_by_origin: a tunnel that cannot be opened is a reset too.
refused_by_origin() {
    tunnel
    free_ports 1
    start_endpoint other "${ports[0]}" "$nat_invite" -L "${ports[0]}:127.0.0.1:$refused_port"
    tcp 127.0.0.1 "${ports[0]}" end x
    [[ $said == reset* ]] || fail "a refused connection arrived as: $said"
    await_line other "refused.*127.0.0.1:$refused_port|127.0.0.1:$refused_port.*refused"
}

# stalled_download: a download that has begun and will not end; how it ends comes to $work/download.out.
stalled_download() {
    start download python3 "$tests/support/tcp_client.py" 127.0.0.1 "$forward_port" end \
        'GET /stall/100000 HTTP/1.1\r\nHost: origin\r\n\r\n'
    # The whole part that is sent has passed the gateway before anything happens.
    await 30 "the download begins" endpoint_delivers
    sleep 0.5
}

endpoint_delivers() {
    "$GODWIT" status --json --control "$XDG_RUNTIME_DIR/godwit.sock" | grep -q '"bytes_in":[1-9]'
}

expect_reset() {
    await_line download '^(reset|eof|silence) ' 100
    [[ $line == "reset "* ]] || fail "the download ended with: $line"
}

gateway_stops() {
    tunnel
    stalled_download
    # It drains up to a limit; a second signal ends it at once.
    kill -s TERM "${started[gateway]}"
    sleep 0.5
    stop gateway TERM
    expect_reset
}

gateway_killed() {
    tunnel
    stalled_download
    stop gateway KILL
    start_gateway "$work/gateway" "$gateway_port"
    expect_reset
    # And the local endpoint finds the new one.
    fetch 100000 "http://127.0.0.1:$forward_port/bytes/100000"
}

endpoint_stops() {
    tunnel
    stalled_download
    kill -s TERM "${started[endpoint]}"
    sleep 0.5
    stop endpoint TERM
    expect_reset
}

# A connection that comes while the gateway is away waits for it.
waits_for_gateway() {
    tunnel
    fetch 1000 "http://127.0.0.1:$forward_port/bytes/1000"
    stop gateway TERM
    start waiting curl --silent --show-error --max-time $((60 * slowness)) --output "$work/body" \
        "http://127.0.0.1:$forward_port/bytes/5000"
    sleep 2
    is_running waiting || fail "the connection was refused: $(last_line "$work/waiting.out")"
    start_gateway "$work/gateway" "$gateway_port"
    await 60 "an answer" test ! -d "/proc/${started[waiting]}"
    expect_equal "$(pattern_sha256 5000)" "$(sha256 "$work/body")" "SHA-256 of the answer"
}

# Without tunnels the connection ends by itself, says nothing until the next program comes, and nobody is warned of that.
falls_asleep() {
    tunnel
    fetch 1000 "http://127.0.0.1:$forward_port/bytes/1000"
    await 60 "the connection falls asleep" endpoint_sleeps
    local before
    before=$(grep -c 'connected' "$work/endpoint.out")
    # Longer than it would take to lose another one.
    sleep 35
    endpoint_sleeps || fail "the connection woke by itself: $("$GODWIT" status --control "$XDG_RUNTIME_DIR/godwit.sock")"
    expect_equal "$before" "$(grep -c 'connected' "$work/endpoint.out")" "connections"
    fetch 2000 "http://127.0.0.1:$forward_port/bytes/2000"
    ! grep -q 'lost' "$work/endpoint.out" || fail "$(grep -m 1 'lost' "$work/endpoint.out")"
}

endpoint_sleeps() {
    "$GODWIT" status --json --control "$XDG_RUNTIME_DIR/godwit.sock" | grep -q '"state":"asleep"'
}

# SIGTERM without tunnels: the end is clean and quick.
clean_stop() {
    local name
    tunnel
    fetch 1000 "http://127.0.0.1:$forward_port/bytes/1000"
    for name in endpoint gateway; do
        stop "$name" TERM
        expect_equal 0 "$stopped_with" "exit code of the $name"
    done
}

add_case 120 half_close "half-close in both directions"
add_case 120 reset_by_origin "a reset of the origin reaches the client"
add_case 120 reset_by_client "a reset of the client reaches the origin"
add_case 120 refused_by_origin "a refused connection is a reset, and named in the log"
add_case 180 gateway_stops "the gateway stops: reset, no end of file"
add_case 240 gateway_killed "the gateway is killed and started again: reset, no end of file"
add_case 180 endpoint_stops "the local endpoint stops: reset, no end of file"
add_case 180 waits_for_gateway "a connection waits while the gateway is away"
add_case 180 falls_asleep "without tunnels the connection falls asleep, and wakes for the next program"
add_case 120 clean_stop "SIGTERM ends both with exit code 0"
