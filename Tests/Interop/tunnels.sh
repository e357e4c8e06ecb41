# shellcheck shell=bash
# HTTP/3: strangers' clients with our gateway, and our local endpoint with theirs. Sourced by ./run.

readonly mebibyte=1048576

# http3 ARGUMENT...: aioquic's client; sets `result`.
http3() {
    "$python" "$peers/http3_client.py" --connect "127.0.0.1:$port" --anchor "$CERTIFICATE" "$@" \
        >>"$work/client.out" 2>&1 ||
        fail "the client says: $(last_line "$work/client.out")"
    result=$(last_line "$work/client.out")
}

tunnel_works() {
    local form=$1
    any_gateway
    start_origin
    http3 --form "$form" --token="$token" --to "127.0.0.1:$echo_port" echo $mebibyte
    expect_fields "$result" status=200 bytes_in=$mebibyte bytes_out=$mebibyte end=fin
    http3 --form "$form" --token="$token" --to "localhost:$http_port" fetch 2000000
    expect_fields "$result" status=200 end=fin
    http3 --form "$form" --token="$token" --to "127.0.0.1:$http_port" --optimistic fetch 50000
    expect_fields "$result" status=200 end=fin
}

tunnel_resets() {
    any_gateway
    start_origin
    http3 --form "$1" --token="$token" --to "127.0.0.1:$http_port" abort 50000
    expect_fields "$result" status=200 end=reset:0x10f
}

tunnel_refused() {
    any_gateway
    start_origin
    http3 --form "$1" --token="$token" --to "127.0.0.1:$refused_port" status
    expect_fields "$result" status=502 proxy_status='*error=connection_refused*'
}

# Without credentials, with wrong ones, and with half of the right ones: the same answer, no word of the
# destination.
tunnel_unauthorised() {
    local form=$1 status=401 wrong
    [[ $form != classic ]] || status=407
    any_gateway
    start_origin
    for wrong in "" "$(head -c 32 /dev/urandom | base64url)" "${token:0:20}"; do
        http3 --form "$form" ${wrong:+"--token=$wrong"} --to "127.0.0.1:$refused_port" status
        expect_fields "$result" status=$status proxy_status=none challenge='Bearer*'
    done
}

tunnel_prohibited() {
    needs_godwit
    any_gateway
    http3 --form "$1" --token="$token" --to 127.0.0.9:80 status
    expect_fields "$result" status=403 proxy_status='*error=destination_ip_prohibited*'
    http3 --form "$1" --token="$token" --to 169.254.169.254:80 status
    expect_fields "$result" status=403 proxy_status='*error=destination_ip_prohibited*'
}

root_is_404() {
    any_gateway
    http3 root
    expect_fields "$result" status=404 proxy_status=none challenge=none
}

for form in classic connect-tcp connect-tcp-12; do
    who="aioquic HTTP/3 client, $form"
    add_case 180 "tunnel_works $form" "$who: tunnels to an echo server and an HTTP origin"
    add_case 60 "tunnel_resets $form" "$who: reset by the origin is H3_CONNECT_ERROR"
    add_case 60 "tunnel_refused $form" "$who: refused port is 502 with Proxy-Status"
    add_case 90 "tunnel_unauthorised $form" "$who: unauthorised"
    add_case 60 "tunnel_prohibited $form" "$who: prohibited destinations are 403"
done
add_case 60 root_is_404 "aioquic HTTP/3 client: GET / is 404"

# Our local endpoint through a stranger's gateway --------------------------------------------------------------------

# stranger_invite TOKEN PORT: an invite for a gateway with the certificate of these tests.
stranger_invite() {
    echo "godwit://$1@localhost:$2?pin=sha256/$(pin_of "$CERTIFICATE")"
}

# their_gateway [ARGUMENT...]: aioquic's; sets `invite`.
their_gateway() {
    local token
    needs_godwit
    token=$(head -c 32 /dev/urandom | base64url)
    start gateway "$python" "$peers/http3_gateway.py" --certificate "$CERTIFICATE" --key "$KEY" --token="$token" "$@"
    await_line gateway '^listening '
    invite=$(stranger_invite "$token" "${line##*:}")
}

# fetch COUNT URL [CURL ARGUMENT...]: through whatever; the bytes must be those of the pattern.
fetch() {
    local count=$1 url=$2
    shift 2
    curl --silent --show-error --max-time $((90 * slowness)) --output "$work/body" "$@" "$url" 2>"$work/curl.out" ||
        fail "curl: $(last_line "$work/curl.out")"
    expect_equal "$(pattern_sha256 "$count")" "$(sha256 "$work/body")" "SHA-256 of what came"
}

endpoint_through_aioquic() {
    local form=$1
    shift
    their_gateway "$@"
    start_origin
    free_ports 2
    start_endpoint endpoint "${ports[0]}" "$invite" -L "${ports[0]}:127.0.0.1:$http_port" -D "${ports[1]}"
    fetch 2000000 "http://127.0.0.1:${ports[0]}/bytes/2000000"
    fetch 100000 "http://localhost:$http_port/bytes/100000" --proxy "socks5h://127.0.0.1:${ports[1]}"
    curl --silent --max-time $((60 * slowness)) --upload-file "$work/body" "http://127.0.0.1:${ports[0]}/put" \
        >"$work/digest" || fail "the upload failed"
    expect_equal "$(sha256 "$work/body")" "$(cat "$work/digest")" "SHA-256 of what arrived"
    await_line gateway "^tunnel form=$form "
}

endpoint_connect_tcp() { endpoint_through_aioquic connect-tcp; }
endpoint_classic() { endpoint_through_aioquic classic --classic-only; }

# render TEMPLATE NAME=VALUE...: to $work/TEMPLATE.
render() {
    local template=$1 pair
    shift
    cp "$here/envoy/$template" "$work/$template"
    for pair in "$@"; do sed -i "s|@${pair%%=*}@|${pair#*=}|g" "$work/$template"; done
    ! grep -q '@[A-Z_]*@' "$work/$template" || fail "$template has a gap"
}

# start_envoy NAME TEMPLATE KIND PORT
start_envoy() {
    start "$1" "$venv/bin/envoy" -c "$work/$2" --use-dynamic-base-id --disable-hot-restart --concurrency 1 -l warn
    await_port "$3" "$4" "$1"
}

envoy_gateway() {
    free_ports 1
    envoy_port=${ports[0]}
    render gateway.yaml LISTEN_PORT="$envoy_port" ORIGIN_PORT="$http_port" CERTIFICATE="$CERTIFICATE" KEY="$KEY"
    start_envoy envoy-gateway gateway.yaml udp "$envoy_port"
}

envoy_client() {
    free_ports 1
    listen_port=${ports[0]}
    render client.yaml LISTEN_PORT="$listen_port" GATEWAY_PORT="$1" TOKEN="$token" ANCHOR="$CERTIFICATE" \
        DESTINATION="localhost:$http_port"
    start_envoy envoy-client client.yaml tcp "$listen_port"
}

# Envoy through our gateway; when the scripts are checked, through Envoy's and aioquic's.
envoy_as_client() {
    start_origin
    any_gateway
    envoy_client "$port"
    fetch 3000000 "http://127.0.0.1:$listen_port/bytes/3000000"
    curl --silent --max-time $((60 * slowness)) --upload-file "$work/body" "http://127.0.0.1:$listen_port/put" \
        >"$work/digest" || fail "the upload failed"
    expect_equal "$(sha256 "$work/body")" "$(cat "$work/digest")" "SHA-256 of what arrived"
}

envoy_as_gateway() {
    start_origin
    envoy_gateway
    if [[ -z $GODWIT ]]; then
        token=reference
        envoy_client "$envoy_port"
    else
        invite=$(stranger_invite "$(head -c 32 /dev/urandom | base64url)" "$envoy_port")
        free_ports 1
        listen_port=${ports[0]}
        start_endpoint endpoint "$listen_port" "$invite" -L "$listen_port:localhost:$http_port"
    fi
    fetch 3000000 "http://127.0.0.1:$listen_port/bytes/3000000"
    curl --silent --max-time $((60 * slowness)) --upload-file "$work/body" "http://127.0.0.1:$listen_port/put" \
        >"$work/digest" || fail "the upload failed"
    expect_equal "$(sha256 "$work/body")" "$(cat "$work/digest")" "SHA-256 of what arrived"
}

add_case 120 endpoint_connect_tcp "aioquic gateway: our local endpoint with connect-tcp"
add_case 120 endpoint_classic "aioquic gateway: our local endpoint falls back to classic CONNECT"
add_case 120 envoy_as_client "Envoy client: CONNECT through our gateway"
add_case 120 envoy_as_gateway "Envoy gateway: our local endpoint"
