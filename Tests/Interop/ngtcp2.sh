# shellcheck shell=bash
# ngtcp2 with our gateway and our client. aioquic has no HelloRetryRequest: these have. Sourced by ./run.

# ngtcp2_client WANTED_STATUS ARGUMENT...: `GET /` of the gateway on `port`; its words are in $work/ngtcp2.out.
ngtcp2_client() {
    local status=$1
    shift
    timeout $((30 * slowness)) gtlsclient --exit-on-all-streams-close --no-quic-dump --no-http-dump --sni localhost \
        --handshake-timeout 20s "$@" 127.0.0.1 "$port" https://localhost/ >"$work/ngtcp2.out" 2>&1 ||
        fail "gtlsclient: $(last_line "$work/ngtcp2.out")"
    grep -q "\[:status: $status\]" "$work/ngtcp2.out" || fail "gtlsclient got no $status"
}

# ngtcp2_server ARGUMENT...: sets `port`.
ngtcp2_server() {
    free_ports 1
    port=${ports[0]}
    mkdir -p "$work/documents"
    start ngtcp2 gtlsserver --no-quic-dump --no-http-dump -d "$work/documents" "$@" \
        127.0.0.1 "$port" "$KEY" "$CERTIFICATE"
    await_port udp "$port" ngtcp2
}

groups() {
    local text=-GROUP-ALL group
    for group in "$@"; do text+=:+GROUP-$group; done
    echo "--groups=$text"
}

ngtcp2_get() {
    needs gtlsclient
    any_gateway
    ngtcp2_client 404
}

# It sends a share of P-521 only, which our gateway does not have, and names P-384, which it has.
ngtcp2_hello_retry() {
    needs gtlsclient
    our_gateway
    ngtcp2_client 404 "$(groups SECP521R1 SECP384R1)"
    grep -q -E 'frm tx [0-9]+ Initial CRYPTO\(0x06\) offset=[1-9]' "$work/ngtcp2.out" ||
        fail "there was one ClientHello"
}

ngtcp2_chacha20() {
    needs gtlsclient
    any_gateway
    ngtcp2_client 404 --ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305
    grep -q 'cipher suite is CHACHA20-POLY1305' "$work/ngtcp2.out" || fail "another cipher suite"
}

ngtcp2_key_update() {
    needs gtlsclient
    any_gateway
    ngtcp2_client 404 --key-update=200ms --delay-stream=700ms
    grep -q 'key update confirmed' "$work/ngtcp2.out" || fail "the key update was not confirmed"
}

# RFC 9000 section 9: a new local address with a challenge, then the request on it.
ngtcp2_migration() {
    needs gtlsclient
    any_gateway
    ngtcp2_client 404 --change-local-addr=200ms --delay-stream=900ms
    grep -q -E 'frm rx [0-9]+ 1RTT PATH_RESPONSE' "$work/ngtcp2.out" || fail "the challenge was not answered"
}

ngtcp2_rebinding() {
    needs gtlsclient
    any_gateway
    ngtcp2_client 404 --change-local-addr=200ms --nat-rebinding --delay-stream=700ms
    grep -q -E 'frm rx [0-9]+ 1RTT PATH_CHALLENGE' "$work/ngtcp2.out" || fail "the new address was not challenged"
}

# Bytes of handshake messages from the server: a resumed handshake has no certificate among them.
handshake_bytes() {
    sed -n -E 's/.*frm rx [0-9]+ Handshake CRYPTO\(0x06\) offset=[0-9]+ len=([0-9]+).*/\1/p' "$work/ngtcp2.out" |
        awk '{ sum += $1 } END { print sum + 0 }'
}

ngtcp2_resumption() {
    local first second
    needs gtlsclient
    any_gateway
    ngtcp2_client 404 --disable-early-data --session-file="$work/session"
    [[ -s $work/session ]] || fail "gtlsclient got no ticket"
    first=$(handshake_bytes)
    ngtcp2_client 404 --disable-early-data --session-file="$work/session"
    second=$(handshake_bytes)
    ((second > 0 && second < first - 300)) || fail "not resumed: $first, then $second bytes of handshake"
}

ngtcp2_losses() {
    needs gtlsclient
    any_gateway
    ngtcp2_client 404 --tx-loss=0.2 --rx-loss=0.2
}

# Against its server our client only shakes hands: they have no application in common but HTTP/3.
ngtcp2_accepts() {
    local wanted=$1
    shift
    needs gtlsserver
    ngtcp2_server "$@"
    our_client --alpn h3 --streams 0
    expect_fields "$result" alpn=h3 version=0x1 "$wanted"
}

ngtcp2_server_handshake() { ngtcp2_accepts retry=0; }
ngtcp2_server_hello_retry() {
    needs_godwit
    ngtcp2_accepts retry=0 "$(groups SECP384R1)"
}
ngtcp2_server_retry() { ngtcp2_accepts retry=1 -V; }
ngtcp2_server_chacha20() {
    ngtcp2_accepts cipher=chacha20-poly1305 --ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305
}

add_case 60 ngtcp2_get ngtcp2 client: request without a tunnel is 404
add_case 60 ngtcp2_hello_retry ngtcp2 client: HelloRetryRequest
add_case 60 ngtcp2_chacha20 ngtcp2 client: ChaCha20-Poly1305 only
add_case 60 ngtcp2_key_update ngtcp2 client: key update
add_case 60 ngtcp2_migration ngtcp2 client: active migration
add_case 60 ngtcp2_rebinding ngtcp2 client: NAT rebinding
add_case 90 ngtcp2_resumption ngtcp2 client: resumption
add_case 90 ngtcp2_losses ngtcp2 client: a fifth of the packets lost
add_case 60 ngtcp2_server_handshake ngtcp2 server: handshake
add_case 60 ngtcp2_server_hello_retry ngtcp2 server: HelloRetryRequest
add_case 60 ngtcp2_server_retry ngtcp2 server: Retry
add_case 60 ngtcp2_server_chacha20 ngtcp2 server: ChaCha20-Poly1305 only
