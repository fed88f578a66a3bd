# The demo of IPsec: two sites with strongSwan, each behind an Ironlane that encrypts. Sourced by run.sh.

for part in names box_ironlane sites strongswan; do
    # shellcheck source=/dev/null
    . "$DEMO/$part.sh"
done
[ "$DEVICE" = net_tap ] || { echo "the sites of TOPOLOGY=ipsec have net_tap ports only, not DEVICE=$DEVICE" >&2; exit 2; }

picture() {
    headline 'Two sites, and between them a network that nobody trusts'
    cat <<'PICTURE'

   host-a              site A                     the Internet                     site B              host-b
  10.1.0.2 --- [ Ironlane, router-a ] 192.0.2.1 ---- wan-a ---- 198.51.100.1 [ Ironlane, router-b ] --- 10.2.0.2
               [ strongSwan (charon)]                  ^                     [ strongSwan (charon)]
                                                  what passes here
                                                    is captured
PICTURE
}

show() { # TITLE COMMAND...: what a command says, for people
    local title=$1
    shift
    printf '\n      %s$ %s%s\n' "$BOLD" "$title" "$PLAIN"
    "$@" 2>&1 | sed 's/^/        /'
    echo
}

# A packet brings the tunnel up, and then all pass, from both sides and in both families.
tunnel_works() {
    wait_until 20 host_ping a 10.2.0.2 && wait_until 10 host_ping b 10.1.0.2 &&
        wait_until 10 host_ping a 2001:db8:2::2 && wait_until 10 host_ping b 2001:db8:1::2
}
secret_seen() {
    local seen
    seen=$(wire_secrets)
    note "\"$SECRET\" on the wire: $seen times"
    [ "$seen" -gt 0 ]
}
secret_kept() {
    local seen esp
    seen=$(wire_secrets) esp=$(wire_count esp)
    note "$esp packets of ESP, \"$SECRET\": $seen times"
    [ "$seen" = 0 ] && [ "$esp" -gt 20 ] && nothing_in_clear
}
fast_path_alone() { # the kernels of the routers have no SA
    local site
    for site in a b; do
        [ -z "$(ip -n "$(router_of $site)" xfrm state)" ] || return
    done
}
rekeyed_on_the_wire() {
    local spis
    spis=$(wire_read esp | grep -oE 'spi=0x[0-9a-f]+' | sort -u | wc -l)
    note "$spis different SPIs, $(logged 'IKE_SA .* rekeyed') IKE SAs rekeyed"
    [ "$spis" -ge 10 ]
}
# Packets of host a that its router dropped, since there is no SA for them.
dropped_without_sa() {
    il_at a drop show --json --all | jq '[.. | objects | select(.reason? == "policy_no_sa") | .packets] | add // 0'
}
blocked() {
    local before after
    before=$(dropped_without_sa)
    not host_ping a 10.2.0.2 && after=$(dropped_without_sa) || return
    note "$((after - before)) dropped as policy_no_sa"
    [ "$after" -gt "$before" ]
}
crash_is_not_felt() {
    swan_kill b && host_ping a 10.2.0.2 -c 20
}
nothing_in_clear() { [ -z "$(wire_in_clear)" ] || { wire_in_clear | head; return 1; }; }

start_strongswan() { swan_start a && swan_start b; }
agree() { il_at a verify && il_at b verify; }

in_clear() {
    SECTION='in clear'
    headline 'Without IPsec: all can be read'
    step 'a capture between the sites' wire_watch
    step 'hosts of both sites reach each other' host_ping a 10.2.0.2
    step 'the capture ends' wire_stop
    step 'and what they said is on the wire' secret_seen
}

psk() {
    SECTION=PSK
    headline 'strongSwan with a shared secret (configs/strongswan/site-to-site-psk.conf)'
    step 'strongSwan with the plugin at both sites' start_strongswan || return
    step 'the configuration is loaded, a policy waits for packets' swan_load psk
    step 'a capture between the sites' wire_watch
    step 'the first packet brings the tunnel up; IPv4 and IPv6' tunnel_works
    show 'swanctl --list-sas' swan a --list-sas
    show 'ironlane ipsec sa show' il_at a ipsec sa show
    step 'the SAs are in the lcores, none in the kernel' fast_path_alone
    step 'the capture ends' wire_stop
    show 'tcpdump -ni wan-a' eval 'wire_read esp | head -n 4; wire_read other udp port 500 | head -n 2'
    step 'nothing of it can be read' secret_kept
}

certificates() {
    SECTION=certificates
    headline 'The same with certificates (configs/strongswan/site-to-site-cert.conf)'
    step 'the tunnel is taken down' swan_down
    step 'a CA, and a certificate for each site, made with openssl' swan_certificates || return
    step 'the configuration is loaded' swan_load cert
    step 'a capture between the sites' wire_watch
    step 'ironlane ipsec initiate --child nets' il_at a ipsec initiate --child nets
    step 'IPv4 and IPv6, from both sides' tunnel_works
    show 'swanctl --list-certs --type x509' eval "swan a --list-certs --type x509 | grep -E 'subject|issuer|altNames'"
    show 'ironlane ipsec connection show' il_at a ipsec connection show
}

tcp() { # ADDRESS [ARGUMENTS]
    if step "iperf3 TCP to $1, 4 rekeys" flow_tcp 4 6 -c "$@"; then
        row "TCP to $1, 4 rekeys" "$MBITS Mbit/s"
    else
        row "TCP to $1, 4 rekeys" FAILED
    fi
}
traffic() {
    SECTION=traffic
    headline 'Keys change while packets flow'
    step 'iperf3 UDP, 20 Mbit/s: 4 rekeys of the CHILD SA, 4 of the IKE SA' flow_udp 8 10 20
    row 'UDP, 20 Mbit/s, 8 rekeys' "$NOTE"
    tcp 10.2.0.2
    tcp 2001:db8:2::2
    step 'the capture ends' wire_stop
    step 'it has each new SA' rekeyed_on_the_wire
    step 'and nothing in clear' secret_kept
    row 'on the wire between the sites' "$NOTE"
}

misfortune() {
    SECTION=misfortune
    headline 'Things go wrong'
    step 'a capture between the sites' wire_watch
    step "site B's strongSwan is killed (kill -9): packets go on" crash_is_not_felt
    step 'site A takes its SAs down: ironlane ipsec terminate' il_at a ipsec terminate --ike site-b --force --timeout 1
    step 'without SAs nothing passes, and it is counted' blocked
    step "site B's strongSwan is back" eval 'swan_start b && swan b --load-all --noprompt'
    step 'the tunnel comes by itself' wait_until 30 host_ping a 10.2.0.2
    step 'the capture ends' wire_stop
    step 'nothing left in clear' nothing_in_clear
    step 'ironlane verify at both sites' wait_until 10 agree
}

demonstrate() {
    picture
    SECTION=set-up
    headline 'Set up'
    local lack
    lack=$(swan_lack)
    [ -z "$lack" ] || { STEPS_FAILED+=("$lack"); return; }
    step "strongSwan's plugin, built for the installed version" swan_plugin &&
        step 'network namespaces, two Ironlanes with two ports each' sites_up || return
    in_clear
    psk && certificates && traffic
    misfortune
    [ "${KEEP:-0}" = 0 ] || return
    SECTION=end
    step 'both Ironlanes end cleanly' eval 'site_stop a && site_stop b'
}

look_around() {
    local exec="ip netns exec" at
    headline 'It is left running. To look around:'
    for at in a b; do
        cat <<HELP
  site ${at^^}: export IRONLANE_SOCKET=$RUN/$at/ironlane.sock SWANCTL_DIR=$RUN/$at/swanctl
          export STRONGSWAN_CONF=$RUN/$at/strongswan.conf URI=unix://$RUN/$at/charon.vici PATH=$ROOT/target/release:\$PATH
HELP
    done
    cat <<HELP
  ironlane ipsec connection show; ironlane ipsec sa show; ironlane ipsec policy show
  ironlane ipsec monitor                                     what happens to SAs, as it happens
  ironlane ipsec terminate --ike site-b                      at A; the next packet brings it up again
  swanctl --list-sas --uri \$URI                              with the counts of the lcores
  swanctl --rekey --child nets --uri \$URI
  $exec $(host_of a) ping 10.2.0.2
  $exec $(host_of b) iperf3 -s -D; $exec $(host_of a) iperf3 -c 10.2.0.2
  $exec $INTERNET tcpdump -ni wan-a                        what the Internet sees
  tail -f $RUN/a/charon.log
  make demo-clean                                            end it
HELP
}
