#!/usr/bin/env bash
# The demo. docs/demo.md tells what is seen. Usually started by `make demo`.
#
#   TOPOLOGY=routers|ipsec       virtual routers speak OSPF, IS-IS or BGP with Ironlane over its taps, and
#                                their packets pass through its lcores; or two sites with strongSwan, each
#                                behind an Ironlane that encrypts
#   KEEP=1                       leave the (last) network running and tell how to look around
#   DEVICE=net_tap|af_packet|af_xdp
#   LCORES=1,2                   CPUs of the lcores; default: the last one that may be used
#
# Of the routers: PROTOCOL=ospf|isis|bgp|all (default all, one after another), BASELINE=0 (do not measure the
# kernel alone). The sites have net_tap ports only.
set -u
DEMO=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$DEMO/../.." && pwd)
STATE=/run/ironlane-demo

for part in say netns; do
    # shellcheck source=/dev/null
    . "$DEMO/$part.sh"
done

case ${TOPOLOGY:=routers} in
routers | ipsec) ;;
*) echo "TOPOLOGY is $TOPOLOGY; it can be routers or ipsec" >&2; exit 2 ;;
esac
# shellcheck source=/dev/null
. "$DEMO/$TOPOLOGY.sh"
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

demonstrate
summary
verdict=$?
if [ "${KEEP:-0}" != 0 ]; then
    LEFT_RUNNING=1
    look_around
fi
[ $verdict != 0 ] || [ -n "${LEFT_RUNNING:-}" ] || { remove_owned "$RUN"; rm -rf "$RUN"; rm -f "$STATE"; }
exit $verdict
