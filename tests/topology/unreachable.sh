#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- h1
#
# Where a packet cannot go, its sender hears why, on the wire: no route, unreachable, prohibited, a host
# that does not answer, both families; of a blackhole it hears nothing. Options are honoured on the way.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1
start_ironlane

answer() { # FAMILY ADDRESS PATTERN: the box says so
    local out from=10.0.0.1
    [ "$1" = 6 ] && from=2001:db8::1
    out=$(on h0 ping "-$1" -n -c 2 -i 0.3 -W "${SECONDS_TO_WAIT:-2}" "$2" 2>&1)
    grep -i "from $from.*$3" <<<"$out" >/dev/null || { echo "$out"; return 1; }
}
silence() { # FAMILY ADDRESS
    local out
    out=$(on h0 ping "-$1" -n -q -c 2 -i 0.3 -W 1 "$2" 2>&1)
    grep -q ' 0 received, 100% packet loss' <<<"$out" || { echo "$out"; return 1; }
}
records_route() { # ADDRESS: both hops of the box are in the answer
    local out
    out=$(on h0 ping -n -R -c 1 -W 2 "$1")
    { grep -q '10\.1\.0\.1' <<<"$out" && grep -q '10\.0\.0\.1' <<<"$out"; } || { echo "$out"; return 1; }
}
routes() {
    ip -n "$ROUTER" -batch - <<'ROUTES'
route add unreachable 203.0.113.0/26
route add prohibit 203.0.113.64/26
route add blackhole 203.0.113.128/26
route add unreachable 2001:db8:f:1::/64
route add prohibit 2001:db8:f:2::/64
route add blackhole 2001:db8:f:3::/64
ROUTES
}

run 'routes that lead nowhere' routes
wait_for 'they are in the fast path' adjacency_is 203.0.113.129 blackhole
wait_for 'those of IPv6, too' adjacency_is 2001:db8:f:3::1 blackhole
ok 'no route, IPv4' answer 4 198.51.100.1 'Net Unreachable'
ok 'unreachable, IPv4' answer 4 203.0.113.1 'Host Unreachable'
ok 'prohibited, IPv4' answer 4 203.0.113.65 'Packet filtered'
ok 'no route, IPv6' answer 6 2001:db8:e::1 'No route'
ok 'unreachable, IPv6' answer 6 2001:db8:f:1::1 'No route'
ok 'prohibited, IPv6' answer 6 2001:db8:f:2::1 'Administratively prohibited'
ok 'a blackhole is silent, IPv4' silence 4 203.0.113.129
ok 'a blackhole is silent, IPv6' silence 6 2001:db8:f:3::1
SECONDS_TO_WAIT=6
ok 'a host that is not there, IPv4' answer 4 10.1.0.77 'Host Unreachable'
ok 'a host that is not there, IPv6' answer 6 2001:db8:1::77 'Address unreachable'
ok 'record route names the box both ways' records_route 10.1.0.2
for reason in no_route unreachable prohibit ip4_options; do
    ok "punts are counted by reason: $reason" at_least "$(punted $reason)" 1
done
ok 'what a blackhole took is counted' at_least "$(($(dropped ip4_blackhole) + $(dropped ip6_blackhole)))" 4
ok 'kernel and fast path agree' wait_until 10 verified
ok 'every packet is accounted for' identity_holds
