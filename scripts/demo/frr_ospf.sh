# OSPFv2 and OSPFv3. A neighbour that is silent for 3 s is lost: shorter holds (minimal hello)
# work too, but a busy machine with two cores then loses neighbours that are alive. Sourced.
ospf_daemons='ospfd ospf6d'
ospf_rtprot=188
ospf_title='OSPFv2 + OSPFv3'

ospf_interface() { # COST
    cat <<CONF
 ip ospf area 0
 ip ospf network point-to-point
 ip ospf hello-interval 1
 ip ospf dead-interval 3
 ip ospf cost $1
 ipv6 ospf6 area 0
 ipv6 ospf6 network point-to-point
 ipv6 ospf6 hello-interval 1
 ipv6 ospf6 dead-interval 3
 ipv6 ospf6 cost $1
CONF
}

ospf_loopback() {
    echo ' ip ospf area 0'
    echo ' ipv6 ospf6 area 0'
}

ospf_router() { # N
    cat <<CONF
router ospf
 ospf router-id $(lo4 "$1")
 maximum-paths 4
 timers throttle spf 0 50 500
 timers throttle lsa all 0
 timers lsa min-arrival 0
exit
router ospf6
 ospf6 router-id $(lo4 "$1")
 maximum-paths 4
 timers throttle spf 0 50 500
 timers lsa min-arrival 0
exit
CONF
}

# Neighbours that are up, seen from a namespace.
ospf_up() { # NS
    { show "$1" 'show ip ospf neighbor' && show "$1" 'show ipv6 ospf6 neighbor'; } | grep -c 'Full'
}
ospf_wanted=8
