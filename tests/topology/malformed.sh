#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- h1
#
# Every capture that is at hand, the malformed ones above all, is sent into the running box, as it is
# and addressed to the box: no panic, every packet accounted for, traffic flows afterwards.
. "$(dirname "$0")/lib.sh"
SHARED=${IRONLANE_SHARED:-$ROOT/../shared}
mapfile -t CAPTURES_AT_HAND < <(find "$ROOT/tests/data" "$SHARED/data/pcaps" -name '*.pcap' 2>/dev/null | sort)
[ ${#CAPTURES_AT_HAND[@]} != 0 ] || skip 'no capture in tests/data nor in ../shared/data/pcaps'
topology h0:p0 h1:p1
start_ironlane

replay() { note "$(on h0 python3 "$TOPOLOGY/replay.py" eth0 "$(port_mac 0)" "${CAPTURES_AT_HAND[@]}") frames"; }
ok 'traffic flows before' ping_ok h0 10.1.0.2
run "${#CAPTURES_AT_HAND[@]} captures sent" replay
ok 'the daemon runs' test -d "/proc/$IRONLANE_PID"
ok 'no panic in its log' not grep -q panicked "$RUN/ironlane.log"
ok 'malformed packets are counted: IPv4 checksum' at_least "$(dropped ip4_bad_checksum)" 1
ok 'malformed packets are counted: IPv4 length' at_least "$(dropped ip4_bad_length)" 1
wait_for 'traffic flows afterwards, IPv4' ping_ok h0 10.1.0.2
wait_for 'traffic flows afterwards, IPv6' ping_ok h0 2001:db8:1::2
ok 'kernel and fast path agree' verified
ok 'every packet is accounted for' identity_holds
