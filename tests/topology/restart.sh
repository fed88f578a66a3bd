#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- h1
#
# Killed with -9 and started again it works at once; ended with TERM it leaves nothing behind.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1
start_ironlane

hugepages_used() { awk '$1 == "HugePages_Total:" { t = $2 } $1 == "HugePages_Free:" { print t - $2 }' /proc/meminfo; }
no_tap() { not ip -n "$ROUTER" link show p0; }
restart() {
    start_configured
}
killed() { kill -9 "$IRONLANE_PID"; wait "$IRONLANE_PID"; not test -d "/proc/$IRONLANE_PID"; }

ok 'traffic flows' ping_ok h0 10.1.0.2
for round in 1 2 3; do
    run "kill -9 ($round)" killed
    run "started again ($round)" restart
    run "the hosts have their routes ($round)" default_routes
    wait_for "traffic flows, IPv4 ($round)" ping_ok h0 10.1.0.2
    wait_for "traffic flows, IPv6 ($round)" ping_ok h0 2001:db8:1::2
done
ok 'kernel and fast path agree' verified
run 'ended by TERM with status 0' ironlane_stop
ok 'the taps are gone' no_tap
ok 'the socket is gone' not test -e "$RUN/ironlane.sock"
run 'started again' restart
run 'the hosts have their routes' default_routes
wait_for 'traffic flows' ping_ok h0 10.1.0.2
