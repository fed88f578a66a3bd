#!/usr/bin/env bash
# h0 ---- p0 [ironlane] (tap p0)
#
# Frames of each kind that belongs to Linux come in by p0, from captures of this project: each must
# come out of the tap byte by byte, and the counter of its reason rise by as many. h0 itself is mute,
# so that nothing else arrives.
. "$(dirname "$0")/lib.sh"
topology h0:p0
KINDS=(ARP ND OSPFv2 OSPFv3 IS-IS BGP LLDP LACP VRRP BFD MLD DHCP ICMP ICMPv6)
export PYTHONDONTWRITEBYTECODE=1 # kinds.py has replay.py beside it
kinds() { python3 "$TOPOLOGY/kinds.py" "$@"; }

# The MAC and the addresses that the captures are for.
MAC=02:00:00:00:00:01
CAPTURES_OF_KINDS=("$ROOT"/tests/data/{own-control,own-arp-ndp,tcpdump-OSPFv3_broadcast_adjacency}.pcap)
start() {
    hosts_config | sed -e "s/^mac = .*/mac = \"$MAC\"/" \
        -e 's|^addresses = .*|addresses = ["192.0.2.1/24", "2001:db8:0:1::1/64"]|' \
        -e '/^peer_addresses/d' >"$RUN/ironlane.toml"
    start_configured
}
mute() { # no address, no ARP, no IPv6: the kernel of h0 has nothing to say
    on h0 ip link set eth0 arp off && on h0 sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1
}
punts() { il punt show --json --all | jq -c '[.. | objects | select(.reason?) | {(.reason): .packets}] | add'; }
# Twice the same, half a second apart: what h0 said before has arrived.
at_rest() { local before; before=$(punts) && sleep 0.5 && [ "$before" = "$(punts)" ]; }
capture() {
    ip netns exec "$ROUTER" tcpdump -i p0 -Q in -s 0 -U -w "$RUN/tap.pcap" >"$RUN/tcpdump" 2>&1 &
    TCPDUMP=$!
    own_pid $TCPDUMP
    wait_until 5 grep -q 'listening on' "$RUN/tcpdump" && PUNTS=$(punts)
}
all_captured() { # as many frames as were sent
    local n
    n=$(tcpdump --count -nr "$RUN/tap.pcap" 2>"$RUN/tcpdump.read") || { cat "$RUN/tcpdump.read"; return 1; }
    [ "${n%% *}" -ge "$(wc -l <"$RUN/frames")" ] || { echo "$n of $(wc -l <"$RUN/frames")"; return 1; }
}
capture_ends() { kill -INT $TCPDUMP && reap 5 $TCPDUMP; }
frames_of() { awk -v kind="$1" '$1 == kind' "$RUN/frames" | wc -l; }
# counted REASON: it rose by as many as were sent for it
counted() {
    local want rose
    want=$(awk -v reason="$1" '$2 == reason' "$RUN/frames" | wc -l)
    rose=$(($(punted "$1") - $(jq ".$1 // 0" <<<"$PUNTS")))
    [ "$rose" = "$want" ] || { echo "$want frames sent, the counter rose by $rose"; return 1; }
}

run 'Ironlane is up' start
run 'h0 is mute' mute
wait_for 'and nothing is under way' at_rest
run 'frames of each kind' eval 'kinds list $MAC "${CAPTURES_OF_KINDS[@]}" >"$RUN/frames"'
run 'the tap is captured' capture
run 'they are sent' eval 'on h0 python3 "$TOPOLOGY/kinds.py" send eth0 <"$RUN/frames"'
wait_for 'as many frames are on the tap' all_captured
run 'the capture ends' capture_ends
for kind in "${KINDS[@]}"; do
    ok "$kind: each of $(frames_of "$kind") is on the tap, byte by byte" \
        eval 'kinds arrived "$RUN/tap.pcap" "$kind" <"$RUN/frames"'
done
ok 'and nothing else is' eval 'kinds nothing_else "$RUN/tap.pcap" <"$RUN/frames"'
for reason in $(cut -d' ' -f2 "$RUN/frames" | sort -u); do
    ok "punts are counted by reason: $reason" counted "$reason"
done
ok 'every packet is accounted for' identity_holds
