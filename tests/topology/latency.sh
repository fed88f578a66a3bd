#!/usr/bin/env bash
#                          p1 ---- h1   203.0.113.9
# h0 ---- p0 [ironlane]
#                          p2 ---- h2   203.0.113.9
#
# The route to 203.0.113.9 is replaced to and fro while datagrams flow: from before the netlink
# message is sent until the first datagram arrives by the new nexthop, measured from outside.
# The limits are wide, since a test machine is busy; the figures are printed.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1 h2:p2
start_ironlane

COUNT_CHANGES=${COUNT_CHANGES:-300}
LIMIT_P50_US=${LIMIT_P50_US:-10000}
for host in h1 h2; do
    on $host ip addr add 203.0.113.9/32 dev lo
    on $host ip addr add 2001:db8:113::9/128 dev lo
done
for n in 1 2; do
    ok "h$n is resolved, IPv4" router ping -c 1 -W 2 10.$n.0.2
    ok "h$n is resolved, IPv6" router ping -c 1 -W 2 2001:db8:$n::2
done
measure() {
    python3 "$TOPOLOGY/latency.py" "$ROUTER" "$(host_ns h0)" "$(host_ns h1):p1" "$(host_ns h2):p2" \
        "$1" "$COUNT_CHANGES" >"$RUN/latency.$1" || return
    note "$(cat "$RUN/latency.$1")"
    at_least "$LIMIT_P50_US" "$(jq .p50_us "$RUN/latency.$1")"
}
run "$COUNT_CHANGES changes of an IPv4 route" measure 4
run "$COUNT_CHANGES changes of an IPv6 route" measure 6
echo "  inside, from message to visible: $(il latency show --json | jq -c '{samples, p50_us, p99_us, max_us}')"
ok 'kernel and fast path agree' verified
ok 'every packet is accounted for' identity_holds
