# shellcheck shell=bash
# A file of 1 GB in both directions while the way it takes changes. Sourced by ./run.

# five_rebindings: five changes of the client's port, spread over the file.
five_rebindings() {
    local number
    nat_arguments=(--largest 1472)
    for number in 1 2 3 4 5; do nat_arguments+=(--rebind-after $((big_size * number / 6))); done
}

expect_rebindings() {
    expect_equal "$1" "$(grep -c '^rebinding ' "$work/nat.out" || true)" "changes of the port"
}

big_download() {
    local begin
    begin=$(milliseconds)
    curl --silent --show-error --fail --max-time $((500 * slowness)) "http://127.0.0.1:$forward_port/file" \
        2>"$work/curl.out" | sha256sum >"$work/digest" || fail "curl: $(last_line "$work/curl.out")"
    expect_equal "$big_sha256" "$(cut -d ' ' -f 1 "$work/digest")" "SHA-256 of the file"
    rate "$big_size" $(($(milliseconds) - begin)) >"$work/remark"
}

big_upload() {
    local begin
    begin=$(milliseconds)
    curl --silent --show-error --fail --max-time $((500 * slowness)) --upload-file "$big" \
        "http://127.0.0.1:$forward_port/put" >"$work/digest" 2>"$work/curl.out" ||
        fail "curl: $(last_line "$work/curl.out")"
    expect_equal "$big_sha256" "$(cat "$work/digest")" "SHA-256 of what arrived"
    rate "$big_size" $(($(milliseconds) - begin)) >"$work/remark"
}

download_while_rebinding() {
    big_file
    origin_file=$big
    five_rebindings
    tunnel
    big_download
    expect_rebindings 5
}

upload_while_rebinding() {
    big_file
    five_rebindings
    tunnel
    big_upload
    expect_rebindings 5
}

# replace_sockets COUNT: asks the local endpoint for another local socket again and again.
replace_sockets() {
    local number
    for number in $(seq "$1"); do
        sleep 0.7
        python3 "$tests/support/control.py" "$XDG_RUNTIME_DIR/godwit.sock" rebind || true
        await 20 "socket $number of the local endpoint" grep -q "^mapping $((number + 1)) " "$work/nat.out"
    done
}

download_while_replacing() {
    big_file
    origin_file=$big
    nat_arguments=(--largest 1472)
    tunnel
    replace_sockets 3 &
    local replacing=$!
    big_download
    wait "$replacing" || fail "the local socket was not replaced: $(cat "$work/reason" 2>/dev/null)"
}

upload_while_replacing() {
    big_file
    nat_arguments=(--largest 1472)
    tunnel
    replace_sockets 3 &
    local replacing=$!
    big_upload
    wait "$replacing" || fail "the local socket was not replaced: $(cat "$work/reason" 2>/dev/null)"
}

add_case 700 download_while_rebinding "1 GB down while the port changes five times"
add_case 700 upload_while_rebinding "1 GB up while the port changes five times"
add_case 700 download_while_replacing "1 GB down while the local socket is replaced"
add_case 700 upload_while_replacing "1 GB up while the local socket is replaced"
