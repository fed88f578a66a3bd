# The box with Ironlane: four DPDK ports, whose taps are the router's interfaces. Sourced.
#
# DEVICE says what a port is made of:
#   net_tap     DPDK's tap device; its kernel end is the vrouter's interface (the daemon moves it)
#   af_packet   a packet socket on a veth whose other end is the vrouter's interface
#   af_xdp      an AF_XDP socket on such a veth

DEVICE=${DEVICE:-net_tap}
IRONLANE=${IRONLANE:-$ROOT/target/release/ironlane}

# The last CPU that this shell may use: lcores poll, and the first ones have more to do beside.
last_cpu() { awk '$1 == "Cpus_allowed_list:" { n = split($2, cpus, /[,-]/); print cpus[n] }' /proc/self/status; }
LCORES=${LCORES:-$(last_cpu)}

# Our ends of veths live where the daemon does; the names keep two runs apart.
veth_end() { echo "il$((RUN_ID % 100000))v$1"; }
RUN_ID=$$

port_device() { # N
    case $DEVICE in
    net_tap) echo "net_tap$1,iface=il$((RUN_ID % 100000))t$1" ;;
    af_packet) echo "net_af_packet$1,iface=$(veth_end "$1"),blocksz=65536,framesz=2048,framecnt=2048,qpairs=1" ;;
    af_xdp) echo "net_af_xdp$1,iface=$(veth_end "$1")" ;;
    *) echo "DEVICE is $DEVICE; it can be net_tap, af_packet or af_xdp" >&2; return 1 ;;
    esac
}

# Hugepages if enough are free, else DPDK's mode without them.
MEMORY_MIB=${MEMORY_MIB:-256}
hugepages_free() {
    awk -v need="$MEMORY_MIB" '$1 == "HugePages_Free:" { free = $2 } $1 == "Hugepagesize:" { size = $2 }
        END { exit !(free * size >= need * 1024) }' /proc/meminfo
}

ironlane_config() {
    local i hugepages=false
    if hugepages_free; then hugepages=true; fi
    cat <<CONF
# Written by the demo; see configs/demo for the same to start from.
[daemon]
socket = "$RUN/ironlane.sock"
run_dir = "$RUN/ironlane"
netns = "$ROUTER"

[dpdk]
hugepages = $hugepages
memory_mib = $MEMORY_MIB
file_prefix = "ironlane-$RUN_ID"

[mempool]
mbufs = 16383

[lcores]
cpus = "$LCORES"
CONF
    for i in "${VROUTERS[@]}"; do
        cat <<CONF

[[port]]
name = "$(tap "$i")"
device = "$(port_device "$i")"
CONF
        # Ports on a veth have the MAC that the veth has (AF_XDP could not change it).
        [ "$DEVICE" = net_tap ] && cat <<CONF
mac = "$(port_mac "$i")"
peer_netns = "$(vrouter "$i")"
peer_name = "$(uplink "$i")"
peer_mac = "02:00:00:00:31:0$i"
CONF
    done
    return 0
}

il() { IRONLANE_SOCKET=$RUN/ironlane.sock "$IRONLANE" "$@"; }

ironlane_start() {
    ironlane_config >"$RUN/ironlane.toml"
    "$IRONLANE" run --config "$RUN/ironlane.toml" >>"$RUN/ironlane.log" 2>&1 &
    IRONLANE_PID=$!
    own_pid "$IRONLANE_PID"
    wait_until 60 ironlane_answers || { tail -n 20 "$RUN/ironlane.log"; return 1; }
}
ironlane_answers() {
    [ -d "/proc/$IRONLANE_PID" ] || return 0 # gone: waiting is over, the next question fails
    il port show >/dev/null 2>&1
}
ironlane_stop() {
    kill "$IRONLANE_PID" || return
    reap 20 "$IRONLANE_PID"
}

box_ironlane_up() {
    local i
    for i in "${VROUTERS[@]}"; do
        case $DEVICE in
        af_*)
            ip link add "$(veth_end "$i")" address "$(port_mac "$i")" type veth peer name "$(uplink "$i")" \
                address "02:00:00:00:31:0$i" netns "$(vrouter "$i")" || return
            echo "link $(veth_end "$i")" >>"$RUN/owned"
            ip link set "$(veth_end "$i")" up
            ip -n "$(vrouter "$i")" link set "$(uplink "$i")" up
            # Frames of at most the MTU with their checksum done, as a wire has them.
            in_ns "$(vrouter "$i")" ethtool -K "$(uplink "$i")" tso off gso off tx off >/dev/null
            ;;
        esac
    done
    ironlane_start && il port show || return
    note "$DEVICE ports, lcores on CPU $LCORES, $(grep -q 'hugepages = true' "$RUN/ironlane.toml" && echo hugepages || echo no hugepages)"
    number_links
}

# Packets that lcores have handed to ports, all together.
lcore_tx() { il lcore show --json | jq '[.. | objects | .tx_packets? // empty] | add'; }

fib_verified() { il verify; }

# fib_has PREFIX...: the fast path has a route for each
fib_has() {
    local have prefix
    have=$(il route show 2>/dev/null) || return
    for prefix in "$@"; do grep -qF "$prefix" <<<"$have" || return 1; done
}

# Every loopback that routing brings, both families.
fast_path_complete() {
    local n prefixes=()
    for n in "${VROUTERS[@]}"; do prefixes+=("$(lo4 "$n")/32" "$(lo6 "$n")/128"); done
    fib_has "${prefixes[@]}"
}

# Carrier of the wire between port N and its vrouter. A tap can be told; a veth loses it with its peer.
box_carrier() { # N up|down
    local onoff=on
    [ "$2" = up ] || onoff=off
    case $DEVICE in
    net_tap) ip -n "$(vrouter "$1")" link set "$(uplink "$1")" carrier $onoff ;;
    *) ip -n "$(vrouter "$1")" link set "$(uplink "$1")" "$2" ;;
    esac
}
