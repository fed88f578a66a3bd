#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- h1      and a net behind h1: 203.0.113.0/24, 2001:db8:113::/64
#
# A route whose nexthop has no MAC is a glean: the first packets go to the kernel, which resolves
# and sends them, so none is lost, and the neighbour completes the adjacency. A host that gets
# another MAC is followed; one that is gone goes back to glean, and works again when it is back.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1
start_ironlane

h1_mac() { on h1 cat /sys/class/net/eth0/address; }
adjacency_has() { il adjacency show --json | jq -e --arg mac "$1" 'any(.. | objects; .destination_mac? == $mac)'; }
forget() { # the kernel forgets h1
    router ip neigh flush dev p1
    router ip -6 neigh flush dev p1
}

for a in 203.0.113.9/24 2001:db8:113::9/64; do on h1 ip addr add $a dev lo; done
run 'routes by h1, IPv4' router ip route add 203.0.113.0/24 via 10.1.0.2
run 'routes by h1, IPv6' router ip -6 route add 2001:db8:113::/64 via 2001:db8:1::2
run 'the kernel has no neighbour' forget
wait_for 'the route is a glean, IPv4' adjacency_is 203.0.113.9 glean
wait_for 'the route is a glean, IPv6' adjacency_is 2001:db8:113::9 glean
ok 'no packet is lost while the kernel resolves, IPv4' ping_ok h0 203.0.113.9
ok 'no packet is lost while the kernel resolves, IPv6' ping_ok h0 2001:db8:113::9
wait_for 'the adjacency forwards, IPv4' adjacency_is 203.0.113.9 forward
wait_for 'the adjacency forwards, IPv6' adjacency_is 2001:db8:113::9 forward
ok 'kernel and fast path agree' verified

run 'h1 gets another MAC' on h1 ip link set eth0 address 02:00:00:00:99:01
run 'and tells everybody' on h1 ping -c 1 -W 2 10.1.0.1
run 'and tells everybody, IPv6' on h1 ping -c 1 -W 2 2001:db8:1::1
wait_for 'the adjacency has the new MAC' adjacency_has "$(h1_mac)"
wait_for 'traffic arrives, IPv4' ping_ok h0 203.0.113.9
wait_for 'traffic arrives, IPv6' ping_ok h0 2001:db8:113::9

goes() {
    ip netns exec "$(host_ns h1)" python3 "$DEMO/silence.py" eth0 >"$RUN/silence" 2>&1 &
    SILENCE=$!
    own_pid "$SILENCE"
    wait_until 5 grep -q '^silent' "$RUN/silence"
}
run 'h1 goes without a word: it hears nothing any more' goes
run 'the kernel forgets h1' forget
for a in 203.0.113.9 2001:db8:113::9; do
    ip netns exec "$(host_ns h0)" ping -c 20 -i 0.2 -q $a >/dev/null 2>&1 &
    own_pid $!
done
wait_for 'the failed neighbour is a glean, IPv4' adjacency_is 203.0.113.9 glean
wait_for 'the failed neighbour is a glean, IPv6' adjacency_is 2001:db8:113::9 glean
wait_for 'kernel and fast path agree' verified
run 'h1 is back' kill "$SILENCE"
wait_for 'traffic arrives again, IPv4' ping_ok h0 203.0.113.9
wait_for 'traffic arrives again, IPv6' ping_ok h0 2001:db8:113::9
wait_for 'the adjacency forwards again' adjacency_is 203.0.113.9 forward
ok 'kernel and fast path agree at the end' verified
ok 'every packet is accounted for' identity_holds
