#!/usr/bin/env bash
# h0 ---- p0 [ironlane A] p1 ---- wan ---- p3 [ironlane B] p2 ---- h2
#
# UDP one way and TCP the other for IRONLANE_REKEY_SECONDS (24), at IRONLANE_REKEY_RATE (20M), while both ends rekey:
# A the CHILD SA when 4 seconds old, B the same when told to, and the IKE SA when 7 seconds old. A authenticates again
# with the new SAs made before the old ones go, and the connection between charon and the router breaks and comes
# back. Every datagram arrives, and no reason of IPsec to drop a packet is counted but one that IKE itself causes.
#
# The ends take turns. Where both rekey the same SA at once on a busy machine, strongSwan 5.9 takes the answer to its
# request for a copy of the other's request with the same number ("ignoring request, already processing"). Until all
# is sent anew, 4 seconds later, the SAs of the two ends may differ, and one of them lacks some.
. "$(dirname "$0")/lib.sh"
. "$TOPOLOGY/ipsec_lib.sh"
FLOW=${IRONLANE_REKEY_SECONDS:-24}
RATE=${IRONLANE_REKEY_RATE:-20M}
two_sites

# A machine that is busy with other things lets taps and sockets wait: long queues for the taps, and what the
# socket of the receiver could not take is not lost on the way. A change of their length empties them, so it comes first.
queues() {
    local end
    for end in h0:eth0 wan:eth0 wan:eth1 h2:eth0; do
        on ${end%:*} ip link set ${end#*:} txqueuelen 20000 || return
    done
}
run 'long queues at the taps' queues

# charon at A speaks to the router by a relay, which can end without either of them.
relay() {
    rm -f "$RUN/a.relay"
    "$TOPOLOGY/ipsec_relay.py" "$RUN/a.relay" "$RUN/a.ipsec" &
    RELAY=$!
    own_pid $RELAY
    wait_until 5 test -S "$RUN/a.relay"
}
run 'a relay between charon and router at A' relay
# Old SAs do not hinder a new authentication for longer than a second.
CHARON_SETTINGS='make_before_break = yes
    delete_rekeyed_delay = 1'
CHILD='esp_proposals = aes128gcm16-ecp256-esn'
IKE='rekey_time = 7s;over_time = 60s;rand_time = 0s'
run 'strongSwan at B' charon b "$B" < <(psk 10.3.0.1 10.1.0.1 $NETS_B $NETS_A)
IKE='' CHILD+=';rekey_time = 4s;life_time = 60s;rand_time = 0s'
CHARON_SOCKET=$RUN/a.relay run 'strongSwan at A' charon a "$A" < <(psk 10.1.0.1 10.3.0.1 $NETS_A $NETS_B)
wait_for 'the tunnel is up' ping_ok h0 10.2.0.2
wait_for 'for IPv6, too' ping_ok h0 2001:db8:2::2

# Reasons of IPsec and how often, of A and of B. TCP over IPv6 begins with packets that do not fit the tunnel, and is
# told so: that is no loss by a rekey. What A had no SA for is judged apart.
refusals() {
    local of='[.. | objects | select(.reason? and .packets > 0) | select(.reason | test("^(ipsec|policy)_"))
        | select(.reason != "ipsec_too_big") | {reason, packets}]'
    il drop show --json | jq -c "$of | map(select(.reason != \"ipsec_no_sa\"))"
    ilb drop show --json | jq -c "$of"
}
# Once each, though a rekeyed one is said to be there inbound and then outbound.
established() { grep -c '\] \(inbound \)\?CHILD_SA nets{[0-9]*} established' "$RUN/$1/charon.log"; }
rekeyed_by() { grep -c 'generating CREATE_CHILD_SA request .*N(REKEY_SA)' "$RUN/$1/charon.log"; }

said() { grep -c "$1" "$RUN/a/charon.log"; }
authenticated() { said 'IKE_SA s\[[0-9]*\] established'; }
put_off() { said 'unable to reauthenticate'; }

# charon puts it off while a CHILD SA is on its way out, which here is one second of five, and forgets it when the IKE SA is
# rekeyed meanwhile: so it is asked again.
reauthenticate() {
    local before refused
    before=$(authenticated) refused=$(put_off)
    swan a --rekey --ike s --reauth && wait_until 5 answered "$before" "$refused" && [ "$(authenticated)" -gt "$before" ] && return
    sleep 0.5
    false
}
answered() { [ "$(authenticated)" -gt "$1" ] || [ "$(put_off)" -gt "$2" ]; }

breaks() { # the connection ends, and is back two seconds later
    kill $RELAY && wait_until 5 ended $RELAY && sleep 2 && relay
}
BEFORE=$(refusals)
# B answers a new authentication and sends by the new SA at once, as the RFC has it: what arrives before A has read the
# answer, and some of TCP does where A's machine is busy, is lost.
MISSED=$(dropped ipsec_no_sa)
CHILDREN=$(established a)
iperf_server() { # PORT
    on h2 iperf3 -s -1 --forceflush -p "$1" >"$RUN/iperf.$1" 2>&1 &
    own_pid $!
    wait_until 10 grep -q listening "$RUN/iperf.$1"
}
flow() {
    local clients=() end missed
    iperf_server 5201 && iperf_server 5202 || return
    on h0 iperf3 -c 10.2.0.2 -p 5201 -u -b "$RATE" -l 1000 -t "$FLOW" -J >"$RUN/udp.json" &
    clients+=($!)
    own_pid $!
    on h0 iperf3 -c 2001:db8:2::2 -p 5202 -R -b "$RATE" -t "$FLOW" -J >"$RUN/tcp.json" &
    clients+=($!)
    own_pid $!
    end=$((SECONDS + FLOW - 6))
    while [ $SECONDS -lt $end ]; do
        sleep 1
        swan b --rekey --child nets || return
        sleep 2
        missed=$(dropped ipsec_no_sa)
        wait_until 5 reauthenticate || return
        sleep 2
        MISSED=$((MISSED + $(dropped ipsec_no_sa) - missed))
        swan b --rekey --child nets || return
        sleep 1
        breaks || return
        sleep 2 # A rekeys the CHILD SA, and B the IKE SA
    done
    wait "${clients[@]}"
}
run 'the flows end' flow
all_arrive() {
    jq -r --argjson full "$(socket_full h2)" '.end.sum |
        "\(.packets) datagrams, \(.lost_packets - $full) lost, \($full) that the socket could not take"' "$RUN/udp.json"
    jq -e --argjson full "$(socket_full h2)" '.end.sum.lost_packets == $full and .end.sum.packets > 0' "$RUN/udp.json" && return
    on h2 ip -s link show eth0; on h0 ip -s link show eth0; on wan ip -s link; refusals
    false
}
ok 'every datagram arrives' all_arrive
tcp_fast() {
    jq -r '.end | "\(.sum_received.bytes) bytes, \(.sum_sent.retransmits) segments again"' "$RUN/tcp.json"
    jq -e --argjson rate "${RATE%M}" '.end.sum_received.bits_per_second > 0.9e6 * $rate' "$RUN/tcp.json"
}
ok 'TCP keeps its rate' tcp_fast
ok 'no reason of IPsec to drop has counted' [ "$(refusals)" = "$BEFORE" ]
ok 'but at A for the time of a new authentication' [ "$(dropped ipsec_no_sa)" = "$MISSED" ]
rekeyed() {
    local children by_a by_b ike anew lost
    children=$(($(established a) - CHILDREN)) by_a=$(rekeyed_by a) by_b=$(rekeyed_by b)
    ike=$(said 'IKE_SA s\[[0-9]*\] rekeyed') anew=$(($(authenticated) - 1))
    lost=$(said 'the connection to the router has ended')
    NOTE="$children new CHILD SAs, $by_a rekeyed by A and $by_b by B, $ike IKE SAs, $anew authentications that $MISSED packets were too early for, $lost connections lost;"
    NOTE+=" $(all_arrive | head -1); TCP: $(tcp_fast | head -1)"
    [ $children -ge $((FLOW / 6)) ] && [ "$by_a" -ge 1 ] && [ "$by_b" -ge 1 ] && [ "$ike" -ge 1 ] && [ $anew -ge 1 ] && [ "$lost" -ge 1 ]
}
run 'SAs were rekeyed all the time' rekeyed
ok 'kernel and fast path agree, at A' verified
ok 'and at B' ilb verify
ok 'the counters of lcores agree' identity_holds
left() { [ "$(il ipsec sa show --json | jq '[.. | objects | select(.spi?)] | length')" -le 4 ]; }
wait_for 'old SAs are gone' left
