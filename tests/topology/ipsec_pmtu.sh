#!/usr/bin/env bash
# h0 ---- p0 [ironlane A] p1 ---- wan ---- p3 [ironlane B] p2 ---- h2
#
# Path MTU discovery through a tunnel, for both families inside IPv4 and inside IPv6. Hosts are told what fits by
# the router's address on their link, and their TCP then sends nothing that would have to be fragmented. When the
# wan turns out to take less (1400) the router hears so from there, and hosts from it.
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
path_is() { # MTU: what A knows of the path to B
    il ipsec sa show --json | jq -e --argjson mtu "$1" '[.. | objects | select(.direction? == "out") | .path_mtu] | unique == [$mtu]'
}
own_told() { # what the router itself sends from its lan: its kernel is told by the tap
    local out
    out=$(ip netns exec "$A" ping -6 -n -c 3 -i 0.2 -W 1 -M do -s 1432 -I 2001:db8::1 2001:db8:2::2 2>&1)
    grep -qiE "mtu ?[=:] ?$1" <<<"$out" || { echo "$out"; return 1; }
}

# tunnel OUTER FITS FITS_PATH: PMTU through the tunnel, with what fits on a link of 1500 and on a path of 1400
tunnel() {
    local outer=$1 fits=$2 fits_path=$3 family
    wait_for "the tunnel over IPv$outer is up" ping_ok h0 10.2.0.2
    for family in 4 6; do
        run 'nothing is known' forget
        ok "IPv$family in IPv$outer: the host is told $fits" told $family "$fits"
        wait_for "IPv$family in IPv$outer: by its router" told_by_router $family
        ok "IPv$family in IPv$outer: the host has learnt it" learnt $family "$fits"
        ok "IPv$family in IPv$outer: TCP gets through in whole packets" whole $family
    done
    ok "IPv6 in IPv$outer: the router's own kernel is told" own_told "$fits"
    run 'the wan takes 1400' on wan ip link set eth1 mtu 1400
    run 'nothing is known' forget
    wait_for 'a packet that is lost there tells A' heard "$fits"
    ok 'A shows the path' path_is 1400
    for family in 4 6; do
        run 'nothing is known' forget
        ok "IPv$family in IPv$outer: the host is told $fits_path" told $family "$fits_path"
        ok "IPv$family in IPv$outer: TCP gets through in whole packets" whole $family
    done
    run 'the wan takes 1500 again' on wan ip link set eth1 mtu 1500
}
heard() { # LENGTH of a packet that fits the link and not the path
    on h0 ping -4 -n -c 1 -W 1 -M do -s $(($1 - 28)) 10.2.0.2 >/dev/null
    path_is 1400 >/dev/null
}

run 'strongSwan at B' charon b "$B" < <(psk 10.3.0.1 10.1.0.1 $NETS_B $NETS_A)
run 'strongSwan at A' charon a "$A" < <(psk 10.1.0.1 10.3.0.1 $NETS_A $NETS_B)
run 'h0 is watched' watch_h0
tunnel 4 1446 1346

other() { # SITE LOCAL REMOTE TS TS: the same over other addresses
    local site=$1
    shift
    psk "$@" >"$RUN/$site/swanctl/swanctl.conf"
    swan "$site" --terminate --ike s
    swan "$site" --load-all --noprompt -f "$RUN/$site/swanctl/swanctl.conf"
}
run 'A goes over IPv6' other a 2001:db8:1::1 2001:db8:3::1 $NETS_A $NETS_B
run 'B goes over IPv6' other b 2001:db8:3::1 2001:db8:1::1 $NETS_B $NETS_A
tunnel 6 1426 1326

ok 'kernel and fast path agree' verified
ok 'every packet is accounted for' identity_holds
