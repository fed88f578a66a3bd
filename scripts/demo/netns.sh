# Namespaces, loopbacks and the direct link: all that is the same whoever forwards. Sourced.

# new_ns NAME: forwarding on, no duplicate address detection (nobody else is on these links),
# IPv6 addresses kept when a link goes down, as an operator would set it on a router.
new_ns() {
    ip netns add "$1"
    echo "netns $1" >>"$RUN/owned"
    in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
        net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
        net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.dad_transmits=0 \
        net.ipv6.conf.all.keep_addr_on_down=1 net.ipv6.conf.default.keep_addr_on_down=1 \
        net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
    ip -n "$1" link set lo up
}

loopback() { # NS N
    ip -n "$1" addr add "$(lo4 "$2")/32" dev lo
    ip -n "$1" addr add "$(lo6 "$2")/128" dev lo
}

# address NS INTERFACE V4/LEN V6/LEN: and up
address() {
    ip -n "$1" addr add "$3" dev "$2"
    ip -n "$1" addr add "$4" dev "$2" nodad
    ip -n "$1" link set "$2" up
}

make_namespaces() {
    local i ns
    for ns in $(every_ns); do
        if [ -e "/run/netns/$ns" ]; then
            echo "a namespace called $ns exists already; if it is left from a demo: make demo-clean"
            return 1
        fi
    done
    for i in "${VROUTERS[@]}"; do
        new_ns "$(vrouter "$i")"
        loopback "$(vrouter "$i")" "$i"
    done
    new_ns "$ROUTER"
    loopback "$ROUTER" "$ROUTER_LO"

    ip link add "$DIRECT" netns "$(vrouter 0)" type veth peer name "$DIRECT" netns "$(vrouter 1)"
    address "$(vrouter 0)" "$DIRECT" 10.0.1.1/24 2001:db8:1::1/64
    address "$(vrouter 1)" "$DIRECT" 10.0.1.2/24 2001:db8:1::2/64
}

# number_links: both ends of the four links exist; give them their addresses.
number_links() {
    local i
    for i in "${VROUTERS[@]}"; do
        address "$(vrouter "$i")" "$(uplink "$i")" "$(link4 "$i" 3)/24" "$(link6 "$i" 3)/64"
        address "$ROUTER" "$(tap "$i")" "$(link4 "$i" 1)/24" "$(link6 "$i" 1)/64"
    done
}

# born PID: when it started, in clock ticks since boot; with it a number that is used again is told apart.
born() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null; }
own_pid() { echo "pid $1 $(born "$1")" >>"$RUN/owned"; }
runs() { [ -n "$2" ] && [ "$(born "$1")" = "$2" ]; } # PID BORN
# ended PID: it is gone, or waits only to be waited for
ended() { ! grep -qE '^State:[[:space:]]+[^ZX]' "/proc/$1/status" 2>/dev/null; }
# reap SECONDS PID: its exit status; one that does not end in time is killed, status 124.
reap() {
    if ! wait_until "$1" ended "$2"; then
        kill -9 "$2" 2>/dev/null
        wait "$2" 2>/dev/null
        return 124
    fi
    wait "$2"
}

# make_dir OWNER PATH: a folder of ours, by the mark in it. One of that name that somebody else made is refused.
OUR_MARK=.made-by-ironlane
make_dir() {
    if [ -e "$2" ] && [ ! -e "$2/$OUR_MARK" ]; then
        echo "$2 exists already and was not made here; if it is of no use any more: rm -r $2"
        return 1
    fi
    install -d -o "$1" -g "$1" -m 755 "$2" && touch "$2/$OUR_MARK" && echo "dir $2" >>"$RUN/owned"
}

# Removes what the file "owned" lists ("pid N BORN", "netns NAME", "dir PATH", "link NAME"), last made
# first. Processes get TERM all at once, and KILL if they are still there after 5 seconds.
remove_owned() { # RUN_DIRECTORY
    local kind what born
    [ -f "$1/owned" ] || return 0
    while read -r kind what born; do
        if [ "$kind" = pid ] && runs "$what" "$born"; then kill "$what" 2>/dev/null; fi
    done < <(tac "$1/owned")
    while read -r kind what born; do
        case $kind in
        pid) wait_until 5 not runs "$what" "$born" >/dev/null || kill -9 "$what" 2>/dev/null || true ;;
        netns) ip netns del "$what" 2>/dev/null || true ;;
        link) ip link del "$what" 2>/dev/null || true ;;
        dir) [ ! -e "$what/$OUR_MARK" ] || rm -rf "$what" ;;
        esac
    done < <(tac "$1/owned")
    : >"$1/owned"
}
