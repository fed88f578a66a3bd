# One set of Debian's FRR per namespace, kept apart by pathspaces (-N NAMESPACE). Sourced.
#
# A protocol is a file frr_PROTOCOL.sh with:
#   PROTOCOL_daemons            what to start beside zebra
#   PROTOCOL_rtprot             its number in the kernel's routes
#   PROTOCOL_title              what people call it
#   PROTOCOL_interface COST     lines of one interface's block
#   PROTOCOL_loopback           lines of the loopback's
#   PROTOCOL_router N           the protocol's own block; N numbers the router (100: the box)
#   PROTOCOL_up NS              how many neighbours are up there
#   PROTOCOL_wanted             how many there are to be at the box

FRR_BIN=${FRR_BIN:-/usr/lib/frr}

load_protocol() { # ospf|isis|bgp
    local here=${BASH_SOURCE[0]%/*}
    # shellcheck source=/dev/null
    . "$here/frr_$1.sh"
    PROTOCOL=$1
}

# frr_config NS N INTERFACE:COST...
frr_config() {
    local ns=$1 n=$2 spec
    shift 2
    cat <<CONF
frr defaults datacenter
hostname $ns
log file /var/run/frr/$ns/frr.log informational
service integrated-vtysh-config
! With kernel nexthop groups FRR 8.4 and the kernel disagree for good after a link flap.
no zebra nexthop kernel enable
CONF
    # Before the interfaces: IS-IS refuses a metric above 63 while it knows of no wide style.
    "${PROTOCOL}_router" "$n"
    for spec in "$@"; do
        echo "interface ${spec%:*}"
        "${PROTOCOL}_interface" "${spec#*:}"
        echo exit
    done
    echo "interface lo"
    "${PROTOCOL}_loopback"
    echo exit
}

# frr_start NS N INTERFACE:COST...
frr_start() {
    local ns=$1 daemon
    local -n daemons="${PROTOCOL}_daemons"
    make_dir frr "/etc/frr/$ns" && make_dir frr "/var/run/frr/$ns" || return
    frr_config "$@" >"/etc/frr/$ns/frr.conf"
    cp "/etc/frr/$ns/frr.conf" "$RUN/$ns.frr.conf"
    echo 'service integrated-vtysh-config' >"/etc/frr/$ns/vtysh.conf"
    for daemon in zebra $daemons; do touch "/etc/frr/$ns/$daemon.conf"; done
    chown -R frr:frr "/etc/frr/$ns"
    for daemon in zebra $daemons; do
        in_ns "$ns" "$FRR_BIN/$daemon" -d -N "$ns" 2>>"$RUN/frr.err"
        own_pid "$(cat "/var/run/frr/$ns/$daemon.pid")"
    done
    if ! in_ns "$ns" vtysh -N "$ns" -b >"$RUN/$ns.vtysh" 2>&1 || grep -q '^%' "$RUN/$ns.vtysh"; then
        echo "FRR in $ns did not take its configuration:"
        cat "$RUN/$ns.vtysh"
        return 1
    fi
}

# FRR everywhere: vrouters with their uplink (cheap) and the direct link (costly), the box with its taps.
frr_start_all() {
    local i taps=()
    for i in "${VROUTERS[@]}"; do
        case $i in
        0 | 1) frr_start "$(vrouter "$i")" "$i" "$(uplink "$i"):10" "$DIRECT:100" || return ;;
        *) frr_start "$(vrouter "$i")" "$i" "$(uplink "$i"):10" || return ;;
        esac
        taps+=("$(tap "$i"):10")
    done
    frr_start "$ROUTER" "$ROUTER_LO" "${taps[@]}"
}

show() { # NS COMMAND: what vtysh says
    in_ns "$1" vtysh -N "$1" -c "$2"
}

# All of the box's neighbours, over its taps, are up.
neighbours_up() {
    local up
    local -n wanted="${PROTOCOL}_wanted"
    up=$("${PROTOCOL}_up" "$ROUTER")
    note "$up of $wanted"
    [ "$up" = "$wanted" ]
}

# Routes of the protocol to loopbacks, by family: what every namespace must have.
# learnt NS HOW_MANY
learnt() {
    local four six
    local -n rtprot="${PROTOCOL}_rtprot"
    four=$(ip -n "$1" -4 route show root 10.0.255.0/24 proto "$rtprot" 2>/dev/null | grep -c '^10\.')
    six=$(ip -n "$1" -6 route show root 2001:db8:255::/64 proto "$rtprot" 2>/dev/null | grep -c '^2001:')
    [ "$four" = "$2" ] && [ "$six" = "$2" ]
}

# Everybody knows everybody else's loopback, and traffic between 0 and 1 goes by the box.
converged() {
    local i
    for i in "${VROUTERS[@]}"; do learnt "$(vrouter "$i")" 4 || return 1; done
    learnt "$ROUTER" 4 && by_the_box
}
by_the_box() {
    route_by "$(vrouter 0)" "$(uplink 0)" 1 && route_by "$(vrouter 1)" "$(uplink 1)" 0 &&
        route_by "$ROUTER" "$(tap 0)" 0 && route_by "$ROUTER" "$(tap 1)" 1
}
# route_by NS INTERFACE N: loopback N is reached by INTERFACE, both families
route_by() {
    ip -n "$1" route get "$(lo4 "$3")" 2>/dev/null | grep -q "dev $2 " &&
        ip -n "$1" route get "$(lo6 "$3")" 2>/dev/null | grep -q "dev $2 "
}
