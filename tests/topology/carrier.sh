#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- h1
#
# Link state both ways: a port without carrier shows on its tap and back; `ip link set TAP down`
# stops the port and its routes are gone from the fast path, and up brings all back.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1
start_ironlane

tap_carrier() { [ "$(router cat /sys/class/net/p1/carrier 2>/dev/null)" = "$1" ]; }
port_link() { [ "$(il port show --json | jq -r '[.. | objects | select(.name? == "p1")][0].link_up')" = "$1" ]; }
port_admin() { [ "$(il port show --json | jq -r '[.. | objects | select(.name? == "p1")][0].admin_up')" = "$1" ]; }
wire() { on h1 ip link set eth0 carrier "$1"; }
readdress() { router ip -6 addr replace 2001:db8:1::1/64 dev p1 nodad; }

ok 'traffic flows' ping_ok h0 10.1.0.2
ok 'the tap has carrier' tap_carrier 1

run 'the cable is pulled' wire off
wait_for 'the port has no link' port_link false
wait_for 'the tap has no carrier' tap_carrier 0
wait_for 'kernel and fast path agree' verified
run 'the cable is back' wire on
wait_for 'the port has its link' port_link true
wait_for 'the tap has carrier' tap_carrier 1
wait_for 'traffic flows again, IPv4' ping_ok h0 10.1.0.2
wait_for 'traffic flows again, IPv6' ping_ok h0 2001:db8:1::2

run 'the tap is set down' router ip link set p1 down
wait_for 'the port is stopped' port_admin false
wait_for "h1's net is not forwarded" not adjacency_is 10.1.0.2 forward
ok 'nothing gets through' not ping_ok h0 10.1.0.2
wait_for 'kernel and fast path agree' verified
run 'the tap is set up' router ip link set p1 up
run 'and has its IPv6 address' readdress
run "the host has its routes" default_routes
wait_for 'the port runs' port_admin true
wait_for 'traffic flows again, IPv4' ping_ok h0 10.1.0.2
wait_for 'traffic flows again, IPv6' ping_ok h0 2001:db8:1::2

run 'ten flaps' eval 'for i in 1 2 3 4 5 6 7 8 9 10; do wire off; wire on; router ip link set p1 down; router ip link set p1 up; done; readdress; default_routes'
wait_for 'traffic flows after ten flaps, IPv4' ping_ok h0 10.1.0.2
wait_for 'traffic flows after ten flaps, IPv6' ping_ok h0 2001:db8:1::2
wait_for 'kernel and fast path agree at the end' verified
ok 'every packet is accounted for' identity_holds
