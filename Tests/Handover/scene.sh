# shellcheck shell=bash
# The scene of the handover bench: four network namespaces, two emulated links, and Godwit's programs in them.
# Sourced by ./run.
#
#     mobile   wlan0, wwan0   a machine with two networks: `godwit connect` and the applications
#     net                     the internet: routes between the links' outer ends and the server
#     server   eth0, eth1     `godwit gateway`
#     origin   eth0           what the applications talk to
#
# The links between mobile and net are carried by `godwit-lab`, each with a translator at its outer end.

readonly server_address=198.51.100.1 server_address6=2001:db8:51::1 origin_address=10.9.0.2 gateway_port=4433
# One direction of each: 20 ms and 60 ms of round trip.
readonly wifi_conditions="delay 10ms rate 100mbit queue 50ms mtu 1500"
readonly cell_conditions="delay 30ms rate 40mbit queue 100ms mtu 1500"

# remove_namespaces SUFFIX
remove_namespaces() {
    local place
    for place in mobile net server origin; do ip netns del "gw-$place-$1" 2>/dev/null || true; done
}

# Removes what runs that were killed left behind: the suffix is the process that made the scene.
remove_old_scenes() {
    local name owner
    for name in $(ip netns list 2>/dev/null | grep -o '^gw-mobile-[0-9]*'); do
        owner=${name##*-}
        [[ -d /proc/$owner ]] || remove_namespaces "$owner"
    done
}

remove_scene() {
    stop_all 2>/dev/null
    remove_namespaces "$$"
}

# inside PLACE COMMAND...: runs a command in a namespace; it becomes the command, so that `start inside` does not work.
inside() {
    local place=$1
    shift
    ip netns exec "gw-$place-$$" "$@"
}

# start_in PLACE NAME PROGRAM...: like `start`, in a namespace, and ahead of what else this machine does.
start_in() {
    local place=$1 name=$2
    shift 2
    start "$name" ip netns exec "gw-$place-$$" nice -n -10 "$@"
}

needs_bench() {
    [[ $(id -u) == 0 ]] || skip "network namespaces need root"
    needs ip python3 openssl chrt
    [[ -c /dev/net/tun ]] || skip "/dev/net/tun is missing: load the kernel module tun"
    [[ -x $LAB ]] || fail "$LAB is missing: build it with \`swift build -c release\`"
}

# wire PLACE INTERFACE ADDRESS PLACE INTERFACE ADDRESS
wire() {
    ip link add "$2" netns "gw-$1-$$" type veth peer name "$5" netns "gw-$4-$$"
    ip -n "gw-$1-$$" addr add "$3" dev "$2"
    ip -n "gw-$4-$$" addr add "$6" dev "$5"
    ip -n "gw-$1-$$" link set "$2" up
    ip -n "gw-$4-$$" link set "$5" up
}

# build_scene: the namespaces and links; sets MOBILE, the namespace of the mobile machine, and LAB_CONTROL.
build_scene() {
    local place
    needs_bench
    trap remove_scene EXIT
    export MOBILE=gw-mobile-$$ LAB_CONTROL=$work/lab.sock
    for place in mobile net server origin; do
        ip netns add "gw-$place-$$"
        ip -n "gw-$place-$$" link set lo up
        # Packets may come in by another interface than the one that answers leave by.
        inside "$place" sh -c 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >"$f"; done'
    done
    # Nobody else routes: a mobile machine that did would send on over one network what comes to the address that it had
    # in the other.
    inside net sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
    wire net eth0 198.51.100.254/24 server eth0 "$server_address/24"
    wire server eth1 10.9.0.1/24 origin eth0 "$origin_address/24"
    ip -n "gw-server-$$" route add default via 198.51.100.254
    ip -n "gw-origin-$$" route add default via 10.9.0.1
    ip -n "gw-net-$$" -6 addr add 2001:db8:51::fe/64 dev eth0 nodad
    ip -n "gw-server-$$" -6 addr add "$server_address6/64" dev eth0 nodad
    ip -n "gw-server-$$" -6 route add default via 2001:db8:51::fe
    # What it adds to a packet's way must not depend on who else is busy on this machine.
    start lab chrt --fifo 10 "$LAB" --control "$LAB_CONTROL" --seed "${SEED:-1}" \
        --link "wifi gw-mobile-$$:wlan0 gw-net-$$:wifi0 203.0.113.1,203.0.113.2 $wifi_conditions" \
        --link "cell gw-mobile-$$:wwan0 gw-net-$$:cell0 192.0.2.1,192.0.2.2 $cell_conditions"
    await_line lab '^ready$'
    # Nothing but what the programs send: no router solicitations of IPv6.
    ip -n "$MOBILE" link set wlan0 addrgenmode none
    ip -n "$MOBILE" link set wwan0 addrgenmode none
    ip -n "gw-net-$$" link set wifi0 addrgenmode none
    ip -n "gw-net-$$" link set cell0 addrgenmode none
    ip -n "gw-net-$$" link set wifi0 up txqueuelen 2000
    ip -n "gw-net-$$" link set cell0 up txqueuelen 2000
    ip -n "gw-net-$$" route add 203.0.113.0/24 dev wifi0
    ip -n "gw-net-$$" route add 192.0.2.0/24 dev cell0
    ip -n "gw-net-$$" -6 route add 2001:db8:64::/64 dev cell0
    ip -n "$MOBILE" link set wlan0 txqueuelen 2000
    ip -n "$MOBILE" link set wwan0 txqueuelen 2000
}

# listens NAME udp|tcp PORT: whether somebody listens there, in the namespace of a started process.
listens() {
    local state=0A # TCP_LISTEN
    [[ $2 == tcp ]] || state=07
    grep -q -i -E "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$3") [0-9A-F]+:0000 $state " "/proc/${started[$1]}/net/$2"
}

# start_programs: origin, gateway, local endpoint; the endpoint's forwards are at 127.0.0.1, sets DOWNLOAD_PORT and
# ECHO_PORT.
start_programs() {
    local origin_http origin_echo
    start_in origin origin python3 "$tests/support/origin.py" --host "$origin_address"
    await_line origin '^ready$'
    origin_http=$(sed -n 's/^http //p' "$work/origin.out")
    origin_echo=$(sed -n 's/^echo //p' "$work/origin.out")
    "$GODWIT" init --dir "$work/gateway" --name "$server_address" --listen "$server_address:$gateway_port" \
        --user tester >"$work/init.out" 2>&1 || fail "godwit init: $(last_line "$work/init.out")"
    invite=$(grep -o -m 1 'godwit://[^[:space:]]*' "$work/init.out") || fail "godwit init printed no invite"
    sed -i -e "s|^users .*|&\\ncontrol = \"$work/gateway/gateway.sock\"|" \
        -e "s|^listen .*|listen = [\"$server_address:$gateway_port\", \"[$server_address6]:$gateway_port\"]|" \
        -e "s|^name .*|&\\naddresses = [\"$server_address:$gateway_port\", \"[$server_address6]:$gateway_port\"]|" \
        -e 's|^allow .*|allow = ["10.9.0.0/24:*"]|' "$work/gateway/gateway.toml"
    start_in server gateway "$GODWIT" gateway --config "$work/gateway/gateway.toml"
    await 20 "the gateway listens" listens gateway udp "$gateway_port"
    python3 "$here/mobile.py" up wifi
    export DOWNLOAD_PORT=8001 ECHO_PORT=8002
    # SSLKEYLOGFILE is for whoever looks at KEEP=DIR with tshark.
    start_in mobile endpoint env SSLKEYLOGFILE="$work/keys" "$GODWIT" connect "$invite" \
        --log-level "${LOG_LEVEL:-info}" \
        -L "$DOWNLOAD_PORT:$origin_address:$origin_http" -L "$ECHO_PORT:$origin_address:$origin_echo"
    await 20 "the local endpoint listens" listens endpoint tcp "$ECHO_PORT"
}

# capture: with CAPTURE=1, what passes the gateway's and the mobile machine's interfaces, for tshark.
capture() {
    [[ -n ${CAPTURE:-} ]] || return 0
    start_in server capture-server tcpdump -U -n -i eth0 -s 96 -w "$work/server.pcap" udp
    start_in mobile capture-wifi tcpdump -U -n -i wlan0 -s 96 -w "$work/wlan0.pcap"
    start_in mobile capture-cell tcpdump -U -n -i wwan0 -s 96 -w "$work/wwan0.pcap"
}
