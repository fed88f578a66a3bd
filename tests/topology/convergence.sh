#!/usr/bin/env bash
#                          p1 ---- h1
# h0 ---- p0 [ironlane]                 many routes by one nexthop group
#                          p2 ---- h2
#
# One neighbour's MAC, one nexthop object, one link changes under all routes: from before the netlink
# message is sent until the first frame by the new way is seen at a host. Few routes in a test run;
#   IRONLANE_ROUTES=1000000 IRONLANE=target/release/ironlane tests/topology/convergence.sh
# The limit is wide, since a test machine is busy; the figures are printed.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1 h2:p2
start_ironlane '[neighbour]' 'refresh_interval_s = 0'

ROUTES=${IRONLANE_ROUTES:-20000}
COUNT_CHANGES=${COUNT_CHANGES:-100}
LIMIT_P50_US=${LIMIT_P50_US:-50000}
# The kernel itself takes milliseconds to set a link down.
LIMIT_LINK_US=${LIMIT_LINK_US:-100000}
# A link takes longer to come back.
LINK_SHARE=${LINK_SHARE:-5}
for n in 1 2; do
    # It has no address in these routes: what it gets it shall not send back.
    on h$n sysctl -qw net.ipv4.ip_forward=0
    ok "h$n is resolved" router ping -c 1 -W 2 10.$n.0.2
done
# With 1, its default, the kernel says all routes again whenever a nexthop object changes.
router sysctl -qw net.ipv4.nexthop_compat_mode=0

fill() {
    router ip nexthop add id 1 via 10.1.0.2 dev p1 || return
    router ip nexthop add id 10 group 1 || return
    awk -v n="$ROUTES" 'BEGIN { for (i = 0; i < n; i++)
        printf "route add %d.%d.%d.0/24 nhid 10\n", 20 + int(i / 65536), int(i / 256) % 256, i % 256 }' >"$RUN/routes"
    router ip -batch "$RUN/routes"
}
# Milliseconds that the mirror's thread has run, and that have passed.
mirror_ms() {
    local task
    for task in /proc/"$IRONLANE_PID"/task/*; do
        [ "$(cat "$task/comm")" = mirror ] && awk '{ printf "%d", $1 / 1e6 }' "$task/schedstat"
    done
}
now_ms() { date +%s%3N; }
filled() {
    local cpu start ms
    cpu=$(mirror_ms) start=$(now_ms)
    fill || return
    ms=$(($(now_ms) - start))
    note "$((ROUTES * 1000 / ms)) a second; the mirror's share of a CPU: $((($(mirror_ms) - cpu) * 100 / ms)) %"
}
all_there() { at_least "$(il status --json | jq .ip4_routes)" "$ROUTES"; }
nothing_lost() { [ "$(il status --json | jq -c '.mirror | [.overruns, .resyncs, .malformed]')" = '[0,0,0]' ]; }
measure() { # WHAT
    local count=$COUNT_CHANGES limit=$LIMIT_P50_US
    [ "$1" = link ] && count=$((count / LINK_SHARE)) limit=$LIMIT_LINK_US
    python3 "$TOPOLOGY/convergence.py" "$ROUTER" "$(host_ns h0)" "$(host_ns h1):p1" "$(host_ns h2):p2" \
        "$count" "$ROUTES" "$1" >"$RUN/convergence.$1" || return
    note "$(cat "$RUN/convergence.$1")"
    at_least "$limit" "$(jq .p50_us "$RUN/convergence.$1")"
}
run "$ROUTES routes by ip -batch" filled
wait_for 'the mirror has them' all_there
ok 'no event was lost' nothing_lost
ok 'kernel and fast path agree' verified
for change in ${CHANGES:-mac nexthop link}; do
    run "$COUNT_CHANGES changes of a $change" measure "$change"
done
wait_for 'kernel and fast path agree at the end' verified
ok 'every packet is accounted for' identity_holds
