#!/usr/bin/env bash
# h0 ---- p0 [ironlane A] p1 ---- wan ---- p3 [ironlane B] p2 ---- h2
#
# Path MTU discovery through a tunnel, for both families inside IPv4. Hosts are told what fits by the router's address
# on their link, and their TCP then sends nothing that would have to be fragmented. The other mixes, and paths that
# take less than their first link, are tests/whole_dp/ipsec_path_mtu.rs.
. "$(dirname "$0")/lib.sh"
. "$TOPOLOGY/ipsec_lib.sh"
two_sites

declare -A FAR=([4]=10.2.0.2 [6]=2001:db8:2::2) GATEWAY=([4]=10.0.0.1 [6]=2001:db8::1)

# told FAMILY MTU: a packet of 1480 bytes comes back as too long, from the router, with this MTU
told() {
    local out
    out=$(on h0 ping "-$1" -n -c 3 -i 0.2 -W 1 -M do -s $(($1 == 4 ? 1452 : 1432)) "${FAR[$1]}" 2>&1)
    grep -qiE "mtu ?= ?$2" <<<"$out" || { echo "$out"; return 1; }
}
told_by_router() { # FAMILY
    on h0 tcpdump -n -r "$RUN/h0.pcap" "$([ "$1" = 4 ] && echo 'icmp[0:2] == 0x0304' || echo 'icmp6[0] == 2')" 2>/dev/null |
        grep -q " ${GATEWAY[$1]} > "
}
watch_h0() {
    on h0 tcpdump -i eth0 -n -U --immediate-mode -w "$RUN/h0.pcap" >/dev/null 2>"$RUN/tcpdump.h0" &
    own_pid $!
    wait_until 10 grep -q listening "$RUN/tcpdump.h0"
}
learnt() { ip -n "$(host_ns h0)" route get "${FAR[$1]}" | grep -q "mtu $2"; } # FAMILY MTU
forget() { ip -n "$(host_ns h0)" route flush cache; ip -n "$(host_ns h0)" -6 route flush cache; }
joined() { ilb stats show --json | jq .joined_packets; } # fragments of ESP that B put together
tcp() { # FAMILY: for a second
    on h2 timeout 20 iperf3 -s -1 -p "520$1" --forceflush >"$RUN/server" 2>&1 &
    own_pid $!
    wait_until 5 grep -q listening "$RUN/server" || return
    on h0 timeout 15 iperf3 -c "${FAR[$1]}" -p "520$1" -t 1 -J | jq -e '.end.sum_received.bytes > 1000000'
}
whole() { # FAMILY: TCP gets through, and no ESP of it is fragmented
    local before
    before=$(joined)
    tcp "$1" || return
    [ "$(joined)" = "$before" ] || { echo "$(($(joined) - before)) fragments"; return 1; }
}
# tunnel OUTER FITS: PMTU through the tunnel, with what fits on a link of 1500
tunnel() {
    local outer=$1 fits=$2 family
    wait_for "the tunnel over IPv$outer is up" ping_ok h0 10.2.0.2
    for family in 4 6; do
        run 'nothing is known' forget
        ok "IPv$family in IPv$outer: the host is told $fits" told $family "$fits"
        wait_for "IPv$family in IPv$outer: by its router" told_by_router $family
        ok "IPv$family in IPv$outer: the host has learnt it" learnt $family "$fits"
        ok "IPv$family in IPv$outer: TCP gets through in whole packets" whole $family
    done
}

run 'strongSwan at B' charon b "$B" < <(psk 10.3.0.1 10.1.0.1 $NETS_B $NETS_A)
run 'strongSwan at A' charon a "$A" < <(psk 10.1.0.1 10.3.0.1 $NETS_A $NETS_B)
run 'h0 is watched' watch_h0
tunnel 4 1446

ok 'kernel and fast path agree' verified
ok 'every packet is accounted for' identity_holds
