# The network of the demo: four virtual routers around Ironlane, with a routing protocol. Sourced by run.sh.

for part in names frr checks traffic failover; do
    # shellcheck source=/dev/null
    . "$DEMO/$part.sh"
done

PROTOCOL=${PROTOCOL:-all}
case $PROTOCOL in
all) PROTOCOLS=(ospf isis bgp) ;;
ospf | isis | bgp) PROTOCOLS=("$PROTOCOL") ;;
*) echo "PROTOCOL is $PROTOCOL; it can be ospf, isis, bgp or all" >&2; exit 2 ;;
esac

# The same topology, forwarded by the kernel alone: what the rates are compared with.
baseline() {
    SECTION=kernel
    load_protocol "${PROTOCOLS[0]}"
    # shellcheck source=/dev/null
    . "$DEMO/box_kernel.sh"
    headline "The same network forwarded by the kernel alone, for comparison"
    step 'namespaces, veths and FRR' eval 'make_namespaces && box_kernel_up && frr_start_all' &&
        step 'converged' wait_until 60 converged || return
    local family
    for family in 4 6; do
        box_kernel_offloads on
        step "iperf3 by IPv$family, 64 KiB segments (offloads)" iperf_kernel $family && KERNEL_GSO[$family]=$MBITS
        box_kernel_offloads off
        step "iperf3 by IPv$family, frames of 1500 bytes" iperf_kernel $family && KERNEL[$family]=$MBITS
    done
    row "kernel alone, MTU 1500, no offloads" "v4 ${KERNEL[4]-?} Mbit/s, v6 ${KERNEL[6]-?} Mbit/s"
    row "kernel alone, 64 KiB segments" "v4 ${KERNEL_GSO[4]-?} Mbit/s, v6 ${KERNEL_GSO[6]-?} Mbit/s"
    remove_owned "$RUN"
}

# One protocol from cold start to clean-up.
protocol() {
    SECTION=$1
    load_protocol "$1"
    # shellcheck source=/dev/null
    . "$DEMO/box_ironlane.sh"
    local -n title="$1_title"
    local family start
    headline "$title over Ironlane's taps"
    step 'network namespaces' make_namespaces &&
        step 'Ironlane with four ports and taps' box_ironlane_up &&
        step 'FRR in five namespaces' frr_start_all || return
    start=$(now)
    step 'converged: all loopbacks known everywhere, v4 and v6' wait_until 60 converged || return
    step 'neighbours over the taps are up' neighbours_up
    row "$SECTION: converged" "$(since "$start") s after FRR's start"
    step 'every learnt route is in the fast path' wait_until 10 fast_path_complete
    step 'ironlane verify: kernel and fast path agree' wait_until 10 fib_verified
    step 'ping between all loopbacks' ping_all
    step 'traceroute between all loopbacks' traceroute_all
    for family in 4 6; do
        if step "iperf3 by IPv$family, through the lcores alone" iperf_past_the_kernel $family; then
            row "$SECTION: iperf3 TCP by IPv$family, MTU 1500" "$MBITS Mbit/s (kernel alone ${KERNEL[$family]-not measured})"
        else
            row "$SECTION: iperf3 TCP by IPv$family, MTU 1500" FAILED
        fi
    done
    lose_the_link
    step 'ironlane verify at the end' wait_until 10 fib_verified
    [ -n "${KEEP:-}" ] && [ "${KEEP:-0}" != 0 ] && [ "$1" = "${PROTOCOLS[-1]}" ] && return
    step 'Ironlane ends cleanly, its taps are gone' ends_cleanly
    remove_owned "$RUN"
}
# DPDK's AF_XDP driver keeps the buffers of its fill ring when it is closed, which the daemon calls
# by its name and ends with status 1: there, only the taps are looked for.
ends_cleanly() {
    ironlane_stop || [ "$DEVICE" = af_xdp ] || { tail -n 20 "$RUN/ironlane.log"; return 1; }
    not ip -n "$ROUTER" link show "$(tap 0)" 2>/dev/null
}

look_around() {
    local exec="ip netns exec"
    headline 'It is left running. To look around:'
    cat <<HELP
  export IRONLANE_SOCKET=$RUN/ironlane.sock     # and: cd $ROOT/target/release
  ./ironlane route show                         what the lcores forward by
  ./ironlane route get $(lo4 2)                which way, and why
  ./ironlane port show; ./ironlane punt show; ./ironlane drop show; ./ironlane verify
  $exec $(vrouter 0) ping -I $(lo4 0) $(lo4 2)
  $exec $(vrouter 0) traceroute -s $(lo4 0) $(lo4 2)
  $exec $ROUTER vtysh -N $ROUTER               FRR beside Ironlane
  $exec $(vrouter 0) vtysh -N $(vrouter 0)             FRR of a virtual router
  $exec $ROUTER tcpdump -ni $(tap 0)                 what reaches Linux: control packets only
  ip -n $(vrouter 0) link set $(uplink 0) carrier off       pull a cable (on: put it back)
  make demo-clean                               end it
HELP
}

demonstrate() {
    declare -ga KERNEL KERNEL_GSO
    [ "${BASELINE:-1}" = 0 ] || baseline
    remove_owned "$RUN"
    local name
    for name in "${PROTOCOLS[@]}"; do
        protocol "$name"
        if [ ${#STEPS_FAILED[@]} != 0 ] && [ "$name" != "${PROTOCOLS[-1]}" ]; then remove_owned "$RUN"; fi
    done
}
