#!/usr/bin/env bash
# h0 ---- p0 [ironlane A] p1 ---- wan ---- l
#
# An Ironlane with strongSwan beside it, and at l an unmodified strongSwan with its own ESP in user space
# (kernel-libipsec), which none of our code is in. It knows tunnels in UDP only, without extended sequence
# numbers. Both IKEs, certificates, a NAT, an address that changes, a peer that dies, both families inside
# and outside, rekeys in a flow, and the algorithms that both know.
#
# IRONLANE_INTEROP=all tries every algorithm with every key length and both families outside.
. "$(dirname "$0")/lib.sh"
. "$TOPOLOGY/ipsec_lib.sh"
[ -e /usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so ] || skip 'needs kernel-libipsec (scripts/setup.sh)'
command -v nft >/dev/null || skip 'needs nft (scripts/setup.sh)'

topology h0:p0 wan:p1
A=$ROUTER
start_ironlane '[ipsec]' "charon_socket = \"$RUN/a.ipsec\""
link_l() {
    new_ns "$(host_ns l)"
    ip link add to-l netns "$(host_ns wan)" type veth peer name eth0 netns "$(host_ns l)"
    address "$(host_ns wan)" to-l 10.4.0.1/24 2001:db8:4::1/64
    address "$(host_ns l)" eth0 10.4.0.2/24 2001:db8:4::2/64
    on l ip link add inside type veth peer name other && on l ip link set other up
    address "$(host_ns l)" inside 10.2.0.2/24 2001:db8:2::2/64
    on l ip route add default via 10.4.0.1 && on l ip -6 route add default via 2001:db8:4::1
    on wan ip route del default && on wan ip -6 route del default
    on wan ip route add 10.0.0.0/24 via 10.1.0.1 && on wan ip -6 route add 2001:db8:0::/64 via 2001:db8:1::1
    on wan ip route add 10.2.0.0/24 via 10.4.0.2 && on wan ip -6 route add 2001:db8:2::/64 via 2001:db8:4::2
    ip -n "$A" route add default via 10.1.0.2 && ip -n "$A" -6 route add default via 2001:db8:1::2
}
run 'the other end has its links' link_l
ok 'without IPsec they reach each other' ping_ok h0 10.2.0.2
wait_for 'by IPv6, too' ping_ok h0 2001:db8:2::2

# A dead peer is found out within two seconds.
DPD='retransmit_tries = 2
    retransmit_timeout = 0.3
    retransmit_base = 1.2'
CHARON_SETTINGS=$DPD
# Plain defaults: each case brings its own.
run 'strongSwan at A' charon a "$A" < <(psk 10.1.0.1 %any $NETS_A $NETS_B)
run 'strongSwan at l' charon l "$(host_ns l)" kernel-libipsec < <(psk 10.4.0.2 10.1.0.1 $NETS_B $NETS_A)
run 'the wan is watched' watch_wan

# Both families each way, within five seconds: the first packet from A may meet a route at l that is not there
# yet, and ping waits for its last answer no longer than twice the longest before. The flow below counts losses.
reaches() { COUNT=2 wait_until 5 ping_ok "$@"; }
through4() { reaches h0 10.2.0.2 && reaches l 10.0.0.2 -I 10.2.0.2 && reaches h0 10.2.0.2 -s 1300; }
through() { through4 && reaches h0 2001:db8:2::2 && reaches l 2001:db8::2 -I 2001:db8:2::2; }
conf() { # SITE LOCAL REMOTE LOCAL_TS REMOTE_TS: with IKE and CHILD
    psk "$2" "$3" "$4" "$5" >"$RUN/$1/swanctl/swanctl.conf"
    swan "$1" --load-all --noprompt -f "$RUN/$1/swanctl/swanctl.conf"
}
OUTER_A=10.1.0.1 OUTER_L=10.4.0.2
# l asks, with start_action none; A answers whoever comes.
both() { # IKE CHILD
    IKE="$1;${IKE_A:-}" CHILD="start_action = none;$2;${CHILD_A:-}" conf a $OUTER_A %any $NETS_A $NETS_B &&
        IKE="$1;${IKE_L:-}" CHILD="start_action = none;$2;${CHILD_L:-}" conf l $OUTER_L $OUTER_A $NETS_B $NETS_A
}
spis() { il ipsec sa show --json | jq -c '[.. | objects | .spi? // empty] | sort'; }
up() { both "$@" && swan l --initiate --child nets --timeout 10; }
no_sas() { [ "$(il ipsec sa show --json | jq '[.. | objects | select(.spi?)] | length')" = 0 ]; }
down() { swan l --terminate --ike s --timeout 5 && wait_until 5 no_sas; }
# try WHAT IKE CHILD [CHECK]: an SA, packets, its end
try() {
    local what=$1
    shift
    run "$what: SAs" up "$1" "$2"
    ok "$what: packets both ways" "${3:-through}"
    run "$what: the end" down
}

try 'IKEv2, GCM' '' 'esp_proposals = aes128gcm16'
# It has one pair of selectors for a child: the first, of IPv4.
try 'IKEv1, main mode' 'version = 1;aggressive = no;proposals = aes128-sha256-ecp256' 'esp_proposals = aes256-sha256' through4
OUTER_A=2001:db8:1::1 OUTER_L=2001:db8:4::2
try 'IPv6 outside' '' 'esp_proposals = aes128gcm16'
OUTER_A=10.1.0.1 OUTER_L=10.4.0.2

algorithms=(aes128-sha1 aes256-sha512 aes192-sha384 aes128ctr-sha256 aes256gcm8 chacha20poly1305 null-sha256)
if [ "${IRONLANE_INTEROP:-}" = all ]; then
    algorithms=(aes{128,192,256}{,ctr}-{sha1,sha256,sha384,sha512} aes{128,192,256}gcm{8,12,16} chacha20poly1305
        null-{sha1,sha256,sha384,sha512})
fi
for algorithm in "${algorithms[@]}"; do
    try "$algorithm" '' "esp_proposals = $algorithm"
    if [ "${IRONLANE_INTEROP:-}" = all ]; then
        OUTER_A=2001:db8:1::1 OUTER_L=2001:db8:4::2
        try "$algorithm, IPv6 outside" '' "esp_proposals = $algorithm"
        OUTER_A=10.1.0.1 OUTER_L=10.4.0.2
    fi
done

# Certificates: a CA and one for each end, as docs/ipsec.md says.
certificates() {
    local site
    mkdir -p "$RUN/ca" && cd "$RUN/ca" || return
    openssl ecparam -name secp384r1 -genkey -noout -out ca.key
    openssl req -x509 -new -key ca.key -days 2 -subj '/CN=Example VPN CA' \
        -addext 'keyUsage=critical,keyCertSign,cRLSign' -out ca.pem
    for site in a l; do
        mkdir -p "$RUN/$site/swanctl"/{x509ca,x509,private}
        openssl ecparam -name secp384r1 -genkey -noout -out "$RUN/$site/swanctl/private/$site.pem"
        echo "subjectAltName=DNS:$site.example.org" >$site.ext
        openssl req -new -key "$RUN/$site/swanctl/private/$site.pem" -subj "/CN=$site.example.org" |
            openssl x509 -req -CA ca.pem -CAkey ca.key -days 1 -extfile $site.ext -out "$RUN/$site/swanctl/x509/$site.pem"
        cp ca.pem "$RUN/$site/swanctl/x509ca"
    done
    cd /
}
run 'certificates' certificates
by_cert() { # MINE THEIRS
    echo "local { auth = pubkey"
    echo "certs = $1.pem"
    echo "id = $1.example.org }"
    echo "remote { auth = pubkey"
    echo "id = $2.example.org }"
}
IKE_A=$(by_cert a l) IKE_L=$(by_cert l a)
try 'certificates' '' 'esp_proposals = aes128gcm16'
unset IKE_A IKE_L

# A NAT: A sees the address and a port of wan.
nat() {
    on wan sysctl -qw net.netfilter.nf_conntrack_udp_timeout=2 net.netfilter.nf_conntrack_udp_timeout_stream=2 &&
        on wan nft add table ip nat && on wan nft 'add chain ip nat post { type nat hook postrouting priority 100; }' &&
        on wan nft add rule ip nat post ip saddr 10.4.0.0/24 oifname eth0 masquerade random
}
run 'a NAT in between' nat
run 'behind a NAT: SAs' up '' 'esp_proposals = aes128gcm16'
ok 'behind a NAT: packets' through
peer_at_nat() { swan a --list-sas | grep -E "remote .* @ 10.1.0.2\[[0-9]+\]"; }
ok 'A knows the peer by the address of the NAT' peer_at_nat
# The NAT forgets what was silent for two seconds, and takes another port for what comes next. charon hears of
# it from the lcores.
port_at_nat() { swan a --list-sas | sed -nE 's/.*remote .* @ 10.1.0.2\[([0-9]+)\].*/\1/p'; }
forget() { PORT=$(port_at_nat) && sleep 3 && wait_until 5 ping_ok l 10.0.0.2 -I 10.2.0.2; }
run 'the NAT takes another port' forget
another_port() { [ "$(port_at_nat)" != "$PORT" ]; }
wait_for 'A knows the new port' another_port
ok 'packets by it' through
run 'behind a NAT: the end' down
run 'the NAT goes' on wan nft delete table ip nat

# MOBIKE: l gets another address. It would take IPv6 if it could.
run 'MOBIKE: SAs' up 'mobike = yes' 'esp_proposals = aes128gcm16'
moves() {
    on l ip -6 route del default
    # Another subnet: the kernel takes secondary addresses away with the first.
    on l ip addr add 10.4.0.3/25 dev eth0 && on l ip addr del 10.4.0.2/24 dev eth0 &&
        on l ip route replace default via 10.4.0.1 && on wan ip route replace 10.2.0.0/24 via 10.4.0.3
}
run 'MOBIKE: l has another address' moves
at_3() { swan a --list-sas | grep -F 'remote' | grep -F '10.4.0.3' && ! il ipsec sa show --json | grep -F 10.4.0.2; }
wait_for 'MOBIKE: A knows it' at_3
ok 'MOBIKE: packets' through
run 'MOBIKE: the end' down
on l ip -6 route add default via 2001:db8:4::1
OUTER_L=10.4.0.3

# Rekeys in a flow, by both ends; of the IKE SA, too, and a new authentication.
flow() {
    local i
    on l iperf3 -s -1 --forceflush >"$RUN/iperf.server" 2>&1 &
    own_pid $!
    wait_until 10 grep -q listening "$RUN/iperf.server"
    on h0 iperf3 -c 10.2.0.2 -u -b 4M -l 1000 -t 7 -J >"$RUN/iperf.json" &
    local client=$!
    own_pid $client
    for ((i = 0; i < 2; i++)); do
        sleep 0.7 && swan a --rekey --child nets || return
        sleep 0.7 && swan l --rekey --child nets || return
        sleep 0.7 && swan l --rekey --ike s || return
    done
    wait $client || return
    NOTE=$(jq -r '"\(.end.sum.packets) packets, \(.end.sum.lost_packets) lost, '"$(socket_full l)"' of them by the socket"' "$RUN/iperf.json")
    jq -e --argjson full "$(socket_full l)" '.end.sum.lost_packets == $full and .end.sum.packets > 3000' "$RUN/iperf.json"
}
run 'rekeys: SAs' up '' 'esp_proposals = aes128gcm16-ecp256'
ok 'rekeys: packets' through
run 'rekeys: none is lost' flow
run 'rekeys: the end' down

# The close action: what the peer closes comes back at once.
CHILD_A='close_action = start'
IKE_A="remote_addrs = 10.4.0.3"
run 'close action: SAs' up '' 'esp_proposals = aes128gcm16'
old=$(spis)
run 'close action: l closes the child' swan l --terminate --child nets
another() { local now; now=$(spis); [ "$now" != "$old" ] && [ "$now" != '[]' ]; }
wait_for 'close action: A has another' another
ok 'close action: packets' through
# From A, or it would be back again.
run 'close action: the end' swan a --terminate --ike s
unset CHILD_A IKE_A

# Dead peers. With a trap nothing leaves in clear while there is no SA, and a packet starts the next one.
kill_l() {
    kill -9 "$CHARON_PID"
    wait "$CHARON_PID" 2>/dev/null
    true
}
dies() { # ACTION
    CHILD_A="start_action = trap;dpd_action = $1" IKE_A='dpd_delay = 1s;remote_addrs = 10.4.0.3' \
        run "dead peer, $1: SAs" up '' 'esp_proposals = aes128gcm16'
    ok "dead peer, $1: packets" through
    run "dead peer, $1: it dies" kill_l
    DEAD_SPIS=$(spis)
    gone() { ! spis | jq -e --argjson dead "$DEAD_SPIS" 'any(.[]; IN($dead[]))'; }
    wait_for "dead peer, $1: its SAs go" gone
    ok "dead peer, $1: nothing arrives" not ping_ok h0 10.2.0.2
    run "dead peer, $1: it is back" charon l "$(host_ns l)" kernel-libipsec < <(
        CHILD='start_action = none;esp_proposals = aes128gcm16' psk $OUTER_L $OUTER_A $NETS_B $NETS_A)
    WAIT=30 wait_for "dead peer, $1: packets again" through
    run "dead peer, $1: A forgets it" forget_l
}
forget_l() { swan a --terminate --ike s --timeout 5; both '' 'esp_proposals = aes128gcm16' && wait_until 5 no_sas; }
dies clear
dies restart

run 'the capture ends' end_watch
ok 'nothing of the nets crossed the wan in clear' nothing_in_clear
ok 'ESP in UDP did' at_least "$(seen 'udp port 4500')" 1000
ok 'but not ESP alone' [ "$(seen 'ip proto 50 or ip6 proto 50')" = 0 ]
refusals() {
    local reasons
    reasons=$(il drop show --json | jq -r '.. | objects | select(.packets? > 0) | .reason?' |
        grep -E '^(ipsec|policy)_' | grep -vE '^(policy_no_sa|ipsec_keepalive)$' | sort -u | tr '\n' ' ')
    [ -z "$reasons" ] || { echo "$reasons"; return 1; }
}
ok 'no packet of l was refused by an SA' refusals
ok 'kernel and fast path agree' verified
ok 'the counters of lcores agree' identity_holds
