#!/usr/bin/env bash
# h0 ---- p0 [ironlane A] p1 ---- wan ---- p3 [ironlane B] p2 ---- h2
#
# Two sites, each an Ironlane with an unmodified strongSwan beside it, whose plugin installs the SAs. What
# h0 and h2 say to each other, of both families, crosses the wan as ESP alone; so does what the routers
# themselves say. Rekeys while packets flow lose none. Before there is an SA nothing leaves in clear, and
# when there is none any more neither.
. "$(dirname "$0")/lib.sh"
. "$TOPOLOGY/ipsec_lib.sh"
two_sites
ok 'without IPsec, the sites reach each other' ping_ok h0 10.2.0.2

run 'strongSwan at A' charon a "$A" < <(psk 10.1.0.1 10.3.0.1 $NETS_A $NETS_B)
policies() { [ "$(il ipsec policy show --json | jq '[.. | objects | select(.direction? == "out")] | length')" -ge 2 ]; }
wait_for 'A has its policies' policies

run 'the wan is watched' watch_wan
no_sa() { ! on h0 ping -n -q -c 2 -i 0.2 -W 1 10.2.0.2; }
ok 'without a peer, what is to be protected does not arrive' no_sa
ok 'it was dropped for want of an SA' at_least "$(dropped policy_no_sa)" 1
run 'strongSwan at B' charon b "$B" < <(psk 10.3.0.1 10.1.0.1 $NETS_B $NETS_A)
wait_for 'a packet brings the tunnel up' ping_ok h0 10.2.0.2
ok 'IPv4, from the other side' ping_ok h2 10.0.0.2
wait_for 'IPv6' ping_ok h0 2001:db8:2::2
ok 'IPv6, from the other side' ping_ok h2 2001:db8::2
ok 'packets that just fit' ping_ok h0 10.2.0.2 -s 1350

# What the router itself says to the other site: by its tap, and yet not in clear.
router_to_b() { ip netns exec "$A" ping -n -q -c 5 -i 0.1 -W 2 -I 10.0.0.1 10.2.0.2 | grep -q ' 0% packet loss'; }
ok "the router's own packets" router_to_b

# While IKE is silent nobody but the sealed packets themselves makes the kernel find the next hop. They are the
# router's own, and come to the kernel by the port of what was sealed.
forget() { ip -n "$A" neigh flush dev p1 && ip -n "$B" neigh flush dev p3; }
GLEANS=$(punted glean)
run 'the next hops are forgotten' forget
wait_for 'the way to the other site is a glean' adjacency_is 10.3.0.1 glean
ok 'sealed packets find them again, and none is lost' ping_ok h0 10.2.0.2
ok 'it was they that went to the kernel' at_least "$(punted glean)" $((GLEANS + 1))

flow() { # SECONDS: all packets of a flow arrive, while SAs are rekeyed
    local i
    on h2 iperf3 -s -1 --forceflush >"$RUN/iperf.server" 2>&1 &
    own_pid $!
    wait_until 10 grep -q listening "$RUN/iperf.server"
    on h0 iperf3 -c 10.2.0.2 -u -b 20M -l 1000 -t "$1" -J >"$RUN/iperf.json" &
    local client=$!
    own_pid $client
    for ((i = 0; i < 3; i++)); do
        sleep 1
        swan a --rekey --child nets || return
        sleep 1
        swan b --rekey --child nets || return
    done
    wait $client || return
    NOTE=$(jq -r '"\(.end.sum.packets) packets, \(.end.sum.lost_packets) lost, '"$(socket_full h2)"' of them by the socket"' "$RUN/iperf.json")
    jq -e --argjson full "$(socket_full h2)" '.end.sum.lost_packets == $full and .end.sum.packets > 10000' "$RUN/iperf.json"
}
run 'six rekeys in a flow of 20 Mbit/s lose no packet' flow 8

run 'the capture ends' end_watch
ok 'nothing of the sites crossed the wan in clear' nothing_in_clear
ok 'ESP did' at_least "$(seen 'esp')" 10000
quiet_drops() { # no reason of IPsec but those that this test brings about
    local reasons
    reasons=$({ il drop show --json; ilb drop show --json; } | jq -r '.. | objects | select(.packets? > 0) | .reason?' |
        grep -E '^(ipsec|policy)_' | sort -u | tr '\n' ' ')
    [ "$reasons" = 'policy_no_sa ' ] || { echo "$reasons"; return 1; }
}
ok 'no packet was refused by an SA' quiet_drops
counted() { swan a --list-sas | grep -E 'in .* [1-9][0-9]* bytes, +[1-9][0-9]* packets'; }
ok 'swanctl shows what has passed' counted
ok 'kernel and fast path agree, at A' verified
ok 'and at B' ilb verify
ok 'the counters of lcores agree' identity_holds

run 'strongSwan at B ends' swan b --terminate --ike s
no_sas() { [ "$(il ipsec sa show --json | jq '[.. | objects | select(.spi?)] | length')" = 0 ]; }
wait_for 'no SA is left at A' no_sas
