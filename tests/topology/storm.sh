#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- h1
#
# 100,000 routes added, flushed and added again, links flapped meanwhile, with a receive buffer so
# small that it overruns: the mirror resynchronises, traffic goes on, and kernel and fast path agree
# in the end, entry by entry.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1
ROUTES=${ROUTES:-100000}
start_ironlane '[mirror]' 'receive_buffer_kib = 64' 'audit_delay_ms = 300'

batch() { # add|del: to files for ip -batch, IPv4 and a tenth as many of IPv6
    awk -v n="$ROUTES" -v verb="$1" 'BEGIN { for (i = 0; i < n; i++)
        printf "route %s 100.%d.%d.%d/32 via 10.1.0.2\n", verb, 64 + i / 65536, i / 256 % 256, i % 256 }' >"$RUN/$1.4"
    awk -v n="$ROUTES" -v verb="$1" 'BEGIN { for (i = 0; i < n / 10; i++)
        printf "route %s 2001:db8:f%03x:%x::/64 via 2001:db8:1::2\n", verb, i / 256, i % 256 }' >"$RUN/$1.6"
}
apply() { router ip -batch "$RUN/$1.4" && router ip -6 -batch "$RUN/$1.6"; }
flush() { router ip route flush root 100.64.0.0/10 && router ip -6 route flush root 2001:db8:f000::/36; }
kernel_routes() { router ip -4 route show root 100.64.0.0/10 | wc -l; }
mirrored() { # fails if the daemon does not say; grep's status 1 is a count of 0
    (set -o pipefail; il route show --json | { grep -c '"prefix":"100\.' || [ $? = 1 ]; })
}
all_mirrored() {
    local n
    n=$(mirrored) || return
    [ "$n" = "$1" ] || { echo "$n are"; return 1; }
}
flap_p0() {
    local i
    for i in 1 2 3 4 5; do
        router ip link set p0 down
        router ip link set p0 up
    done
    router ip -6 addr replace 2001:db8::1/64 dev p0 nodad
    default_routes
}

run 'batches are written' eval 'batch add; batch del'
ok 'traffic flows before' ping_ok h0 10.1.0.2
run "$ROUTES IPv4 and $((ROUTES / 10)) IPv6 routes added" apply add
WAIT=60 wait_for 'all are mirrored' all_mirrored "$ROUTES"
ok 'traffic flows' ping_ok h0 10.1.0.2
WAIT=60 wait_for 'kernel and fast path agree' verified
run 'flushed' flush
WAIT=60 wait_for 'none is left' all_mirrored 0
WAIT=60 wait_for 'kernel and fast path agree' verified
run 'added again while p0 flaps' eval 'apply add & adder=$!; flap_p0; wait $adder'
run 'deleted one by one while p0 flaps' eval 'apply del & deleter=$!; flap_p0; wait $deleter'
WAIT=60 wait_for 'none is left' all_mirrored 0
WAIT=60 wait_for 'kernel and fast path agree at the end' verified
wait_for 'traffic flows at the end, IPv4' ping_ok h0 10.1.0.2
wait_for 'traffic flows at the end, IPv6' ping_ok h0 2001:db8:1::2
resyncs() { il status --json | jq '[.. | objects | .resyncs? // empty] | add'; }
ok 'the socket overran, and the mirror dumped again' at_least "$(resyncs)" 1
ok 'every packet is accounted for' identity_holds
