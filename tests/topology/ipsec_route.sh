#!/usr/bin/env bash
# h0 ---- p0 [ironlane A] p1 ---- wan ---- p3 [ironlane B] p2 ---- h2
#                 ipsec0 ........................ ipsec0
#
# A route-based VPN: two Ironlanes, each with an unmodified strongSwan (0.0.0.0/0 and ::/0, if_id 42) and
# FRR, that speak OSPFv2, OSPFv3 and BGP over the interface ipsec0. The networks behind them are learnt through the
# tunnel and reached through it; the wan sees ESP and IKE alone. When the tunnel ends the routes go, and
# nothing leaves in clear.
. "$(dirname "$0")/lib.sh"
. "$TOPOLOGY/ipsec_lib.sh"
# shellcheck source=/dev/null
. "$DEMO/frr_ospf.sh"
[ -x "$FRR_BIN/zebra" ] && command -v vtysh >/dev/null || skip 'needs FRR (scripts/setup.sh)'

IF_ID=42
interface() { printf '[[ipsec_interface]]\nname = "ipsec0"\nif_id = %s\naddresses = ["%s"]\n' $IF_ID "$1"; }
two_sites "$(interface 10.255.0.1/30)" "$(interface 10.255.0.2/30)"

is_like_xfrm() { # as FRR wants it: point to point, multicast, with a link-local address
    local ns=$1 told
    told=$(ip -n "$ns" -d addr show ipsec0)
    for word in POINTOPOINT MULTICAST NOARP LOWER_UP 'mtu 1400' 'inet6 fe80:'; do
        grep -q "$word" <<<"$told" || { echo "no $word in $told"; return 1; }
    done
}
wait_for 'ipsec0 is an interface that OSPF can use' is_like_xfrm "$A"

# The far site is known to nobody but by the tunnel; a default route to the wan is there to leak by.
watch() {
    ip netns exec "$(host_ns wan)" tcpdump -i any -n -U -w "$RUN/wan.pcap" >/dev/null 2>"$RUN/tcpdump" &
    TCPDUMP=$!
    own_pid "$TCPDUMP"
    wait_until 10 grep -q listening "$RUN/tcpdump"
}
seen() { tcpdump -n -r "$RUN/wan.pcap" "$1" 2>/dev/null | wc -l; }
run 'the wan is watched' watch
ALL=0.0.0.0/0,::/0
CHILD="if_id_in = $IF_ID; if_id_out = $IF_ID"
run 'strongSwan at A' charon a "$A" < <(psk 10.1.0.1 10.3.0.1 $ALL $ALL)
policies() { [ "$(il ipsec policy show --json | jq "[.. | objects | select(.direction? == \"out\" and .if_id? == $IF_ID)] | length")" -ge 2 ]; }
wait_for 'A has its policies, of the interface alone' policies
ok 'they do not concern what goes by other ways' ping_ok h0 10.1.0.2
via_tunnel() { ip -n "$A" route add 10.2.0.0/24 dev ipsec0; }
run 'a static route by the interface' via_tunnel
no_answer() { ! on h0 ping -n -q -c 2 -i 0.2 -W 1 10.2.0.2; }
ok 'without a peer nothing arrives' no_answer
ok 'it was dropped for want of an SA' at_least "$(dropped policy_no_sa)" 1
run 'strongSwan at B' charon b "$B" < <(psk 10.3.0.1 10.1.0.1 $ALL $ALL)
CHARON_B=$!
run 'the route at the other end' ip -n "$B" route add 10.0.0.0/24 dev ipsec0
wait_for 'a packet brings the tunnel up' ping_ok h0 10.2.0.2
routers_ping() { COUNT=3; ip netns exec "$A" ping -n -q -c 3 -i 0.1 -W 2 10.255.0.2 | grep -q ' 0% packet loss'; }
ok 'the routers see each other through it' routers_ping
unroute() { ip -n "$A" route del 10.2.0.0/24 dev ipsec0 && ip -n "$B" route del 10.0.0.0/24 dev ipsec0; }
run 'no static routes any more' unroute

# OSPF for the networks, BGP for one more behind each. What is learnt by the tunnel alone has a blackhole
# below it, so that it does not take the default route when the tunnel ends.
PROTOCOL=tunnel
# shellcheck disable=SC2034,SC2317
tunnel_daemons='staticd ospfd ospf6d bgpd'
tunnel_interface() { ospf_interface "$1"; }
tunnel_loopback() { :; }
tunnel_router() { # N: 1 at A, 2 at B
    local us=$1 peer=$((3 - $1))
    local -a networks=('' 0 2)
    ospf_router "$us"
    cat <<CONF
router bgp 6500$us
 bgp router-id $(lo4 "$us")
 no bgp ebgp-requires-policy
 timers bgp 1 3
 neighbor 10.255.0.$peer remote-as 6500$peer
 neighbor 10.255.0.$peer timers connect 1
 address-family ipv4 unicast
  network 192.168.$us.0/24
 exit-address-family
exit
ip route 192.168.$us.0/24 10.${networks[us]}.0.2
ip route 192.168.$peer.0/24 blackhole 250
ip route 10.${networks[peer]}.0.0/24 blackhole 250
ipv6 route 2001:db8:${networks[peer]}::/64 blackhole 250
CONF
}
run 'FRR at A' frr_start "$A" 1 p0:10 ipsec0:10
run 'FRR at B' frr_start "$B" 2 p2:10 ipsec0:10
more_behind() { on h0 ip addr add 192.168.1.1/32 dev lo && on h2 ip addr add 192.168.2.1/32 dev lo; }
run 'hosts with more behind them' more_behind
by_tunnel() { # NS PREFIX
    local family=-4
    [[ $2 == *:* ]] && family=-6
    ip -n "$1" $family route show "$2" | grep -q 'dev ipsec0 '
}
learnt_all() {
    by_tunnel "$A" 10.2.0.0/24 && by_tunnel "$B" 10.0.0.0/24 &&
        by_tunnel "$A" 2001:db8:2::/64 && by_tunnel "$B" 2001:db8:0::/64 &&
        by_tunnel "$A" 192.168.2.0/24 && by_tunnel "$B" 192.168.1.0/24
}
WAIT=60 wait_for 'OSPFv2, OSPFv3 and BGP bring the networks by the tunnel' learnt_all
wait_for 'they are IPsec adjacencies in the fast path' adjacency_is 10.2.0.2 ipsec
ok 'those of BGP too' adjacency_is 192.168.2.1 ipsec
ok 'IPv4' ping_ok h0 10.2.0.2
ok 'IPv4, from the other side' ping_ok h2 10.0.0.2
ok 'IPv6' ping_ok h0 2001:db8:2::2
ok 'IPv6, from the other side' ping_ok h2 2001:db8::2
ok 'what BGP brought' ping_ok h0 192.168.2.1 -I 192.168.1.1
too_long() { # an answer tells what fits the interface
    on h0 ping -n -c 1 -W 2 -M do -s 1400 "$1" | grep -E 'mtu ?= ?1400|Frag needed'
}
ok 'the sender of a packet too long is told the MTU of the interface' too_long 10.2.0.2
ok 'fragments pass' ping_ok h0 10.2.0.2 -s 3000
one_hop_each() { on h0 ping -n -c 1 -W 2 "$1" | grep -o 'ttl=[0-9]*'; }
ok 'two routers take two hops' [ "$(one_hop_each 10.2.0.2)" = ttl=62 ]
traced() { on h0 traceroute -n -q 1 -w 2 10.2.0.2 | grep -q ' 10.255.0.2 '; }
ok 'the far end of the tunnel is a hop of its own' traced

past_the_kernel() { # bulk traffic by IPv$1: between lcores alone
    local before after to=10.2.0.2
    [ "$1" = 6 ] && to=2001:db8:2::2
    on h2 iperf3 -s -1 >"$RUN/iperf.server" 2>&1 &
    own_pid $!
    wait_until 10 grep -q listening "$RUN/iperf.server"
    before=$(counter tap_read_packets)
    on h0 iperf3 -c $to -t 2 -J >"$RUN/iperf.json" || return
    after=$(counter tap_read_packets)
    NOTE=$(jq -r '"\(.end.sum_received.bits_per_second / 1e6 | floor) Mbit/s"' "$RUN/iperf.json")
    jq -e '.end.sum_received.bytes > 1e6' "$RUN/iperf.json" && at_least 200 $((after - before))
}
run 'TCP by IPv4 goes past the kernels' past_the_kernel 4
run 'TCP by IPv6 goes past the kernels' past_the_kernel 6
passed() { # the interface counts what it carries
    il port show ipsec0 --json | jq -e '.[0] | .driver == "ipsec" and .device == "if_id 42" and
        .counters.rx_packets > 1000 and .counters.tx_packets > 1000'
}
ok 'ipsec0 counts what passes it' passed
ok 'kernel and fast path agree, at A' verified
ok 'and at B' ilb verify

# OSPF wants the same MTU at both ends.
mtu() { ip -n "$A" link set ipsec0 mtu "$1" && ip -n "$B" link set ipsec0 mtu "$1"; }
run 'a smaller MTU' mtu 1300
told_1300() { on h0 ip route flush cache; on h0 ping -n -c 1 -W 2 -M do -s 1300 10.2.0.2 | grep -E 'mtu ?= ?1300'; }
wait_for 'is followed' told_1300
run 'the old MTU' mtu 1400
WAIT=60 wait_for 'all routes are there' learnt_all

# Set down as any interface, and up again.
run 'ipsec0 set down at B' ip -n "$B" link set ipsec0 down
gone_at_a() { ! by_tunnel "$A" 10.2.0.0/24 && ! by_tunnel "$A" 192.168.2.0/24 && ! by_tunnel "$A" 2001:db8:2::/64; }
WAIT=30 wait_for 'A loses the routes' gone_at_a
down_at_b() { [ "$(ilb drop show --json --all | jq '[.. | objects | select(.reason? == "ipsec_interface_down") | .packets] | add // 0')" -ge 1 ]; }
wait_for 'what still comes is dropped by name at B' down_at_b
run 'ipsec0 set up at B' ip -n "$B" link set ipsec0 up
WAIT=60 wait_for 'all routes are back' learnt_all
wait_for 'and traffic' ping_ok h0 10.2.0.2

# The tunnel ends: routes go, and what is routed to the interface still does not leave in clear.
run 'the tunnel ends' kill "$CHARON_B"
WAIT=30 wait_for 'the routes go with it' gone_at_a
ok 'no other way is taken' no_answer
ok 'their packets end in the blackhole' at_least "$(dropped ip4_blackhole)" 1
run 'a route by the interface all the same' via_tunnel
ok 'nothing arrives' no_answer
leak() { on h0 ping -n -q -c 5 -i 0.1 -W 1 10.2.0.2; ip netns exec "$A" ping -n -q -c 2 -i 0.2 -W 1 10.255.0.2; true; }
run 'more packets for it, of hosts and of the router' leak
run 'the capture ends' kill "$TCPDUMP"
wait_until 10 ended "$TCPDUMP"
inside='net 10.0.0.0/24 or net 10.2.0.0/24 or net 10.255.0.0/24 or net 2001:db8:0::/64 or net 2001:db8:2::/64 or net fe80::/10 and proto 89'
nothing_in_clear() { [ "$(seen "($inside) and not esp")" = 0 ] || { tcpdump -n -c 5 -r "$RUN/wan.pcap" "($inside) and not esp"; return 1; }; }
ok 'nothing of the sites, nor of OSPF and BGP, crossed the wan in clear' nothing_in_clear
only_esp() { # between the routers: ESP and IKE, and ICMP where nobody speaks IKE any more
    [ "$(seen 'host 10.1.0.1 and host 10.3.0.1 and not esp and not icmp and not udp port 500 and not udp port 4500')" = 0 ]
}
ok 'between the routers there was ESP and IKE alone' only_esp
ok 'and ESP there was' at_least "$(seen esp)" 1000
ok 'the counters of lcores agree' identity_holds
