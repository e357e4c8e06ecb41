# shellcheck shell=bash
# Bare QUIC: aioquic's client with our server, and its server with our client. Sourced by ./run.

readonly megabytes10=10000000

# our_server [ARGUMENT...]: sets `port`.
our_server() {
    start ours "$GODWIT_INTEROP" server --listen 127.0.0.1:0 --certificate "$CERTIFICATE" --key "$KEY" "$@"
    await_line ours '^listening '
    port=${line##*:}
}

# their_server [ARGUMENT...]: aioquic's; sets `port`.
their_server() {
    start theirs "$python" "$peers/quic_server.py" --certificate "$CERTIFICATE" --key "$KEY" "$@"
    await_line theirs '^listening '
    port=${line##*:}
}

# their_client ARGUMENT...: aioquic's; sets `result`.
their_client() {
    run_client "$python" "$peers/quic_client.py" "$@"
}

# our_client ARGUMENT...: sets `result`.
our_client() {
    run_client "$GODWIT_INTEROP" client "$@"
}

run_client() {
    local code=0
    "$@" --connect "127.0.0.1:$port" --anchor "$CERTIFICATE" >"$work/client.out" 2>&1 || code=$?
    result=$(grep '^result ' "$work/client.out") || fail "the client gave no result: $(last_line "$work/client.out")"
    ((code == 0)) || fail "the client says: $result"
    expect_fields "$result" error=none
}

# What the server says at the end of the connection: sets `connection`.
server_report() {
    await_line "$1" '^connection '
    connection=$line
    expect_fields "$connection" error=none
}

# Every case runs in both directions: client_of and server_of name the programs of a direction.
# exchange DIRECTION [CLIENT ARGUMENT...] -- [SERVER ARGUMENT...]: sets `result` and `connection`.
exchange() {
    local direction=$1 client_arguments=()
    shift
    while (($# > 0)) && [[ $1 != -- ]]; do
        client_arguments+=("$1")
        shift
    done
    (($# == 0)) || shift
    serve "$direction" "$@"
    "${client_of[$direction]}" "${client_arguments[@]}"
    server_report "${name_of[$direction]}"
}

serve() {
    local direction=$1
    shift
    "${server_of[$direction]}" "$@"
}

declare -A client_of=([in]=their_client [out]=our_client)
declare -A server_of=([in]=our_server [out]=their_server)
declare -A name_of=([in]=ours [out]=theirs)

quic_handshake() {
    exchange "$1" --bytes-up 1000 --bytes-down 2000
    expect_fields "$result" version=0x1 alpn=godwit-interop resumed=0 retry=0 bytes_in=2000
    expect_fields "$connection" version=0x1 alpn=godwit-interop streams=1 bytes_in=1000
}

quic_bulk() {
    exchange "$1" --bytes-up $megabytes10 --bytes-down $megabytes10
    expect_fields "$result" bytes_in=$megabytes10 bytes_out=$megabytes10 streams=1
    expect_fields "$connection" bytes_in=$megabytes10 bytes_out=$megabytes10 streams=1
}

quic_streams() {
    exchange "$1" --streams 50 --bytes-up 20000 --bytes-down 30000
    expect_fields "$result" streams=50 bytes_in=1500000
    expect_fields "$connection" streams=50 bytes_in=1000000
}

quic_retry() {
    exchange "$1" --bytes-down 1000 -- --retry
    expect_fields "$result" retry=1
    expect_fields "$connection" retry=1
}

quic_cipher() {
    exchange "$1" --bytes-up 100000 --bytes-down 100000 --cipher "$2"
    expect_fields "$result" cipher="$2"
    expect_fields "$connection" cipher="$2"
}

aes128() { quic_cipher "$1" aes-128-gcm; }
aes256() { quic_cipher "$1" aes-256-gcm; }
chacha20() { quic_cipher "$1" chacha20-poly1305; }

quic_server_cipher() {
    exchange "$1" --bytes-down 100000 -- --cipher chacha20-poly1305
    expect_fields "$result" cipher=chacha20-poly1305
}

quic_key_update() {
    exchange "$1" --bytes-down 2000000 --bytes-up 500000 --key-update-after 500000
    expect_fields "$result" key_updates=1
    expect_fields "$connection" key_updates=1
}

quic_server_key_update() {
    exchange "$1" --bytes-up 2000000 --bytes-down 500000 -- --key-update-after 500000
    expect_fields "$result" key_updates=1
    expect_fields "$connection" key_updates=1
}

quic_resumption() {
    local client=${client_of[$1]}
    serve "$1"
    "$client" --ticket "$work/ticket" --bytes-down 1000
    expect_fields "$result" resumed=0
    [[ -s $work/ticket ]] || fail "the client got no ticket"
    "$client" --ticket "$work/ticket" --bytes-down 1000
    expect_fields "$result" resumed=1 bytes_in=1000
}

quic_rebinding() {
    local direction=$1 kind=$2
    serve "$direction"
    # Both directions of the payload and their acknowledgements pass: about 4.3 MB.
    start_nat "$port" --"$kind"-after 1000000 --"$kind"-after 2500000
    port=$nat_port
    "${client_of[$direction]}" --bytes-up 2000000 --bytes-down 2000000
    expect_fields "$result" bytes_in=2000000
    grep -q '^rebinding 2 ' "$work/nat.out" || fail "the translator did not rebind"
    server_report "${name_of[$direction]}"
    expect_fields "$connection" bytes_in=2000000 rebindings='>1'
}

rebinding() { quic_rebinding "$1" rebind; }
readdressing() { quic_rebinding "$1" readdress; }

quic_connection_id_change() {
    exchange "$1" --bytes-down 2000000 --change-connection-id-after 500000
    expect_fields "$result" bytes_in=2000000
    expect_fields "$connection" ids_retired='>0'
}

quic_migration() {
    exchange "$1" --bytes-up 1000000 --bytes-down 2000000 --rebind-after 500000
    expect_fields "$result" bytes_in=2000000 rebindings=1
    expect_fields "$connection" bytes_in=1000000 rebindings='>0'
}

# aioquic offers a version that nobody has, and one that our server has.
version_negotiation_in() {
    exchange in --bytes-down 1000 --initial-version 1a2a3a4a
    expect_fields "$result" version=0x1 negotiated=1
}

# A server without version 1: the client says so at once.
version_negotiation_out() {
    needs_godwit
    local begin=$SECONDS code=0
    serve out --version 6b3343cf
    "$GODWIT_INTEROP" client --connect "127.0.0.1:$port" --anchor "$CERTIFICATE" >"$work/client.out" 2>&1 || code=$?
    ((code != 0)) || fail "the client connected to a server without its version"
    grep -q -i version "$work/client.out" || fail "no word of versions: $(last_line "$work/client.out")"
    ((SECONDS - begin < 10 * slowness)) || fail "the client took $((SECONDS - begin)) s"
}

# RFC 9001 section 8.1: no common application protocol is the alert no_application_protocol, 0x178.
wrong_protocol() {
    local code=0
    serve "$1" --alpn something-else
    if [[ $1 == in ]]; then
        set -- "$python" "$peers/quic_client.py"
    else
        set -- "$GODWIT_INTEROP" client
    fi
    "$@" --connect "127.0.0.1:$port" --anchor "$CERTIFICATE" >"$work/client.out" 2>&1 || code=$?
    ((code != 0)) || fail "a connection without a common protocol"
    grep -q -i 0x178 "$work/client.out" || fail "not 0x178: $(last_line "$work/client.out")"
}

for direction in in out; do
    if [[ $direction == in ]]; then who="aioquic client"; else who="aioquic server"; fi
    add_case 60 "quic_handshake $direction" "$who: handshake"
    add_case 240 "quic_bulk $direction" "$who: 10 MB both ways"
    add_case 120 "quic_streams $direction" "$who: 50 streams at once"
    add_case 60 "quic_retry $direction" "$who: Retry"
    add_case 60 "version_negotiation_$direction" "$who: version negotiation"
    add_case 60 "wrong_protocol $direction" "$who: no common application protocol"
    add_case 60 "aes128 $direction" "$who: AES-128-GCM"
    add_case 60 "aes256 $direction" "$who: AES-256-GCM"
    add_case 60 "chacha20 $direction" "$who: ChaCha20-Poly1305 only"
    add_case 60 "quic_server_cipher $direction" "$who: ChaCha20-Poly1305 only, by the server"
    add_case 120 "quic_key_update $direction" "$who: key update"
    add_case 120 "quic_server_key_update $direction" "$who: key update by the server"
    add_case 60 "quic_resumption $direction" "$who: resumption"
    add_case 120 "rebinding $direction" "$who: NAT rebinding, port"
    add_case 120 "readdressing $direction" "$who: NAT rebinding, port and address"
    add_case 120 "quic_connection_id_change $direction" "$who: connection ID change in mid-transfer"
    add_case 120 "quic_migration $direction" "$who: client changes its socket in mid-transfer"
done
