# TCP between two loopbacks, and the proof of who forwarded it. Sourced.

IPERF_SECONDS=${IPERF_SECONDS:-5}

# iperf FAMILY FROM TO: runs it, leaves MBITS and SEGMENTS (1448 bytes of data each, so a lower bound).
iperf() {
    local address out=$RUN/iperf.$1.json
    address=lo$1
    ip netns exec "$(vrouter "$3")" iperf3 -s -1 -B "$("$address" "$3")" >"$RUN/iperf.server" 2>&1 &
    local server=$!
    wait_until 5 listening "$(vrouter "$3")" 5201 || return
    if ! in_ns "$(vrouter "$2")" timeout $((IPERF_SECONDS + 15)) iperf3 -J -t "$IPERF_SECONDS" \
        -B "$("$address" "$2")" -c "$("$address" "$3")" >"$out"; then
        jq -r .error "$out"
        kill "$server" 2>/dev/null
        return 1
    fi
    wait "$server"
    MBITS=$(jq '.end.sum_received.bits_per_second / 1e6 | floor' "$out")
    SEGMENTS=$(jq '.end.sum_received.bytes / 1448 | floor' "$out")
    RETRANSMITS=$(jq '.end.sum_sent.retransmits' "$out")
}
listening() { in_ns "$1" ss -Hltn "sport = :$2" | grep -q .; }

# Packets that the kernel of the router's namespace forwarded itself, both families.
kernel_forwarded() {
    in_ns "$ROUTER" awk '
        FILENAME ~ /snmp6$/ { if ($1 == "Ip6OutForwDatagrams") six = $2; next }
        $1 == "Ip:" && !column { for (i = 2; i <= NF; i++) if ($i == "ForwDatagrams") column = i; next }
        $1 == "Ip:" { four = $column }
        END { print four, six }' /proc/net/snmp /proc/net/snmp6
}

# All that routing protocols and the neighbourhood need on a tap.
CONTROL_FRAMES='arp or isis or (ip proto 89) or (ip6 proto 89) or (tcp port 179) or igmp
    or (icmp6 and ip6[40] >= 130 and ip6[40] <= 143) or (ip6[6] = 0 and ip6[40] = 58)'

capture_start() { # N: on the tap of port N
    ip netns exec "$ROUTER" tcpdump -i "$(tap "$1")" -s 96 -U -w "$RUN/tap$1.pcap" >"$RUN/tcpdump.$1" 2>&1 &
    CAPTURES+=($!)
    wait_until 5 grep -q 'listening on' "$RUN/tcpdump.$1"
}
capture_stop() {
    local pid
    for pid in "${CAPTURES[@]}"; do
        kill -INT "$pid" 2>/dev/null
        wait "$pid"
    done
    CAPTURES=()
}
# frames N [FILTER]
frames() { tcpdump -nr "$RUN/tap$1.pcap" "${@:2}" 2>/dev/null | wc -l; }

# One TCP run by FAMILY from vrouter0 to vrouter2, with everything asserted that shows
# it went through the lcores and not through the kernel.
iperf_past_the_kernel() { # FAMILY
    local forwarded lcores after n stray=0 control=0
    CAPTURES=()
    capture_start 0 && capture_start 2 || return
    forwarded=$(kernel_forwarded)
    lcores=$(lcore_tx)
    iperf "$1" 0 2 || return
    after=$(lcore_tx)
    capture_stop
    for n in 0 2; do
        control=$((control + $(frames $n)))
        stray=$((stray + $(frames $n "not ($CONTROL_FRAMES)")))
    done
    note "$MBITS Mbit/s, $RETRANSMITS retransmitted"
    echo "segments $SEGMENTS, lcores' tx $((after - lcores)), kernel forwarded before and after (v4 v6):" \
        "$forwarded / $(kernel_forwarded), frames on the taps $control, of them not control $stray"
    [ "$(kernel_forwarded)" = "$forwarded" ] || { echo "the kernel forwarded packets itself"; return 1; }
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
