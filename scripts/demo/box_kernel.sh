# The box without Ironlane: four veths, the kernel of the router's namespace forwards. It is what
# the figures are compared with. Sourced.

box_kernel_up() {
    local i
    for i in "${VROUTERS[@]}"; do
        ip link add "$(tap "$i")" address "$(port_mac "$i")" netns "$ROUTER" \
            type veth peer name "$(uplink "$i")" netns "$(vrouter "$i")"
    done
    number_links
}

# The devices of the demo carry one frame of at most the MTU at a time; veths pass 64 KiB between
# them unless told. offloads on|off: for the comparison with equal frames.
box_kernel_offloads() {
    local i
    for i in "${VROUTERS[@]}"; do
        in_ns "$ROUTER" ethtool -K "$(tap "$i")" tso "$1" gso "$1" gro "$1" tx "$1" >/dev/null
        in_ns "$(vrouter "$i")" ethtool -K "$(uplink "$i")" tso "$1" gso "$1" gro "$1" tx "$1" >/dev/null
    done
}

# A veth loses carrier when its other end is set down.
box_carrier() { ip -n "$(vrouter "$1")" link set "$(uplink "$1")" "$2"; }
