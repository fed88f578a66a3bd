# eBGP on every link: the box is AS 65100, vrouter N is AS 6500N. IPv6 has sessions of its own.
# The direct link is costlier by local preference. Sourced.
bgp_daemons=bgpd
bgp_rtprot=186
bgp_title='BGP (IPv4 + IPv6)'

bgp_interface() { :; }
bgp_loopback() { :; }

bgp_as() { if [ "$1" = "$ROUTER_LO" ]; then echo 65100; else echo "6500$1"; fi; }

# bgp_neighbours N: address4 address6 remote-as [route-map]
bgp_neighbours() {
    local i
    case $1 in
    "$ROUTER_LO") for i in "${VROUTERS[@]}"; do echo "$(link4 "$i" 3) $(link6 "$i" 3) $(bgp_as "$i")"; done ;;
    0) echo "10.0.1.2 2001:db8:1::2 $(bgp_as 1) COSTLY" ;;
    1) echo "10.0.1.1 2001:db8:1::1 $(bgp_as 0) COSTLY" ;;
    esac
    [ "$1" = "$ROUTER_LO" ] || echo "$(link4 "$1" 1) $(link6 "$1" 1) $(bgp_as "$ROUTER_LO")"
}

bgp_family() { # ipv4|ipv6 NETWORK, neighbours on stdin
    local four six as map peer
    echo " address-family $1 unicast"
    echo "  network $2"
    while read -r four six as map; do
        peer=$four
        [ "$1" = ipv4 ] || peer=$six
        echo "  neighbor $peer activate"
        [ -z "$map" ] || echo "  neighbor $peer route-map $map in"
    done
    echo " exit-address-family"
}

bgp_router() { # N
    local four six as map peer
    printf 'route-map COSTLY permit 10\n set local-preference 50\nexit\n'
    cat <<CONF
router bgp $(bgp_as "$1")
 bgp router-id $(lo4 "$1")
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 timers bgp 1 3
CONF
    while read -r four six as map; do
        for peer in "$four" "$six"; do
            printf ' neighbor %s remote-as %s\n neighbor %s timers connect 1\n neighbor %s advertisement-interval 0\n' \
                "$peer" "$as" "$peer" "$peer"
        done
    done < <(bgp_neighbours "$1")
    bgp_neighbours "$1" | bgp_family ipv4 "$(lo4 "$1")/32"
    bgp_neighbours "$1" | bgp_family ipv6 "$(lo6 "$1")/128"
    echo exit
}

# Sessions that are up, seen from a namespace.
bgp_up() { show "$1" 'show bgp neighbors' | grep -c 'BGP state = Established'; } # NS
bgp_wanted=8
