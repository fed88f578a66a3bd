#!/bin/bash
# Runs in the emulated machine, as root in /host; see xfrm.sh.
set -u
PARTS=${*:-hand lifetimes acquire stops strongswan}
STARTED=$SECONDS
PASSED=0
export IRONLANE_SOCKET=/run/il.sock
il() { /host/ironlane "$@"; }
on() { ip netns exec "$@"; }

ok() { # TEXT COMMAND...: one assertion; the first that does not hold ends all
    local text=$1
    shift
    # Not in a subshell: it may set variables, and wait for what it started.
    if "$@" >/run/out 2>&1; then
        PASSED=$((PASSED + 1))
        echo "  ok    $text"
        return
    fi
    echo "  FAIL  $text"
    printf '        %s\n' "$*" "$(cat /run/out)" '--- SAs' "$(il ipsec sa show 2>&1)" '--- policies' \
        "$(il ipsec policy show 2>&1)" '--- drops' "$(il drop show 2>&1)" '--- kernel' "$(ip -n r -s xfrm state)" \
        "$(ip -n r xfrm policy)" "$(on r cat /proc/net/xfrm_stat | grep -v '	0$')" '--- log' \
        "$(tail -n 40 /run/il.log)" '--- events' "$(tail -n 30 /run/monitor | tr -d '\0')"
    exit 1
}
wait_for() { # TEXT COMMAND...: up to 90 s to come true: the host may have little time for this machine
    local text=$1 end=$((SECONDS + 90))
    shift
    until "$@" >/dev/null 2>&1 || [ $SECONDS -ge $end ]; do sleep 0.3; done
    ok "$text" "$@"
}
not() { ! "$@"; }
is_part() { case " $PARTS " in *" $1 "*) ;; *) return 1 ;; esac }

modprobe -a xfrm_user esp4 esp6 ah4 ah6 tun dummy authenc seqiv echainiv xfrm4_tunnel xfrm6_tunnel
for n in r h0 peer; do
    ip netns add $n
    ip -n $n link set lo up
    on $n sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 \
        net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.icmp_ratelimit=0
done
cat >/run/il.toml <<'CONF'
[daemon]
socket = "/run/il.sock"
run_dir = "/run/il"
netns = "r"
[dpdk]
hugepages = true
memory_mib = 256
file_prefix = "il"
[mempool]
mbufs = 16383
[lcores]
cpus = "1"
[ipsec]
xfrm = true
[[port]]
name = "p0"
device = "net_tap0,iface=ilt0"
mac = "02:00:00:00:30:00"
addresses = ["10.0.0.1/24", "2001:db8::1/64"]
peer_netns = "h0"
peer_name = "eth0"
peer_mac = "02:00:00:00:31:00"
peer_addresses = ["10.0.0.2/24", "2001:db8::2/64"]
[[port]]
name = "p1"
device = "net_tap1,iface=ilt1"
mac = "02:00:00:00:30:01"
addresses = ["10.1.0.1/24", "2001:db8:1::1/64"]
peer_netns = "peer"
peer_name = "eth0"
peer_mac = "02:00:00:00:31:01"
peer_addresses = ["10.1.0.2/24", "2001:db8:1::2/64"]
CONF
ip -n peer link add in0 type dummy
ip -n peer link set in0 up
ip -n peer addr add 10.2.0.1/24 dev in0
ip -n peer addr add 2001:db8:2::1/64 dev in0 nodad
start() { # the daemon, and routes that go with its taps
    local i
    /host/ironlane run --config /run/il.toml >>/run/il.log 2>&1 &
    IL=$!
    for ((i = 0; i < 1500; i++)); do
        il port show >/dev/null 2>&1 && break
        kill -0 $IL 2>/dev/null || return 1
        sleep 0.2
    done
    ip -n h0 route add default via 10.0.0.1 && ip -n h0 -6 route add default via 2001:db8::1
    ip -n r route add 10.2.0.0/24 via 10.1.0.2 && ip -n r -6 route add 2001:db8:2::/64 via 2001:db8:1::2
    ip -n peer route add 10.0.0.0/24 via 10.1.0.1 && ip -n peer -6 route add 2001:db8::/64 via 2001:db8:1::1
}
stop() { # SIGNAL
    kill -"$1" $IL
    wait $IL
    local rc=$?
    rm -f /run/il.sock
    return $rc
}
ping_from() { # NETNS FROM TO
    on "$1" ping -n -q -c 4 -i 0.2 -W 10 -I "$2" "$3" | grep ' 0% packet loss'
}
across() { ping_from h0 10.0.0.2 10.2.0.1 && ping_from h0 2001:db8::2 2001:db8:2::1; }

K1=0x$(printf 'a1%.0s' {1..20}) K2=0x$(printf 'b2%.0s' {1..20})
both() { local n; for n in r peer; do ip -n $n "$@" || return; done; }
sa() { # FROM TO SPI KEY ARGUMENTS: the same at both ends
    both xfrm state add src "$1" dst "$2" proto esp spi "$3" mode tunnel \
        aead 'rfc4106(gcm(aes))' "$4" 128 "${@:5}"
}
sas() {
    sa 10.1.0.1 10.1.0.2 0x1001 "$K1" replay-window 32 && sa 10.1.0.2 10.1.0.1 0x1002 "$K2" replay-window 32 &&
        sa 2001:db8:1::1 2001:db8:1::2 0x1003 "$K1" replay-window 128 flag esn &&
        sa 2001:db8:1::2 2001:db8:1::1 0x1004 "$K2" replay-window 128 flag esn
}
policies() { # NETNS HERE THERE NET_HERE NET_THERE
    local d
    ip -n "$1" xfrm policy add dir out src "$4" dst "$5" priority 10 tmpl src "$2" dst "$3" proto esp mode tunnel
    for d in in fwd; do
        ip -n "$1" xfrm policy add dir $d src "$5" dst "$4" priority 10 tmpl src "$3" dst "$2" proto esp mode tunnel
    done
}
all_policies() {
    policies r 10.1.0.1 10.1.0.2 10.0.0.0/24 10.2.0.0/24 && policies peer 10.1.0.2 10.1.0.1 10.2.0.0/24 10.0.0.0/24 &&
        policies r 2001:db8:1::1 2001:db8:1::2 2001:db8::/64 2001:db8:2::/64 &&
        policies peer 2001:db8:1::2 2001:db8:1::1 2001:db8:2::/64 2001:db8::/64
}
flush() { both xfrm state flush && both xfrm policy flush; }
count() { il ipsec "$1" show | tail -n +2 | grep -c .; }
has() { [ "$(count "$1")" = "$2" ]; } # sa|policy COUNT
state() { ip -n "$1" -s xfrm state get src "$2" dst "$3" proto esp spi "$4"; }
raised() { grep -a -A 2 "$1" /run/monitor | grep -aq "$2"; } # what `ip xfrm monitor` heard
watch_events() {
    : >/run/monitor
    ip netns exec r ip xfrm monitor >>/run/monitor 2>&1 &
    sleep 0.5
}
errors() { # NETNS: what Linux's ESP complains of
    on "$1" awk '$2 != 0 && $1 !~ /^XfrmAcquireError|NoStates$/' /proc/net/xfrm_stat
}
clean() { [ -z "$(errors peer)" ] || { errors peer; return 1; }; }
dropped() { il drop show --all | awk -v r="$1" '$2 == r { n += $4 } END { print n + 0 }'; }

ok 'Ironlane is up' start
wait_for 'without IPsec all is reached' across
watch_events

if is_part hand; then
    echo 'By hand: ip xfrm'
    ip netns exec peer tcpdump -Z root -i eth0 -n -U -w /run/wan.pcap >/run/tcpdump 2>&1 &
    CAPTURE=$!
    for ((i = 0; i < 50; i++)); do grep -q listening /run/tcpdump && break; sleep 0.2; done
    ok 'SAs' sas
    ok 'policies' all_policies
    wait_for 'four SAs are the lcores'\''' has sa 4
    wait_for 'and six policies' has policy 6
    ok 'both families, by ESP of both ends' across
    ok "the router's own packets" ping_from r 10.0.0.1 10.2.0.1
    ok 'of IPv6, too' ping_from r 2001:db8::1 2001:db8:2::1
    ok 'packets for the router' ping_from peer 10.2.0.1 10.0.0.1
    ok 'of IPv6, too' ping_from peer 2001:db8:2::1 2001:db8::1
    wait_for 'what passed goes back' bash -c "ip -n r -s xfrm state get src 10.1.0.1 dst 10.1.0.2 proto esp spi 0x1001 | grep '1008(bytes), 12(packets)'"
    wait_for 'and what was seen' bash -c "ip -n r -s xfrm state get src 2001:db8:1::2 dst 2001:db8:1::1 proto esp spi 0x1004 | grep 'seq 0xc, oseq-hi'"
    ok 'the kernel cannot seal any more' bash -c "ip -n r -s xfrm state get src 10.1.0.1 dst 10.1.0.2 proto esp spi 0x1001 | grep 'oseq 0xffffffff'"
    ok "nothing that Linux's ESP would complain of" clean
    kill $CAPTURE
    wait $CAPTURE
    in_clear() { tcpdump -Z root -n -r /run/wan.pcap 'net 10.0.0.0/24 or net 10.2.0.0/24 or net 2001:db8::/64 or net 2001:db8:2::/64' 2>/dev/null; }
    ok 'ESP passed' [ "$(tcpdump -Z root -n -r /run/wan.pcap 2>/dev/null | grep -c ESP)" -ge 48 ]
    ok 'and nothing in clear' not grep . <(in_clear | grep -v ESP)

    # The end of everything that was installed is an end of passing.
    ok 'the SAs go' both xfrm state flush
    wait_for 'from lcores, too' has sa 0
    ok 'what is to be protected is dropped without' not ping_from h0 10.0.0.2 10.2.0.1
    ok 'for want of an SA' [ "$(dropped policy_no_sa)" -gt 0 ]
    ok 'the policies go' both xfrm policy flush
    wait_for 'from lcores, too' has policy 0
    wait_for 'and all passes in clear' across
    ok 'a block' ip -n r xfrm policy add dir out src 10.0.0.0/24 dst 10.2.0.0/24 action block
    wait_for 'is one' has policy 1
    ok 'nothing passes' not ping_from h0 10.0.0.2 10.2.0.1
    ok 'an exception before it' ip -n r xfrm policy update dir out src 10.0.0.0/24 dst 10.2.0.0/24 action allow
    wait_for 'passes' ping_from h0 10.0.0.2 10.2.0.1
    ok 'a default of dropping' ip -n r xfrm policy setdefault fwd block
    wait_for 'drops what has no policy' not ping_from h0 10.0.0.2 10.2.0.1
    ok 'and no more' ip -n r xfrm policy setdefault fwd accept
    wait_for 'passes again' ping_from h0 10.0.0.2 10.2.0.1
    ok 'what lcores cannot do' ip -n r xfrm state add src 10.1.0.1 dst 10.1.0.2 proto esp spi 0x2001 mode tunnel \
        enc 'cbc(aes)' 0x00112233445566778899aabbccddeeff auth 'hmac(sha256)' 0x$(printf 'c3%.0s' {1..32})
    wait_for 'is told' grep -q '0x00002001 to 10.1.0.2 is not taken: hmac(sha256) cut to 96 bits' /run/il.log
    flush
    wait_for 'all is gone' has sa 0
fi

if is_part lifetimes; then
    echo 'Lifetimes'
    ok 'an SA with limits' sa 10.1.0.1 10.1.0.2 0x1101 "$K1" limit packet-soft 30 limit packet-hard 40
    sa 10.1.0.2 10.1.0.1 0x1102 "$K2"
    ok 'its policies' policies r 10.1.0.1 10.1.0.2 10.0.0.0/24 10.2.0.0/24
    policies peer 10.1.0.2 10.1.0.1 10.2.0.0/24 10.0.0.0/24
    wait_for 'are there' has policy 3
    wait_for 'it carries packets' ping_from h0 10.0.0.2 10.2.0.1
    ok 'no end yet' not raised Expired 0x00001101
    on h0 ping -n -q -c 30 -i 0.05 -W 1 10.2.0.1 >/dev/null
    wait_for 'the soft end is raised' grep -aq "hard 0" /run/monitor
    on h0 ping -n -q -c 15 -i 0.05 -W 1 10.2.0.1 >/dev/null
    wait_for 'the hard one deletes it' not state r 10.1.0.1 10.1.0.2 0x1101
    wait_for 'on lcores, too' has sa 1
    ok 'and is raised' grep -aq "hard 1" /run/monitor
    flush
    : >/run/monitor
    ok 'one with limits of time' sa 10.1.0.1 10.1.0.2 0x1103 "$K1" limit time-soft 2 limit time-hard 5
    wait_for 'is there' has sa 1
    wait_for 'and goes with the kernel'\''s' has sa 0
    flush
fi

if is_part acquire; then
    echo 'Packets without an SA'
    policies r 10.1.0.1 10.1.0.2 10.0.0.0/24 10.2.0.0/24
    policies r 2001:db8:1::1 2001:db8:1::2 2001:db8::/64 2001:db8:2::/64
    wait_for 'policies' has policy 6
    : >/run/monitor
    on h0 ping -n -q -c 2 -W 1 10.2.0.1 >/dev/null
    wait_for 'a forwarded packet asks for one' raised '^acquire proto esp' 'src 10.0.0.2/32 dst 10.2.0.1/32 proto 1'
    : >/run/monitor
    sleep 1
    on r ping -n -q -c 2 -W 1 -I 2001:db8::1 2001:db8:2::1 >/dev/null
    wait_for "one of the router's own, too" raised '^acquire proto esp' 'src 2001:db8::1/128 dst 2001:db8:2::1/128'
    flush
fi

if is_part stops; then
    echo 'The router stops, and crashes'
    ok 'SAs' sas
    ok 'policies' all_policies
    wait_for 'are there' has sa 4
    ok 'and carry packets' across
    ok 'it stops well' stop TERM
    handed() { state r 10.1.0.1 10.1.0.2 0x1001 | grep -E 'oseq 0x[0-9a-f]{6}(,|$)'; }
    ok 'and gives the kernel its numbers back' handed
    ok 'the own policy is gone' not grep -q . <(ip -n r xfrm policy | grep '^src ::/0')
    ok 'it starts' start
    wait_for 'has all SAs again' has sa 4
    wait_for 'and goes on with them' across
    ok "nothing that Linux's ESP would complain of" clean
    : >/run/monitor
    stop KILL
    ok 'it crashed, and starts' start
    wait_for 'has the inbound SAs' has sa 2
    ok 'told why not the outbound ones' grep -q '0x00001001 to 10.1.0.2 is not taken: its sequence numbers were taken' /run/il.log
    wait_for 'and had IKE rekey them' raised Expired 0x00001001
    ok 'nothing passes meanwhile' not ping_from h0 10.0.0.2 10.2.0.1
    flush
    wait_for 'all is gone' has sa 0
fi

swan() { # NETNS ARGUMENTS
    STRONGSWAN_CONF=/run/$1/strongswan.conf swanctl "${@:2}" --uri "unix:///run/$1/vici"
}
charon() { # NETNS HERE THERE NETS_HERE NETS_THERE
    local at=/run/$1 i
    mkdir -p "$at/swanctl" "$at/run"
    cat >"$at/strongswan.conf" <<CONF
charon {
    load = random nonce openssl sha2 hmac kdf pem pkcs1 x509 pubkey kernel-netlink socket-default vici
    install_routes = no
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
    }
}
CONF
    cat >"$at/swanctl.conf" <<CONF
connections {
    s {
        version = 2
        local_addrs = $2
        remote_addrs = $3
        proposals = aes128gcm16-prfsha256-ecp256
        local {
            auth = psk
        }
        remote {
            auth = psk
        }
        children {
            nets {
                esp_proposals = aes128gcm16-esn
                local_ts = $4
                remote_ts = $5
                start_action = ${6:-none}
                rekey_time = 1h
                rekey_packets = ${7:-0}
                rand_packets = 0
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
    on "$1" env STRONGSWAN_CONF="$at/strongswan.conf" unshare -m sh -c \
        "mount --bind $at/run /var/run && exec /usr/lib/ipsec/charon" >"$at/charon.out" 2>&1 &
    for ((i = 0; i < 600; i++)); do
        [ -S "$at/vici" ] && break
        sleep 0.2
    done
    swan "$1" --load-all --noprompt -f "$at/swanctl.conf"
}
if is_part strongswan; then
    echo 'strongSwan, as it comes'
    : >/run/monitor
    HERE=10.0.0.0/24,2001:db8::/64 THERE=10.2.0.0/24,2001:db8:2::/64
    ok 'at the router' charon r 10.1.0.1 10.1.0.2 $HERE $THERE trap 40
    ok 'at the peer' charon peer 10.1.0.2 10.1.0.1 $THERE $HERE
    wait_for 'its traps are policies' bash -c "$(declare -f il); [ \$(il ipsec policy show | grep -c '^out') -ge 2 ]"
    wait_for 'a packet brings the tunnel up' ping_from h0 10.0.0.2 10.2.0.1
    ok 'both families' across
    ok "the router's own packets" ping_from r 10.0.0.1 10.2.0.1
    ok 'of IPv6, too' ping_from r 2001:db8::1 2001:db8:2::1
    spi() { il ipsec sa show | awk '$2 == "out" { print $3 }' | sort | tr '\n' ' '; }
    BEFORE=$(spi)
    ok 'a flow past the soft limit' on h0 ping -n -q -c 40 -i 0.1 -W 10 10.2.0.1
    rekeyed() { [ "$(spi)" != "$BEFORE" ] && ! spi | grep -q "$BEFORE"; }
    wait_for 'rekeys by packets' rekeyed
    ok 'nothing is lost while IKE rekeys' bash -c "$(declare -f swan on); (sleep 1; swan r --rekey --child nets; sleep 1; swan peer --rekey --child nets) >/dev/null & on h0 ping -n -q -c 40 -i 0.1 -W 10 10.2.0.1 | grep ' 0% packet loss'"
    counted() { swan r --list-sas | grep -E 'out .* [1-9][0-9]* bytes, +[1-9][0-9]* packets'; }
    on h0 ping -n -q -c 5 -i 0.1 -W 10 10.2.0.1 >/dev/null
    wait_for 'swanctl shows what has passed' counted
    ok "nothing that Linux's ESP would complain of" clean
    ok 'the other end ends it' swan peer --terminate --ike s
    wait_for 'no SA is left' has sa 0
fi
ok 'no message of the kernel was malformed' not grep -E 'skipped|malformed=[1-9]' /run/il.log
ok 'it stops well' stop TERM
echo "passed: $PASSED checks in $((SECONDS - STARTED)) s"
