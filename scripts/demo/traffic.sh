# TCP between two loopbacks, and the proof of who forwarded it. Sourced.

IPERF_SECONDS=${IPERF_SECONDS:-5}

# iperf FAMILY FROM TO: runs it, leaves MBITS and SEGMENTS (1448 bytes of data each, so a lower bound).
iperf() {
    local address out=$RUN/iperf.$1.json
    address=lo$1
    ip netns exec "$(vrouter "$3")" iperf3 -s -1 -B "$("$address" "$3")" >"$RUN/iperf.server" 2>&1 &
    local server=$!
    own_pid "$server"
    if ! wait_until 5 listening "$(vrouter "$3")" 5201; then
        kill "$server" 2>/dev/null
        return 1
    fi
    if ! in_ns "$(vrouter "$2")" timeout $((IPERF_SECONDS + 15)) iperf3 -J -t "$IPERF_SECONDS" \
        -B "$("$address" "$2")" -c "$("$address" "$3")" >"$out"; then
        jq -r .error "$out"
        kill "$server" 2>/dev/null
        return 1
    fi
    reap 10 "$server" || { echo "the server of iperf3 did not end well"; cat "$RUN/iperf.server"; return 1; }
    MBITS=$(jq '.end.sum_received.bits_per_second / 1e6 | floor' "$out")
    SEGMENTS=$(jq '.end.sum_received.bytes / 1448 | floor' "$out")
    RETRANSMITS=$(jq '.end.sum_sent.retransmits' "$out")
}
listening() { in_ns "$1" ss -Hltn "sport = :$2" | grep -q .; }

# Packets that the kernel of the router's namespace forwarded itself: two numbers, IPv4 and IPv6.
kernel_forwarded() {
    in_ns "$ROUTER" awk '
        FILENAME ~ /snmp6$/ { if ($1 == "Ip6OutForwDatagrams") six = $2; next }
        $1 == "Ip:" && !column { for (i = 2; i <= NF; i++) if ($i == "ForwDatagrams") column = i; next }
        $1 == "Ip:" { four = $column }
        END { print four, six; exit four !~ /^[0-9]+$/ || six !~ /^[0-9]+$/ }' /proc/net/snmp /proc/net/snmp6
}

# All that routing protocols and the neighbourhood need on a tap.
CONTROL_FRAMES='arp or isis or (ip proto 89) or (ip6 proto 89) or (tcp port 179) or igmp
    or (icmp6 and ip6[40] >= 130 and ip6[40] <= 143) or (ip6[6] = 0 and ip6[40] = 58)'

capture_start() { # N: on the tap of port N
    ip netns exec "$ROUTER" tcpdump -i "$(tap "$1")" -s 96 -U -w "$RUN/tap$1.pcap" >"$RUN/tcpdump.$1" 2>&1 &
    CAPTURES+=($!)
    own_pid $!
    wait_until 5 grep -q 'listening on' "$RUN/tcpdump.$1"
}
# Fails if one did not run until now.
capture_stop() {
    local pid verdict=0
    for pid in "${CAPTURES[@]}"; do
        kill -INT "$pid" 2>/dev/null
        reap 10 "$pid" || { echo "tcpdump ended with status $?"; cat "$RUN"/tcpdump.*; verdict=1; }
    done
    CAPTURES=()
    return $verdict
}
# frames N [FILTER]: how many; fails if the capture cannot be read
frames() {
    local said
    said=$(tcpdump --count -nr "$RUN/tap$1.pcap" "${@:2}" 2>"$RUN/tcpdump.read") || { cat "$RUN/tcpdump.read" >&2; return 1; }
    echo "${said%% *}"
}

# One TCP run by FAMILY from vrouter0 to vrouter2, with everything asserted that shows
# it went through the lcores and not through the kernel.
iperf_past_the_kernel() { # FAMILY
    local forwarded forwarded_after lcores after n all odd stray=0 control=0
    CAPTURES=()
    capture_start 0 && capture_start 2 || { capture_stop; return 1; }
    forwarded=$(kernel_forwarded) && lcores=$(lcore_tx) && iperf "$1" 0 2 && after=$(lcore_tx) &&
        forwarded_after=$(kernel_forwarded) || { capture_stop; return 1; }
    capture_stop || return
    for n in 0 2; do
        all=$(frames $n) && odd=$(frames $n "not ($CONTROL_FRAMES)") || return
        control=$((control + all)) stray=$((stray + odd))
    done
    note "$MBITS Mbit/s, $RETRANSMITS retransmitted"
    echo "segments $SEGMENTS, lcores' tx $((after - lcores)), kernel forwarded before and after (v4 v6):" \
        "$forwarded / $forwarded_after, frames on the taps $control, of them not control $stray"
    [ "$forwarded_after" = "$forwarded" ] || { echo "the kernel forwarded packets itself"; return 1; }
    [ $((after - lcores)) -ge "$SEGMENTS" ] || { echo "lcores sent fewer packets than iperf3 has segments"; return 1; }
    [ "$control" -gt 0 ] || { echo "no frame at all on the taps: routing protocols should be there"; return 1; }
    if [ "$stray" != 0 ]; then
        echo "frames on the taps that are not control:"
        for n in 0 2; do tcpdump -nr "$RUN/tap$n.pcap" "not ($CONTROL_FRAMES)" 2>/dev/null | head -5; done
        return 1
    fi
}

# The same topology forwarded by the kernel alone.
iperf_kernel() { # FAMILY
    iperf "$1" 0 2 && note "$MBITS Mbit/s"
}
