#!/usr/bin/env bash
#        +---- p0 [ironlane]
# h0 ----+
#        +---- a router on the same link (10.0.0.9, fe80::9), which is no more than a MAC
#
# What turns back to the link that it came from is forwarded to the better router, and its sender is told
# of it (RFC 1812 5.2.7.2, RFC 4861 8.2), both families; the kernel sees one packet a second for it.
. "$(dirname "$0")/lib.sh"
topology h0:p0
start_ironlane

BETTER=02:00:00:00:31:99
PACKETS=10
better_router() {
    ip -n "$ROUTER" neigh replace 10.0.0.9 lladdr $BETTER dev p0 nud permanent &&
        ip -n "$ROUTER" neigh replace fe80::9 lladdr $BETTER dev p0 nud permanent &&
        ip -n "$ROUTER" route add 198.51.100.0/24 via 10.0.0.9 dev p0 &&
        ip -n "$ROUTER" route add 2001:db8:e::/64 via fe80::9 dev p0
}
# on_the_wire ADDRESS: PACKETS echo requests to it, five a second; all that h0 receives meanwhile goes to $RUN/wire
on_the_wire() {
    : >"$RUN/wire.err"
    ip netns exec "$(host_ns h0)" tcpdump -lnne -i eth0 -Q in 'icmp or icmp6' >"$RUN/wire" 2>"$RUN/wire.err" &
    local tcpdump=$!
    own_pid $tcpdump
    wait_until 5 grep -q '^listening' "$RUN/wire.err" || { cat "$RUN/wire.err"; return 1; }
    on h0 ping -n -q -c $PACKETS -i 0.2 -W 1 "$1"
    sleep 0.5
    kill $tcpdump
    reap 5 $tcpdump
    true
}
seen() { # COUNT PATTERN
    local count
    count=$(grep -cE "$2" "$RUN/wire")
    [ "$count" -ge "$1" ] || { echo "$count of $1"; cat "$RUN/wire"; return 1; }
}
punts() { local n; n=$(punted redirect); [ "$n" -ge "$1" ] && [ "$n" -le "$2" ] || { echo "$n of $1 to $2"; return 1; }; }

run 'routes by another router of the link' better_router
wait_for 'they are in the fast path, IPv4' adjacency_is 198.51.100.1 forward
wait_for 'they are in the fast path, IPv6' adjacency_is 2001:db8:e::1 forward
run "$PACKETS packets turn back, IPv4" on_the_wire 198.51.100.1
ok 'all of them reach the better router' seen $PACKETS "> $BETTER.* 198.51.100.1: ICMP echo request"
ok 'their sender is told of it' seen 1 'ICMP redirect 198.51.100.1 to host 10.0.0.9'
ok 'the kernel saw one a second' punts 1 4
before=$(punted redirect)
run "$PACKETS packets turn back, IPv6" on_the_wire 2001:db8:e::1
ok 'all of them reach the better router' seen $PACKETS "> $BETTER.* 2001:db8:e::1: ICMP6, echo request"
ok 'their sender is told of it' seen 1 'ICMP6, redirect, 2001:db8:e::1 to fe80::9'
ok 'the kernel saw one a second' punts $((before + 1)) $((before + 4))
ok 'kernel and fast path agree' wait_until 10 verified
ok 'every packet is accounted for' identity_holds
