#!/usr/bin/env bash
# h0 ---- p0 [ironlane, FRR] p1 ---- h1 (FRR)      eBGP between ironlane's FRR and h1
#
# h0 floods the box with packets for the kernel (TTL expired, hosts that do not exist): they are
# policed, and not one BGP keepalive is lost for it.
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
session() { show "$ROUTER" 'show bgp neighbors 10.1.0.2 json' | jq -r ".[\"10.1.0.2\"]$1"; }
established() { [ "$(session .bgpState)" = Established ]; }
# The generator is nice: it is to flood the box, not to starve FRR of the same CPUs.
flood() { on h0 nice -n 10 python3 "$TOPOLOGY/flood.py" eth0 "$(port_mac 0)" "$1" >"$RUN/flooded"; }

run 'FRR at both ends' eval 'frr_start "$ROUTER" 1 && frr_start "$(host_ns h1)" 2'
wait_for 'the BGP session is up' established
drops=$(session .connectionsDropped)
keepalives=$(session .messageStats.keepalivesRecv)
run 'a flood of 9 seconds, longer than the hold time' flood 9
echo "        $(cat "$RUN/flooded") frames"
ok 'the flood was policed' at_least "$(($(dropped punt_policed) + $(dropped glean_policed) + $(dropped punt_ring_full)))" 1000
ok 'the session is still up' established
ok 'and was never down' [ "$(session .connectionsDropped)" = "$drops" ]
ok 'a keepalive came each second' at_least "$(($(session .messageStats.keepalivesRecv) - keepalives))" 8
ok 'no BGP packet was policed or found its ring full' eval \
    '[ "$(il punt show --json --all | jq "[.. | objects | select(.reason? == \"bgp\") | .policed + .ring_full] | add")" = 0 ]'
ok 'other traffic flows' ping_ok h1 10.0.0.2
ok 'kernel and fast path agree' wait_until 10 verified
ok 'every packet is accounted for' identity_holds
