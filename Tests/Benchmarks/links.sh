# shellcheck shell=bash
# The parts `links` and `sharing`: real programs on one emulated link. Sourced by ./bench.
#
#     near   wire   `godwit connect` for each connection, and the programs that use it
#     far    wire   two `godwit gateway`, which send with CUBIC and with BBR, and what they lead to
#
# The link is carried by `godwit-lab`, ahead of what else this machine does.

readonly near_address=10.81.0.1 far_address=10.81.0.2
# UDP ports of the gateways at far, by how they send.
declare -rA gateway_ports=([cubic]=4433 [bbr]=4434)
declare -A invites
# Most bytes that a TCP connection of a plain download may have under way: enough for 1 Gbit/s and 100 ms.
readonly tcp_buffer=33554432
# Seconds of a transfer that do not count: slow start and what it leaves behind; two transfers take longer to find their parts.
readonly settling=3 sharing_settling=5

inside() {
    local place=$1
    shift
    ip netns exec "gw-bench-$place-$$" "$@"
}

start_in() {
    local place=$1 name=$2
    shift 2
    start "$name" ip netns exec "gw-bench-$place-$$" "$@"
}

remove_link() {
    local place
    stop_all 2>/dev/null
    for place in near far; do ip netns delete "gw-bench-$place-$$" 2>/dev/null || true; done
}

# attach PLACE ADDRESS: brings the end of the link up; TCP there knows nothing from earlier connections.
attach() {
    ip -n "gw-bench-$1-$$" link set lo up
    ip -n "gw-bench-$1-$$" addr add "$2/24" dev wire
    ip -n "gw-bench-$1-$$" link set wire up txqueuelen 20000
    inside "$1" sysctl -q -w net.ipv4.tcp_no_metrics_save=1 \
        "net.ipv4.tcp_rmem=4096 131072 $tcp_buffer" "net.ipv4.tcp_wmem=4096 65536 $tcp_buffer"
}

# start_link_gateway ALGORITHM
start_link_gateway() {
    local folder=$work/gateway-$1 port=${gateway_ports[$1]}
    make_gateway "$folder" "$port"
    sed -i -e "s|^listen .*|listen = [\"$far_address:$port\"]\ncongestion = \"$1\"|" \
        -e "s|^allow .*|allow = [\"$far_address/32:*\"]|" "$folder/gateway.toml"
    invites[$1]=${invite/localhost:$port/$far_address:$port}
    start_in far "gateway-$1" "$GODWIT" gateway --config "$folder/gateway.toml"
    await_line "gateway-$1" 'gateway is ready'
}

# build_link: namespaces, link, gateways; sets http_port and echo_port.
build_link() {
    local place lab
    lab=${LAB:-$(dirname "$GODWIT")/godwit-lab}
    [[ -x $lab ]] || fail "no program at $lab; build it with swift build -c release"
    for place in near far; do ip netns add "gw-bench-$place-$$"; done
    start lab chrt --fifo 10 "$lab" --control "$work/lab.sock" \
        --link "link gw-bench-near-$$:wire gw-bench-far-$$:wire -"
    await_line lab '^ready$'
    attach near "$near_address"
    attach far "$far_address"
    start_in far origin python3 "$tests/support/origin.py" --host "$far_address" --congestion cubic
    await_line origin '^ready$'
    http_port=$(sed -n 's/^http //p' "$work/origin.out")
    echo_port=$(sed -n 's/^echo //p' "$work/origin.out")
    start_link_gateway cubic
    start_link_gateway bbr
}

# set_link DELAY_MS RATE QUEUE LOSS MTU: both directions.
set_link() {
    python3 "$tests/support/control.py" "$work/lab.sock" set link delay "$1ms" rate "$2" queue "$3" loss "$4" mtu "$5" \
        >/dev/null
    inside near ip link set wire mtu "$5"
    inside far ip link set wire mtu "$5"
}

# connect_over NAME ALGORITHM: a connection of its own, with forwards to the origin at 127.0.0.1; sets `forwarded`, the address of
# the download, and `echoed`, that of the ping-pong.
connect_over() {
    free_ports 2
    start_in near "$1" "$GODWIT" connect "${invites[$2]}" --control "$work/$1.sock" \
        -L "${ports[0]}:$far_address:$http_port" -L "${ports[1]}:$far_address:$echo_port"
    forwarded=127.0.0.1:${ports[0]}
    echoed=127.0.0.1:${ports[1]}
    await 20 "the local endpoint is connected" inside near curl -s -o /dev/null "http://$forwarded/bytes/1"
}

# load FROM SECONDS ARGUMENT...: link_load.py at near, which measures for so long from then on; sets `figures`.
load() {
    local from=$1 seconds=$2
    shift 2
    figures=$(inside near python3 "$here/link_load.py" --from "$from" --until $((from + seconds)) "$@") ||
        fail "link_load.py ended early"
}

# figure NAME KEY: of what `load` printed.
figure() {
    field "$2" "$(grep "^$1 " <<<"$figures")"
}

# cell RATE_MBIT ROUND_TRIP_MS [ECHO]: part of the rate, and the median of a ping-pong beyond the path's round trip: of one over the
# bare link beside it, and of one in the same connection.
cell() {
    awk -v rate="$(figure download rate)" -v whole="$1" -v path="$2" -v link="$(figure link median)" \
        -v tunnel="$(figure "${3:-link}" median)" -v has_tunnel="${3:-}" 'BEGIN {
            printf "%.0f %%, +%.0f ms", rate / whole / 1e4, link - path
            if (has_tunnel != "") printf " (+%.0f ms)", tunnel - path
        }'
}

# row NAME GOAL ROUND_TRIP_MS RATE_MBIT QUEUE LOSS MTU: a line of the table.
row() {
    local name=$1 goal=$2 round_trip=$3 rate=$4 algorithm line
    set_link $((round_trip / 2)) "${rate}mbit" "$5" "$6" "$7"
    load "$settling" "$link_seconds" --download download "$far_address:$http_port" --echo link "$far_address:$echo_port"
    line="| $name | $goal | $(cell "$rate" "$round_trip") |"
    for algorithm in cubic bbr; do
        connect_over endpoint "$algorithm"
        load "$settling" "$link_seconds" --download download "$forwarded" --echo link "$far_address:$echo_port" --echo tunnel "$echoed"
        line+=" $(cell "$rate" "$round_trip" tunnel) |"
        stop endpoint
    done
    echo "$line"
}

# How late the emulator was, and how busy the machine is: what the figures have to be seen beside.
emulator() {
    echo "emulator: $(python3 "$tests/support/control.py" "$work/lab.sock" status link | tail -n 1);" \
        "load average $(cut -d ' ' -f 1 /proc/loadavg)"
}

needs_link() {
    [[ $(id -u) == 0 && -c /dev/net/tun ]] && command -v ip chrt curl python3 >/dev/null && return 0
    echo "$1: needs root, /dev/net/tun, ip, chrt, curl and python3; left out"
    return 1
}

links() {
    needs_link links || return 0
    build_link
    echo "one download, from $settling s on for $link_seconds s: part of the link's rate that arrived as payload; what a ping-pong"
    echo "beside it took beyond the path's round trip (and one in the same connection)"
    echo
    echo "| link | goal for BBR | TCP CUBIC | CUBIC | BBR |"
    echo "|---|---|---|---|---|"
    row "100 Mbit/s, 20 ms, 50 ms of queue" "" 20 100 50ms 0 1500
    row "the same, 1 % random loss" "85 %" 20 100 50ms 0.01 1500
    row "the same, 5 % random loss" "60 %" 20 100 50ms 0.05 1500
    row "40 Mbit/s, 60 ms, 200 ms of queue" "+30 ms" 60 40 200ms 0 1500
    row "300 Mbit/s, 100 ms, 100 ms of queue" "85 %" 100 300 100ms 0 1500
    row "1 Gbit/s, 100 ms, packets of 9,000 bytes, 100 ms of queue" "85 %" 100 1000 100ms 0 9000
    emulator
    remove_link
}

# pair FIRST SECOND: two downloads at the same time, each over a connection of its own: `cubic` and `bbr` are Godwit's, `tcp` is
# plain CUBIC.
pair() {
    local name algorithm addresses=()
    for name in first second; do
        algorithm=$1
        shift
        forwarded=$far_address:$http_port
        [[ $algorithm == tcp ]] || connect_over "$name" "$algorithm"
        addresses+=(--download "$name" "$forwarded")
    done
    load "$sharing_settling" "$sharing_seconds" "${addresses[@]}"
    stop first
    stop second
    awk -v first="$(figure first rate)" -v second="$(figure second rate)" 'BEGIN {
        printf "%.0f:%.0f of %.0f Mbit/s", 100 * first / (first + second), 100 * second / (first + second), (first + second) / 1e6
    }'
}

sharing() {
    local queue
    needs_link sharing || return 0
    build_link
    echo "two downloads on 40 Mbit/s and 60 ms, from $sharing_settling s on for $sharing_seconds s"
    echo
    echo "| queue | BBR and BBR (goal 40-60) | BBR and TCP CUBIC (goal 33-67) | CUBIC and TCP CUBIC | CUBIC and CUBIC |"
    echo "|---|---|---|---|---|"
    for queue in "${sharing_queues[@]}"; do
        set_link 30 40mbit "$queue" 0 1500
        echo "| ${queue%ms} ms | $(pair bbr bbr) | $(pair bbr tcp) | $(pair cubic tcp) | $(pair cubic cubic) |"
    done
    emulator
    remove_link
}
