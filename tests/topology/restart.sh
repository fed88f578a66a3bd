#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- h1
#
# Killed with -9 and started again it works at once; ended with TERM it leaves nothing behind, of
# hugepages neither.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1

# KiB of 2 MiB hugepages in use that no process has mapped: others may come and go meanwhile.
hugepages_lost() {
    cat /proc/meminfo /proc/[0-9]*/status 2>/dev/null | awk '
        $1 == "HugetlbPages:" { mapped += $2; next }
        /^Huge/ { of[$1] = $2 }
        END { print (of["HugePages_Total:"] - of["HugePages_Free:"]) * of["Hugepagesize:"] - mapped }'
}
LOST=$(hugepages_lost)
none_lost() {
    local lost
    lost=$(hugepages_lost)
    [ "$lost" -le "$LOST" ] || { echo "$lost KiB are in use by nobody, $LOST before"; return 1; }
}
start_ironlane
has_hugepages() {
    note "$(awk '$1 == "HugetlbPages:" { print $2, $3 }' "/proc/$IRONLANE_PID/status")"
    grep -q 'hugepages = false' "$RUN/ironlane.toml" || [[ $NOTE != 0* ]]
}
no_tap() { not ip -n "$ROUTER" link show p0; }
restart() {
    start_configured
}
killed() { kill -9 "$IRONLANE_PID"; wait "$IRONLANE_PID"; not test -d "/proc/$IRONLANE_PID"; }

run 'it has hugepages, if this machine has any' has_hugepages
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
wait_for 'its hugepages are given back, also those of the killed ones' none_lost
run 'started again' restart
run 'the hosts have their routes' default_routes
wait_for 'traffic flows' ping_ok h0 10.1.0.2
run 'ended by TERM again' ironlane_stop
wait_for 'its hugepages are given back' none_lost
