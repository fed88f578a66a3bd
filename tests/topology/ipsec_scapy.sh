#!/usr/bin/env bash
# h0 ---- p0 [ironlane A] p1 ---- wan
#
# Static SAs between the router and scapy's IPsec at wan, which no code is shared with: each algorithm of ESP
# and AH in tunnel and transport mode, both families outside and inside, in UDP, with extended sequence numbers
# and over their wrap, with IP options and extension headers; both directions, byte by byte. SAs are installed
# as charon's plugin would do it.
#
# IRONLANE_INTEROP=all tries every algorithm in every shape.
. "$(dirname "$0")/lib.sh"
# Debian's, whose scapy and cryptography belong together.
PYTHON=/usr/bin/python3
$PYTHON -c 'import scapy.layers.ipsec, cryptography' 2>/dev/null || skip 'needs scapy (scripts/setup.sh)'

topology h0:p0 wan:p1
A=$ROUTER
start_ironlane '[ipsec]' "charon_socket = \"$RUN/a.ipsec\""
routes() {
    ip -n "$A" route add default via 10.1.0.2 && ip -n "$A" -6 route add default via 2001:db8:1::2
    # wan's kernel has no IPsec to answer with.
    on wan sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
}
run 'routes' routes
ok 'both neighbours answer' ping_ok wan 10.0.0.2
wait_for 'by IPv6, too' ping_ok wan 2001:db8::2

all() {
    PYTHONDONTWRITEBYTECODE=1 $PYTHON "$TOPOLOGY/ipsec_scapy.py" "$RUN/a.ipsec" "$(port_mac 1)" \
        "$A" "$(host_ns h0)" "$(host_ns wan)" >"$RUN/scapy.out" 2>&1
    local verdict=$?
    NOTE=$(tail -n 1 "$RUN/scapy.out")
    cat "$RUN/scapy.out"
    return $verdict
}
run 'scapy and the router understand each other' all
reasons() {
    local reason
    for reason in ipsec_replay ipsec_integrity; do at_least "$(dropped $reason)" 1 || return; done
    il drop show --json | jq -e '[.. | objects | select(.packets? > 0) | .reason? // empty
        | select(test("^(ipsec|policy)_")) | select(IN("ipsec_replay", "ipsec_integrity") | not)] == []'
}
ok 'copies and changed packets were dropped as such, and nothing else was' reasons
ok 'kernel and fast path agree' verified
ok 'the counters of lcores agree' identity_holds
