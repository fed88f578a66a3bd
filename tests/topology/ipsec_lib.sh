# For the scripts about IPsec: Ironlanes with strongSwan beside them. Sourced after lib.sh.
#
#   two_sites [LINES_A LINES_B]    h0 ---- p0 [ironlane A] p1 ---- wan ---- p3 [ironlane B] p2 ---- h2
#                                  with these lines in their configurations
#   charon SITE NAMESPACE [KERNEL] starts an unmodified strongSwan with the swanctl.conf on standard input;
#                                  KERNEL is its IPsec backend: kernel-ironlane, kernel-libipsec. Settings
#                                  of the section charon can be in CHARON_SETTINGS
#   psk LOCAL REMOTE TS TS         such a swanctl.conf, changed by the variables below
#   swan SITE ARGUMENTS            its swanctl
#   watch_wan, seen FILTER         begins to capture what passes wan; how many packets of it match
#   socket_full HOST               datagrams that arrived, and for which its sockets had no room
#   nothing_in_clear               nothing of NETS was among them but in ESP
#   ilb ARGUMENTS                  the CLI of the daemon at B
#
# SITE is a for the daemon of start_ironlane, b for that of two_sites; each has its socket for charon in
# RUN/SITE.ipsec.

CHARON=/usr/lib/ipsec/charon
[ -x $CHARON ] && command -v swanctl >/dev/null || skip 'needs strongSwan (scripts/setup.sh)'
PLUGIN=$("$ROOT/plugins/charon/build.sh" "$RUN/plugin") || { echo 'the plugin was not built'; exit 1; }
NETS_A=10.0.0.0/24,2001:db8:0::/64 NETS_B=10.2.0.0/24,2001:db8:2::/64

two_sites() { # [LINES_A LINES_B]
    topology h0:p0 wan:p1 h2:p2
    A=$ROUTER B=${NS_PREFIX}router-b
    new_ns "$B"
    HOSTS=(h0:p0 wan:p1)
    start_ironlane '[ipsec]' "charon_socket = \"$RUN/a.ipsec\"" "${1-}"
    run 'the other Ironlane is up' start_b "${2-}"
    run 'routes' site_routes
}
# The other site: a daemon of its own, with a socket of its own.
ilb() { IRONLANE_SOCKET=$RUN/b.sock "$IRONLANE" "$@"; }
start_b() { # [LINES]
    (
        HOSTS=(h2:p2 wan:p3) ROUTER=$B
        hosts_config '[ipsec]' "charon_socket = \"$RUN/b.ipsec\"" "${1-}"
    ) | sed -e "s|$RUN/ironlane.sock|$RUN/b.sock|; s|$RUN/ironlane\"|$RUN/b\"|; s|\"il-$$\"|\"ilb-$$\"|" \
        -e '/name = "p3"/,$ s/peer_name = "eth0"/peer_name = "eth1"/' >"$RUN/b.toml"
    "$IRONLANE" run --config "$RUN/b.toml" >>"$RUN/b.log" 2>&1 &
    IRONLANE_B=$!
    own_pid "$IRONLANE_B"
    wait_until 60 ilb port show >/dev/null 2>&1 || { tail -n 20 "$RUN/b.log"; return 1; }
}
site_routes() {
    on h2 ip route replace default via 10.2.0.1 && on h2 ip -6 route replace default via 2001:db8:2::1
    ip -n "$A" route add default via 10.1.0.2 && ip -n "$A" -6 route add default via 2001:db8:1::2
    ip -n "$B" route add default via 10.3.0.2 && ip -n "$B" -6 route add default via 2001:db8:3::2
    on wan ip route del default
    on wan ip -6 route del default
    on wan sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    # The wan knows the way to both sites, so what leaves in clear arrives, and is seen.
    on wan ip route add 10.0.0.0/24 via 10.1.0.1 && on wan ip route add 10.2.0.0/24 via 10.3.0.1
    on wan ip -6 route add 2001:db8:0::/64 via 2001:db8:1::1 && on wan ip -6 route add 2001:db8:2::/64 via 2001:db8:3::1
}

charon() {
    local site=$1 netns=$2 kernel=${3:-kernel-ironlane} at=$RUN/$1
    mkdir -p "$at/swanctl" "$at/plugins"
    cp /usr/lib/ipsec/plugins/*.so "$at/plugins" && cp "$PLUGIN" "$at/plugins"
    cat >"$at/strongswan.conf" <<CONF
charon {
    load = random nonce openssl sha1 sha2 hmac kdf ctr chapoly gcm pem pkcs1 x509 pubkey constraints revocation $kernel kernel-netlink socket-default vici
    ${CHARON_SETTINGS:-}
    filelog {
        f {
            path = $at/charon.log
            flush_line = yes
            knl = 2
        }
    }
    plugins {
        vici {
            socket = unix://$at/vici
        }
        kernel-ironlane {
            socket = ${CHARON_SOCKET:-$RUN/$site.ipsec}
        }
    }
}
CONF
    cat >"$at/swanctl/swanctl.conf"
    STRONGSWAN_CONF=$at/strongswan.conf ip netns exec "$netns" unshare -m sh -c \
        "mount -t tmpfs none /run && mount --bind $at/plugins /usr/lib/ipsec/plugins && exec ${IRONLANE_CHARON_UNDER-} $CHARON" >"$at/charon.out" 2>&1 &
    CHARON_PID=$!
    own_pid $CHARON_PID
    wait_until 15 swan "$site" --stats >/dev/null || { cat "$at/charon.out"; return 1; }
    swan "$site" --load-all --noprompt -f "$at/swanctl/swanctl.conf"
}
swan() {
    local at=$RUN/$1
    shift
    STRONGSWAN_CONF=$at/strongswan.conf SWANCTL_DIR=$at/swanctl swanctl "$@" --uri "unix://$at/vici"
}

# What crosses the wan that is neither ESP nor IKE between the two routers, nor of the link itself.
NETS='net 10.0.0.0/24 or net 10.2.0.0/24 or net 2001:db8:0::/64 or net 2001:db8:2::/64'
watch_wan() {
    ip netns exec "$(host_ns wan)" tcpdump -i any -n -U -w "$RUN/wan.pcap" >/dev/null 2>"$RUN/tcpdump" &
    TCPDUMP=$!
    own_pid "$TCPDUMP"
    wait_until 10 grep -q listening "$RUN/tcpdump"
}
end_watch() { kill "$TCPDUMP" && wait_until 10 ended "$TCPDUMP"; }
seen() { tcpdump -n -r "$RUN/wan.pcap" "$1" 2>/dev/null | wc -l; }
nothing_in_clear() { [ "$(seen "($NETS) and not esp")" = 0 ] || { tcpdump -n -c 5 -r "$RUN/wan.pcap" "$NETS"; return 1; }; }

# Datagrams that sockets of a host could not take, because who reads them had to wait: not lost on the way.
socket_full() { on "$1" awk '/^Udp:/ && $2 != "InDatagrams" { print $6 }' /proc/net/snmp; }

# The connection s with the child nets. IKE and CHILD have settings of the connection and of the child,
# separated by semicolons; later ones win.
psk() { # LOCAL REMOTE LOCAL_TS REMOTE_TS
    local ike child
    ike=${IKE:-} child=${CHILD:-}
    cat <<CONF
connections {
    s {
        version = 2
        local_addrs = $1
        remote_addrs = $2
        proposals = aes128gcm16-prfsha256-ecp256
        ${ike//;/$'\n'        }
        local {
            auth = psk
        }
        remote {
            auth = psk
        }
        children {
            nets {
                esp_proposals = aes128gcm16-esn
                local_ts = $3
                remote_ts = $4
                start_action = trap
                rekey_time = 1h
                ${child//;/$'\n'                }
            }
        }
    }
}
secrets {
    ike {
        secret = "not a secret"
    }
}
CONF
}
