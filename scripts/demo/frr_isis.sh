# IS-IS, level 2, both families in one topology, wide metrics. Sourced.
isis_daemons=isisd
isis_rtprot=187
isis_title='IS-IS (IPv4 + IPv6)'

isis_interface() { # COST
    cat <<CONF
 ip router isis 1
 ipv6 router isis 1
 isis network point-to-point
 no isis hello padding
 isis hello-interval 1
 isis hello-multiplier 3
 isis metric $1
CONF
}

isis_loopback() {
    echo ' ip router isis 1'
    echo ' ipv6 router isis 1'
    echo ' isis passive'
}

isis_router() { # N
    cat <<CONF
router isis 1
 net 49.0001.0100.0025.5$(printf %03d "$1").00
 is-type level-2-only
 metric-style wide
 lsp-gen-interval 1
 spf-interval 1
 spf-delay-ietf init-delay 0 short-delay 20 long-delay 100 holddown 200 time-to-learn 50
exit
CONF
}

# Neighbours that are up, seen from a namespace; one adjacency carries both families.
isis_up() { show "$1" 'show isis neighbor' | grep -c ' Up '; } # NS
isis_wanted=4
