#!/usr/bin/env bash
# The demo: virtual routers speak OSPF, IS-IS or BGP with Ironlane over its taps, and their packets
# pass through its lcores. docs/demo.md tells what is seen. Usually started by `make demo`.
#
#   PROTOCOL=ospf|isis|bgp|all   default all, one after another
#   KEEP=1                       leave the (last) network running and tell how to look around
#   DEVICE=net_tap|af_packet|af_xdp
#   LCORES=1,2                   CPUs of the lcores; default: the last one that may be used
#   BASELINE=0                   do not measure the kernel alone
set -u
DEMO=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$DEMO/../.." && pwd)
STATE=/run/ironlane-demo

for part in say names netns frr checks traffic failover; do
    # shellcheck source=/dev/null
    . "$DEMO/$part.sh"
done

PROTOCOL=${PROTOCOL:-all}
case $PROTOCOL in
all) PROTOCOLS=(ospf isis bgp) ;;
ospf | isis | bgp) PROTOCOLS=("$PROTOCOL") ;;
*) echo "PROTOCOL is $PROTOCOL; it can be ospf, isis, bgp or all" >&2; exit 2 ;;
esac
case ${DEVICE:-net_tap} in
net_tap | af_packet | af_xdp) ;;
*) echo "DEVICE is $DEVICE; it can be net_tap, af_packet or af_xdp" >&2; exit 2 ;;
esac
if [ "$(id -u)" != 0 ]; then
    echo "the demo makes network namespaces: run it as root" >&2
    exit 1
fi

# One run at a time: it holds a lock. Daemons inherit it, so that it is given up explicitly at the
# end; of a run that was killed they still hold it, and go with what it left.
LOCK_FILE=/run/ironlane-demo.lock
refuse_second() {
    local pid='' born=''
    exec {LOCK}<>"$LOCK_FILE"
    if ! flock -n "$LOCK"; then
        read -r pid born <"$LOCK_FILE"
        if runs "$pid" "$born"; then
            echo "a demo is running already, process $pid; let it end, or end it: kill $pid" >&2
            exit 1
        fi
        clear_kept
        # The last command of a killed run may still be there; none takes longer than this.
        flock -w 30 "$LOCK" || { echo "a process that a killed demo left holds $LOCK_FILE: fuser -v $LOCK_FILE" >&2; exit 1; }
    fi
    echo "$$ $(born $$)" >"$LOCK_FILE"
    clear_kept
}

# What an earlier demo left running (KEEP=1, or a machine that was switched off) goes first.
clear_kept() {
    [ -f "$STATE" ] || return 0
    say "ending the demo that was left running in $(cat "$STATE")"
    remove_owned "$(cat "$STATE")"
    rm -rf "$(cat "$STATE")" "$STATE"
}
refuse_second
if [ "${1:-}" = clean ]; then
    flock -u "$LOCK"
    exit 0
fi

RUN=$(mktemp -d "${TMPDIR:-/tmp}/ironlane-demo.XXXXXX")
chmod 755 "$RUN"
echo "$RUN" >"$STATE"
leave() {
    if [ -z "${LEFT_RUNNING:-}" ]; then
        remove_owned "$RUN"
        rm -f "$STATE"
    fi
    flock -u "$LOCK"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

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

declare -a KERNEL KERNEL_GSO
[ "${BASELINE:-1}" = 0 ] || baseline
remove_owned "$RUN"
for name in "${PROTOCOLS[@]}"; do
    protocol "$name"
    if [ ${#STEPS_FAILED[@]} != 0 ] && [ "$name" != "${PROTOCOLS[-1]}" ]; then remove_owned "$RUN"; fi
done
summary
verdict=$?
if [ "${KEEP:-0}" != 0 ]; then
    LEFT_RUNNING=1
    look_around
fi
[ $verdict != 0 ] || [ -n "${LEFT_RUNNING:-}" ] || { remove_owned "$RUN"; rm -rf "$RUN"; rm -f "$STATE"; }
exit $verdict
