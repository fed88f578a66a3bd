#!/usr/bin/env bash
# h0 ---- p0 [ironlane, FRR] p1 ---- h1 (FRR)      eBGP between ironlane's FRR and h1
#
# h0 floods the box with packets for the kernel (TTL expired, hosts that do not exist): they are
# policed, and not one BGP keepalive is lost for it. How many h1 sends in a second is a matter of the
# machine, which has FRR and the flood to run: the flood lasts until eight have come, and each that was
# sent has to arrive.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1
start_ironlane

PROTOCOL=edge
edge_daemons=bgpd
edge_interface() { :; }
edge_loopback() { :; }
edge_router() { # 1: the box, 2: h1
    cat <<CONF
router bgp 6500$1
 bgp router-id 10.1.0.$1
 no bgp ebgp-requires-policy
 timers bgp 1 6
 neighbor 10.1.0.$((3 - $1)) remote-as 6500$((3 - $1))
 neighbor 10.1.0.$((3 - $1)) timers connect 1
exit
CONF
}
H1=$(host_ns h1)
session() { show "$ROUTER" 'show bgp neighbors 10.1.0.2 json' | jq -r ".[\"10.1.0.2\"]$1"; }
established() { [ "$(session .bgpState)" = Established ]; }
sent() { show "$H1" 'show bgp neighbors 10.1.0.1 json' | jq '.["10.1.0.1"].messageStats.keepalivesSent'; }
received() { session .messageStats.keepalivesRecv; }
# tcp NS COUNTER: of /proc/net/snmp. The session is the only TCP of h1 and of the box.
tcp() {
    in_ns "$1" awk -v name="$2" '$1 != "Tcp:" { next }
        !column { for (column = 2; $column != name; column++) if (column > NF) exit 1; next }
        { print $column }' /proc/net/snmp
}
sum() { # COMMAND...: of what they print
    local n total=0
    for n in "$@"; do
        n=$(eval "$n") || return
        total=$((total + n))
    done
    echo $total
}
# under_way GOT SENT...: how much less was got than sent, the sum; fails if more is sent while it looks
under_way() {
    local before got
    before=$(sum "${@:2}") && got=$(eval "$1") && [ "$before" = "$(sum "${@:2}")" ] && echo $((before - got))
}
KEEPALIVES=(received sent)
SEGMENTS=('tcp $ROUTER InSegs' 'tcp $H1 OutSegs' 'tcp $H1 RetransSegs')
# What never arrived before the flood (a session that did not come to be): the least of some looks,
# since at any of them one may really be under way.
at_rest() { # GOT SENT...
    local i least='' now
    for i in 1 2 3 4 5 6; do
        now=$(under_way "$@") && [ "$now" -lt "${least:-$((now + 1))}" ] && least=$now
        sleep 0.3
    done
    echo "$least"
    [ -n "$least" ]
}
all_arrived() { # AT_REST GOT SENT...
    local now
    now=$(under_way "${@:2}") || return
    [ "$now" = "$1" ] || { echo "$now are under way, $1 before the flood"; return 1; }
}
# The generator is nice: it is to flood the box, not to starve FRR of the same CPUs.
flood() {
    ip netns exec "$(host_ns h0)" nice -n 10 python3 "$TOPOLOGY/flood.py" eth0 "$(port_mac 0)" 60 >"$RUN/flooded" &
    FLOOD=$!
    own_pid $FLOOD
    BEGAN=$SECONDS
}
# Longer than the hold time, and until eight keepalives have come.
flooded() {
    sleep 0.5
    [ $((SECONDS - BEGAN)) -ge 9 ] && at_least $(($(received) - keepalives)) 8
}
look() {
    drops=$(session .connectionsDropped) && keepalives_at_rest=$(at_rest "${KEEPALIVES[@]}") &&
        segments_at_rest=$(at_rest "${SEGMENTS[@]}") && again=$(tcp "$H1" RetransSegs) && keepalives=$(received)
}

run 'FRR at both ends' eval 'frr_start "$ROUTER" 1 && frr_start "$H1" 2'
wait_for 'the BGP session is up' established
run 'counters are read before' look
run 'a flood begins' flood
WAIT=40 wait_for 'eight keepalives come by, and the hold time' flooded
run 'it ends' eval 'kill $FLOOD && reap 5 $FLOOD'
echo "        $(cat "$RUN/flooded") frames in $((SECONDS - BEGAN)) s, h1's TCP sent" \
    "$(($(tcp "$H1" RetransSegs) - again)) segments again"
ok 'the flood was policed' at_least "$(($(dropped punt_policed) + $(dropped glean_policed) + $(dropped punt_ring_full)))" 1000
ok 'the session is still up' established
ok 'and was never down' [ "$(session .connectionsDropped)" = "$drops" ]
wait_for 'each keepalive that h1 sent has arrived' all_arrived "$keepalives_at_rest" "${KEEPALIVES[@]}"
wait_for 'and each TCP segment that h1 sent' all_arrived "$segments_at_rest" "${SEGMENTS[@]}"
ok 'no BGP packet was policed or found its ring full' eval \
    '[ "$(il punt show --json --all | jq "[.. | objects | select(.reason? == \"bgp\") | .policed + .ring_full] | add")" = 0 ]'
ok 'other traffic flows' ping_ok h1 10.0.0.2
ok 'kernel and fast path agree' wait_until 10 verified
ok 'every packet is accounted for' identity_holds
