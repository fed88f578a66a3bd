# strongSwan beside the Ironlane of each site: Debian's, unmodified, with the plugin. Sourced after sites.sh.
#
# It runs with a folder of its own in the place of /run and of its plugins, so that one that this machine
# may have is not touched. Its configurations are those of configs/strongswan.

CHARON=/usr/lib/ipsec/charon
SAMPLES=$ROOT/configs/strongswan
declare -A CHARON_PID

swan_lack() {
    [ -x $CHARON ] && command -v swanctl >/dev/null || echo 'strongSwan is not installed: scripts/setup.sh installs it'
}
# Leaves SWAN_PLUGIN.
swan_plugin() {
    SWAN_PLUGIN=$("$ROOT/plugins/charon/build.sh" "$RUN/plugin")
}

# swanctl of a site
swan() {
    local at=$RUN/$1
    shift
    STRONGSWAN_CONF=$at/strongswan.conf SWANCTL_DIR=$at/swanctl swanctl "$@" --uri "unix://$at/charon.vici"
}

# As Debian's /etc/strongswan.conf, with the sockets of this site.
swan_conf() { # SITE
    cat <<CONF
charon {
    load_modular = yes
    plugins {
        include /etc/strongswan.d/charon/*.conf
        kernel-ironlane {
            load = 10
            socket = $RUN/$1/ipsec.sock
        }
        vici {
            socket = unix://$RUN/$1/charon.vici
        }
    }
    filelog {
        file {
            path = $RUN/$1/charon.log
            flush_line = yes
            time_format = %H:%M:%S
            time_add_ms = yes
        }
    }
    ${SWAN_EXTRA[$1]-}
}
CONF
}
declare -A SWAN_EXTRA

swan_answers() { ended "${CHARON_PID[$1]}" || swan "$1" --version >/dev/null 2>&1; }
swan_start() { # SITE
    local at=$RUN/$1 folder
    mkdir -p "$at/plugins"
    for folder in conf.d x509 x509ca private; do mkdir -p "$at/swanctl/$folder"; done
    cp /usr/lib/ipsec/plugins/*.so "$at/plugins" && cp "$SWAN_PLUGIN" "$at/plugins" && swan_conf "$1" >"$at/strongswan.conf"
    STRONGSWAN_CONF=$at/strongswan.conf ip netns exec "$(router_of "$1")" unshare -m sh -c "mount -t tmpfs none /run &&
        mount --bind $at/plugins /usr/lib/ipsec/plugins && exec $CHARON" >"$at/charon.out" 2>&1 &
    CHARON_PID[$1]=$!
    own_pid "${CHARON_PID[$1]}"
    wait_until 20 swan_answers "$1" && swan "$1" --version || { cat "$at/charon.out"; tail -n 20 "$at/charon.log"; return 1; }
}
swan_kill() { # SITE: as if it had crashed
    kill -9 "${CHARON_PID[$1]}"
    reap 5 "${CHARON_PID[$1]}"
    [ $? = 137 ]
}

# A sample as it is for site A; for site B with a and b exchanged.
swan_sample() { # SITE KIND
    if [ "$1" = a ]; then
        cat "$SAMPLES/site-to-site-$2.conf"
    else
        sed -E -e 's/\b192\.0\.2\.1\b/@/g; s/\b198\.51\.100\.1\b/192.0.2.1/g; s/@/198.51.100.1/g' \
            -e 's/\b10\.1\.0\.0/@/g; s/\b10\.2\.0\.0/10.1.0.0/g; s/@/10.2.0.0/g' \
            -e 's/2001:db8:1::/@/g; s/2001:db8:2::/2001:db8:1::/g; s/@/2001:db8:2::/g' \
            -e 's/\ba\.(example|pem)/@\1/g; s/\bb\.(example|pem)/a.\1/g; s/@(example|pem)/b.\1/g' \
            -e 's/\b(site|ike|id)-b\b/\1-a/g' "$SAMPLES/site-to-site-$2.conf"
    fi | sed "s/change this/$(cat "$RUN/psk")/"
}
swan_load() { # KIND: at both sites, in the place of what there is
    local site
    [ -s "$RUN/psk" ] || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$RUN/psk"
    for site in a b; do swan_sample "$site" "$1" | swan_load_at "$site" || return; done
}
swan_load_at() { # SITE: what standard input has
    cat >"$RUN/$1/swanctl/conf.d/connections.conf"
    echo 'include conf.d/*.conf' >"$RUN/$1/swanctl/swanctl.conf"
    swan "$1" --load-all --noprompt
}
swan_down() { # both sites forget each other, so that a packet has to begin anew
    swan a --terminate --ike site-b
    wait_until 10 swan_none
}
swan_none() { [ -z "$(swan a --list-sas)$(swan b --list-sas)" ]; }

# A private CA, and a certificate for each site: the commands of docs/ipsec.md.
swan_certificates() { # [NAME_AT_A NAME_AT_B]
    local site ca=$RUN/ca
    local -A name=([a]=${1:-a} [b]=${2:-b})
    mkdir -p "$ca/x509ca" "$ca/x509" "$ca/private"
    (
        cd "$ca" || exit
        awk '/^```/ { inside = 0 } inside; /^```sh/ && certificates { inside = 1; certificates = 0 }
            /^## / { certificates = $2 == "Certificates" }' "$ROOT/docs/ipsec.md" |
            sed "s/^for site in a b;/for site in ${name[a]} ${name[b]};/" >commands
        sh -eu commands
    ) || return
    for site in a b; do
        cp "$ca/x509ca/ca.pem" "$RUN/$site/swanctl/x509ca" &&
            cp "$ca/x509/${name[$site]}.pem" "$RUN/$site/swanctl/x509" &&
            cp "$ca/private/${name[$site]}.pem" "$RUN/$site/swanctl/private" || return
    done
    openssl x509 -in "$ca/x509/${name[a]}.pem" -noout -subject -issuer -ext subjectAltName
}

# Rekeys in a flow: CHILD and IKE SA in turns, from both sides. rekeys COUNT SECONDS_BETWEEN
rekeys() {
    local i site other
    for ((i = 0; i < $1; i++)); do
        sleep "$2"
        site=a other=b
        [ $((i / 2 % 2)) = 0 ] || site=b other=a
        if [ $((i % 2)) = 0 ]; then
            swan "$site" --rekey --child nets || return
        else
            swan "$site" --rekey --ike "site-$other" || return
        fi
    done
}
# How often charon's log at A has this.
logged() { grep -cE "$1" "$RUN/a/charon.log"; }

flow_listens() { in_ns "$(host_of b)" ss -Hltn 'sport = :5201' | grep -q .; }
# flow COUNT SECONDS ARGUMENTS...: iperf3 from host a to host b, with COUNT rekeys; leaves $RUN/flow.json
flow() {
    local count=$1 seconds=$2 server client verdict
    shift 2
    ip netns exec "$(host_of b)" iperf3 -s -1 >"$RUN/flow.server" 2>&1 &
    server=$!
    own_pid $server
    wait_until 10 flow_listens || return
    ip netns exec "$(host_of a)" iperf3 -J -t "$seconds" "$@" >"$RUN/flow.json" 2>&1 &
    client=$!
    own_pid $client
    rekeys "$count" 1
    verdict=$?
    reap $((seconds + 20)) $client || { jq -r '.error? // .' "$RUN/flow.json"; kill $server 2>/dev/null; return 1; }
    reap 10 $server
    return $verdict
}
# Datagrams that arrived at host b, and for which the socket that iperf3 should have read had no room.
unread() { in_ns "$(host_of b)" awk '/^Udp:/ && $6 ~ /[0-9]/ { print $6 }' /proc/net/snmp; }
flow_udp() { # COUNT SECONDS MBITS: none is lost on the way
    local before lost unread
    before=$(unread)
    flow "$1" "$2" -c 10.2.0.2 -u -b "$3M" -l 1200 || return
    unread=$(($(unread) - before))
    lost=$(($(jq '.end.sum.lost_packets' "$RUN/flow.json") - unread))
    note "$(jq .end.sum.packets "$RUN/flow.json") packets, $lost lost$([ $unread = 0 ] || echo ", $unread not read by iperf3 in time")"
    [ $lost -le 0 ] && jq -e '.end.sum.packets > 2000' "$RUN/flow.json" && return
    echo "$NOTE"
    il_at a drop show
    il_at b drop show
    return 1
}
flow_tcp() { # COUNT SECONDS ARGUMENTS...; leaves MBITS
    flow "$@" || return
    MBITS=$(jq '.end.sum_received.bits_per_second / 1e6 | floor' "$RUN/flow.json")
    note "$MBITS Mbit/s, $(jq .end.sum_sent.retransmits "$RUN/flow.json") retransmitted"
    [ "$MBITS" -gt 0 ]
}
