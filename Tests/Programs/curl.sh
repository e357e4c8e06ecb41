# shellcheck shell=bash
# curl through the three kinds of listeners. Sourced by ./run.

curl_forward() {
    tunnel
    fetch 20000000 "http://127.0.0.1:$forward_port/bytes/20000000"
    put "$work/body" "http://127.0.0.1:$forward_port/put"
    fetch 0 "http://127.0.0.1:$forward_port/bytes/0"
}

curl_socks() {
    tunnel
    fetch 5000000 "http://localhost:$http_port/bytes/5000000" --proxy "socks5h://127.0.0.1:$socks_port"
    fetch 5000 "http://127.0.0.1:$http_port/bytes/5000" --proxy "socks5://127.0.0.1:$socks_port"
    put "$work/body" "http://localhost:$http_port/put" --proxy "socks5h://127.0.0.1:$socks_port"
}

curl_http_connect() {
    tunnel
    fetch 5000000 "http://localhost:$http_port/bytes/5000000" --proxytunnel --proxy "http://127.0.0.1:$proxy_port"
    put "$work/body" "http://localhost:$http_port/put" --proxytunnel --proxy "http://127.0.0.1:$proxy_port"
}

curl_http_absolute() {
    tunnel
    fetch 5000000 "http://localhost:$http_port/bytes/5000000" --proxy "http://127.0.0.1:$proxy_port"
    put "$work/body" "http://localhost:$http_port/put" --proxy "http://127.0.0.1:$proxy_port"
    # Two requests on one connection to the proxy.
    try_curl --proxy "http://127.0.0.1:$proxy_port" -o "$work/1" "http://localhost:$http_port/bytes/10" \
        -o "$work/2" "http://localhost:$http_port/bytes/20"
    expect_equal "10 20" "$(stat -c %s "$work/1") $(stat -c %s "$work/2")" "sizes of two answers"
}

# curl's exit code 97 is a SOCKS5 failure, with the reply code of RFC 1928 in brackets.
curl_failures() {
    local code status
    tunnel
    for pair in "127.0.0.1:$refused_port 5 502" "127.0.0.9:80 2 403" "nowhere.invalid:80 4 50[24]"; do
        read -r destination code status <<<"$pair"
        local outcome=0
        curl --silent --show-error --max-time $((40 * slowness)) --proxy "socks5h://127.0.0.1:$socks_port" \
            "http://$destination/" >"$work/curl.out" 2>&1 || outcome=$?
        expect_equal 97 "$outcome" "curl's exit code for $destination by SOCKS5"
        grep -q "($code)" "$work/curl.out" || fail "$destination is not reply $code: $(last_line "$work/curl.out")"
        outcome=$(curl --silent --max-time $((40 * slowness)) --proxytunnel --proxy "http://127.0.0.1:$proxy_port" \
            --write-out '%{http_connect}' --output /dev/null "http://$destination/" || true)
        [[ $outcome =~ ^$status$ ]] || fail "CONNECT to $destination is answered with $outcome instead of $status"
        outcome=$(curl --silent --max-time $((40 * slowness)) --proxy "http://127.0.0.1:$proxy_port" \
            --write-out '%{http_code}' --output "$work/answer" "http://$destination/" || true)
        [[ $outcome =~ ^$status$ ]] || fail "GET of $destination is answered with $outcome instead of $status"
    done
}

# Sizes from nothing to 4 MB, all at once.
curl_parallel() {
    local number count seed begin
    tunnel
    : >"$work/list"
    : >"$work/wanted"
    for number in $(seq 200); do
        count=$((number * number * number * 7 % 65537 * (number % 8 == 0 ? 60 : number % 3)))
        seed=$((number * 1009))
        printf 'url = "http://localhost:%s/bytes/%s/%s"\noutput = "%s/part.%s"\n' \
            "$http_port" "$count" "$seed" "$work" "$number" >>"$work/list"
        echo "$count $seed $work/part.$number" >>"$work/wanted"
    done
    begin=$(milliseconds)
    try_curl --parallel --parallel-immediate --parallel-max 200 --proxy "socks5h://127.0.0.1:$socks_port" \
        --config "$work/list"
    number=$(($(milliseconds) - begin))
    python3 -c 'import sys
from pathlib import Path
from pattern import pattern
for line in Path(sys.argv[1]).read_text().splitlines():
    count, seed, name = line.split()
    path = Path(name)
    data = path.read_bytes() if path.exists() else b""
    if data != pattern(int(seed), int(count)):
        sys.exit(f"{path.name} is wrong: {len(data)} of {count} bytes")' "$work/wanted" 2>"$work/check.out" ||
        fail "$(last_line "$work/check.out")"
    count=$(cat "$work"/part.* | wc -c)
    echo "$((count / 1000000)) MB in $number ms, $(rate "$count" "$number")" >"$work/remark"
}

# A download that nobody reads holds up neither another one nor the memory of either end.
stalled_reader() {
    local name kibibytes
    big_file
    origin_file=$big
    tunnel
    start stalled python3 "$tests/support/tcp_client.py" 127.0.0.1 "$forward_port" stall \
        'GET /file HTTP/1.1\r\nHost: origin\r\n\r\n'
    await_line stalled '^stalled'
    fetch 20000000 "http://127.0.0.1:$forward_port/bytes/20000000"
    for name in gateway endpoint; do
        kibibytes=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(worker "$name")/status")
        ((kibibytes < 256 * 1024)) || fail "the $name took $((kibibytes / 1024)) MiB"
    done
}

add_case 120 curl_forward "curl through -L"
add_case 120 curl_socks "curl through -D, socks5h"
add_case 120 curl_http_connect "curl through --http, CONNECT"
add_case 120 curl_http_absolute "curl through --http, absolute form"
add_case 240 curl_failures "curl is told why a destination cannot be reached"
add_case 240 curl_parallel "200 parallel downloads of mixed sizes"
add_case 180 stalled_reader "a stalled reader holds up nobody"
