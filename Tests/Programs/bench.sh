# shellcheck shell=bash
# `godwit bench` itself: what it prints, and that it leaves nothing behind. Sourced by ./run.

# What a report must have, whatever the figures are.
bench_shape='import json, sys
report = json.loads(sys.stdin.read())
assert report["version"] == 1 and report["bytes_exact"] is True, report
systems = {system["name"]: system for system in report["systems"]}
others = {"ssh", "ssh-aes128-gcm", "stunnel"}
assert {"direct", "godwit"} <= systems.keys(), systems.keys()
assert others <= systems.keys() | {one["name"] for one in report["left_out"]}, report
assert all(one["why"] for one in report["left_out"]), report
for name, system in systems.items():
    rates = {(rate["direction"], rate["streams"]): rate for rate in system["rates"]}
    assert rates.keys() == {(way, count) for way in ("down", "up") for count in (1, 8)}, rates.keys()
    for rate in rates.values():
        assert rate["bytes"] > 0 and rate["seconds"] > 0 and rate["megabytes_per_second"] > 0, rate
        assert {"local_cpu_seconds_per_gigabyte", "remote_cpu_seconds_per_gigabyte"} <= rate.keys(), rate
    for when in ("idle", "under_bulk"):
        times = system["ping_pong"][when]
        assert 0 < times["p50_microseconds"] <= times["p99_microseconds"], times
    assert system["new_tunnels_per_second"] > 0, system
    if name != "direct":
        for when in ("idle", "with_idle_tunnels"):
            memory = system["resident_bytes"][when]
            assert memory["local"] > 0 and memory["remote"] > 0, memory'

# nothing_left: no folder of the benchmark, and no process that works in it.
nothing_left() {
    [[ -z $(find "$TMPDIR" -mindepth 1 -maxdepth 1 -name 'godwit-bench-*') ]] || return 1
    ! pgrep -f -- "$TMPDIR/godwit-bench-" >/dev/null
}

bench_reports() {
    export TMPDIR=$work/temporary
    mkdir "$TMPDIR"
    "$GODWIT" bench --quick --json >"$work/report.json" 2>"$work/bench.out" ||
        fail "godwit bench: $(last_line "$work/bench.out")"
    expect_equal 1 "$(wc -l <"$work/report.json")" "lines of a report"
    python3 -c "$bench_shape" <"$work/report.json" >"$work/shape.out" 2>&1 ||
        fail "the report lacks something: $(last_line "$work/shape.out")"
    await 10 "something of the benchmark was left behind" nothing_left
}

# A benchmark that is killed cannot clean up; something else does.
bench_is_killed() {
    export TMPDIR=$work/temporary
    mkdir "$TMPDIR"
    start bench "$GODWIT" bench --quick --seconds 20 --system godwit
    await_line bench 'round 1, down'
    nothing_left && fail "the benchmark runs without a folder"
    stop bench KILL
    await 10 "something of a killed benchmark was left behind" nothing_left
}

# Everything that is measured crosses the link: once from far to near for a download, and the same back for an upload.
bench_over_a_link() {
    local near=godwit-near-$$ far=godwit-far-$$ carried end
    [[ $(id -u) == 0 ]] || skip "network namespaces need root"
    # shellcheck disable=SC2064 # the names of this case
    trap "stop_all 2>/dev/null; ip netns delete $near; ip netns delete $far" EXIT
    ip netns add "$near"
    ip netns add "$far"
    ip link add wire netns "$near" type veth peer name wire netns "$far"
    ip -n "$near" addr add 10.83.0.1/24 dev wire
    ip -n "$far" addr add 10.83.0.2/24 dev wire
    for end in "$near" "$far"; do
        ip -n "$end" link set lo up
        ip -n "$end" link set wire up
    done
    ip netns exec "$near" "$GODWIT" bench rate --quick --json --far "$far,10.83.0.2" >"$work/report.json" 2>"$work/bench.out" ||
        fail "godwit bench: $(last_line "$work/bench.out")"
    carried=$(ip netns exec "$near" cat /sys/class/net/wire/statistics/rx_bytes)
    python3 -c 'import json, sys
report = json.load(open(sys.argv[1]))
names = {system["name"] for system in report["systems"]}
assert {"direct", "godwit"} <= names, names
least = sum(rate["bytes"] for one in report["systems"] for rate in one["rates"] if rate["direction"] == "down")
assert least > 0 and int(sys.argv[2]) > least, (sys.argv[2], least)' "$work/report.json" "$carried" 2>"$work/shape.out" ||
        fail "not everything crossed the link: $(last_line "$work/shape.out")"
}

bench_arguments() {
    expect_error 2 "no system telnet.*direct, godwit" "$GODWIT" bench --system telnet
    expect_error 2 "idle-tunnels" "$GODWIT" bench --idle-tunnels 5000
    expect_error 2 "far must be" "$GODWIT" bench --far 10.83.0.2
    expect_error 2 "speed" "$GODWIT" bench speed
}

add_case 180 bench_reports "bench: a report of everything, every byte exact"
add_case 120 bench_is_killed "bench: leaves nothing behind when it is killed"
add_case 120 bench_over_a_link "bench: the remote sides behind a link, in a network namespace"
add_case 60 bench_arguments "bench: what is mistyped"
