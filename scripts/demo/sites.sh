# Two sites, each behind an Ironlane, and the Internet between them. Sourced.
#
#   host-a ---- lan [ router-a ] wan ----- internet ----- wan [ router-b ] lan ---- host-b
#
#           host            router, lan     router, wan      the Internet's end
#   a       10.1.0.2        10.1.0.1        192.0.2.1        192.0.2.254       wan-a
#           2001:db8:1::2   2001:db8:1::1   2001:db8:a::1    2001:db8:a::fe
#   b       10.2.0.2        10.2.0.1        198.51.100.1     198.51.100.254    wan-b
#           2001:db8:2::2   2001:db8:2::1   2001:db8:b::1    2001:db8:b::fe

INTERNET=${NS_PREFIX}internet
router_of() { echo "${NS_PREFIX}router-$1"; }
host_of() { echo "${NS_PREFIX}host-$1"; }
declare -A LAN4=([a]=10.1.0 [b]=10.2.0) LAN6=([a]=2001:db8:1: [b]=2001:db8:2:)
declare -A WAN4=([a]=192.0.2 [b]=198.51.100) WAN6=([a]=2001:db8:a: [b]=2001:db8:b:)
declare -A SITE_NUMBER=([a]=1 [b]=2) SITE_PID

il_at() { # SITE COMMAND...: the ironlane of that site
    local site=$1
    shift
    IRONLANE_SOCKET=$RUN/$site/ironlane.sock "$IRONLANE" "$@"
}

# The last CPU for A; the one before it for B, where there is one to spare.
site_cpu() {
    local last
    last=$(last_cpu)
    if [ "$1" = b ] && [ "$last" -ge 2 ]; then echo $((last - 1)); else echo "$last"; fi
}

site_port() { # SITE NAME NUMBER PEER_NS PEER_NAME ADDRESSES PEER_ADDRESSES
    cat <<CONF

[[port]]
name = "$2"
device = "net_tap$3,iface=il$((RUN_ID % 100000))$1$3"
mac = "02:00:00:00:0$1:0$3"
addresses = [$6]
peer_netns = "$4"
peer_name = "$5"
peer_mac = "02:00:00:00:1$1:0$3"
peer_addresses = [$7]
CONF
}
site_config() { # SITE
    local site=$1 hugepages=false
    if hugepages_free; then hugepages=true; fi
    cat <<CONF
[daemon]
socket = "$RUN/$site/ironlane.sock"
run_dir = "$RUN/$site/run"
netns = "$(router_of "$site")"

[dpdk]
hugepages = $hugepages
memory_mib = $MEMORY_MIB
file_prefix = "ironlane-$RUN_ID$site"

[mempool]
mbufs = 16383

[lcores]
cpus = "${LCORES_OF[$site]:-$(site_cpu "$site")}"

[ipsec]
charon_socket = "$RUN/$site/ipsec.sock"
vici = "$RUN/$site/charon.vici"
CONF
    site_port "$site" lan 0 "$(host_of "$site")" eth0 \
        "\"${LAN4[$site]}.1/16\", \"${LAN6[$site]}:1/64\"" "\"${LAN4[$site]}.2/16\", \"${LAN6[$site]}:2/64\""
    site_port "$site" wan 1 "$INTERNET" "wan-$site" \
        "\"${WAN4[$site]}.1/24\", \"${WAN6[$site]}:1/64\"" "\"${WAN4[$site]}.254/24\", \"${WAN6[$site]}:fe/64\""
}
declare -A LCORES_OF

site_answers() { # SITE
    ended "${SITE_PID[$1]}" || il_at "$1" port show >/dev/null 2>&1
}
site_start() { # SITE: the daemon, without the way to the Internet
    mkdir -p "$RUN/$1"
    site_config "$1" >"$RUN/$1/ironlane.toml"
    "$IRONLANE" run --config "$RUN/$1/ironlane.toml" >>"$RUN/$1/ironlane.log" 2>&1 &
    SITE_PID[$1]=$!
    own_pid "${SITE_PID[$1]}"
    wait_until 60 site_answers "$1" && il_at "$1" port show || { tail -n 20 "$RUN/$1/ironlane.log"; return 1; }
}
site_connect() { # SITE
    ip -n "$(router_of "$1")" route replace default via "${WAN4[$1]}.254" &&
        ip -n "$(router_of "$1")" -6 route replace default via "${WAN6[$1]}:fe"
}
site_stop() { # SITE [SIGNAL]
    kill "-${2:-TERM}" "${SITE_PID[$1]}" && reap 20 "${SITE_PID[$1]}"
}

sites_up() {
    local site ns
    for ns in "$INTERNET" "$(host_of a)" "$(host_of b)" "$(router_of a)" "$(router_of b)"; do
        if [ -e "/run/netns/$ns" ]; then
            echo "a namespace called $ns exists already; if it is left from a demo: make demo-clean"
            return 1
        fi
        new_ns "$ns"
    done
    for site in a b; do
        site_start "$site" && site_connect "$site" && site_routes "$site" || return
    done
}
# The host's way out; and the Internet knows the way to the site, so that what leaves in clear arrives.
site_routes() { # SITE
    ip -n "$(host_of "$1")" route replace default via "${LAN4[$1]}.1" &&
        ip -n "$(host_of "$1")" -6 route replace default via "${LAN6[$1]}:1" &&
        ip -n "$INTERNET" route replace "${LAN4[$1]}.0/16" via "${WAN4[$1]}.1" &&
        ip -n "$INTERNET" -6 route replace "${LAN6[$1]}:/64" via "${WAN6[$1]}:1"
}

# What the hosts say to each other has this in it, so that it can be looked for on the wire.
SECRET=IRONLANE
SECRET_HEX=49524f4e4c414e45
host_ping() { # FROM ADDRESS [ARGUMENTS]: every echo answered
    local from=$1 address=$2 out
    shift 2
    out=$(in_ns "$(host_of "$from")" ping -n -q -c 5 -i 0.1 -W 2 -s 200 -p $SECRET_HEX "$@" "$address" 2>&1)
    grep -q ' 0% packet loss' <<<"$out" || { echo "$out"; return 1; }
}

# The wire between the sites: ESP in one file, all else, in full, in another.
WIRE=wan-a
declare -a WATCHERS
wire_watch() {
    WATCHERS=()
    rm -f "$RUN"/wire.*
    wire_capture esp -s 300 esp && wire_capture other -s 0 not esp
}
wire_capture() { # NAME ARGUMENTS...
    local name=$1
    shift
    ip netns exec "$INTERNET" tcpdump -i "$WIRE" -n -U -B 16384 -w "$RUN/wire.$name.pcap" "$@" >/dev/null 2>"$RUN/wire.$name" &
    WATCHERS+=($!)
    own_pid $!
    wait_until 10 grep -q listening "$RUN/wire.$name"
}
wire_stop() {
    local pid
    sleep 0.5 # what is in the kernel's buffer
    for pid in "${WATCHERS[@]}"; do kill -INT "$pid" && reap 10 "$pid" || return; done
    # What may be in clear must all have been seen.
    grep -q '^0 packets dropped by kernel' "$RUN/wire.other" || { cat "$RUN/wire.other"; return 1; }
}
wire_read() { tcpdump -nr "$RUN/wire.$1.pcap" "${@:2}" 2>/dev/null; } # NAME [ARGUMENTS]
wire_count() { wire_read "$@" | wc -l; }
wire_secrets() { cat "$RUN"/wire.*.pcap | grep -aoF $SECRET | wc -l; }
# Beside ESP: IKE, what a link needs, and what the routers say to each other of IKE (an unreachable port).
# The rest would be somebody's data.
wire_in_clear() {
    wire_read other "not (udp port 500 or udp port 4500 or arp or icmp6[0] = 135 or icmp6[0] = 136
        or ip6[6] = 0 or (icmp6[0] >= 130 and icmp6[0] <= 134)
        or (host ${WAN4[a]}.1 and host ${WAN4[b]}.1 and icmp[0] = 3))"
}
