#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 (MTU 1400) ---- h1
#
# Traceroute shows the box; path MTU discovery works through it: the sender of a packet that is too
# big and may not be fragmented learns 1400, both families, and TCP gets through. What may be
# fragmented (IPv4 without DF) is fragmented by the kernel and arrives.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1
PORT_OPTIONS[p1]='mtu = 1400'
start_ironlane

learnt_mtu() { ip -n "$(host_ns h0)" route get "$1" | grep -q 'mtu 1400'; }
too_big() { # FAMILY ADDRESS: refused by the box, with the MTU
    on h0 ping "-$1" -n -c 3 -i 0.2 -W 2 -M do -s 1440 "$2" 2>&1 | grep -qiE 'mtu ?= ?1400|too big: mtu'
}
trace() { # FAMILY ADDRESS ROUTER
    local out
    out=$(on h0 traceroute "-$1" -n -q 1 -w 3 -m 4 "$2")
    [ "$(awk '$1 ~ /^[0-9]+$/ { print $2 }' <<<"$out" | paste -sd' ')" = "$3 $2" ] || { echo "$out"; return 1; }
}
tcp_through() { # ADDRESS: 200 KB by TCP
    ip netns exec "$(host_ns h1)" timeout 20 python3 -c '
import socket, sys
s = socket.create_server((sys.argv[1], 7000), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("ready", flush=True)
c = s.accept()[0]
n = 0
while True:
    d = c.recv(65536)
    if not d: break
    n += len(d)
c.sendall(str(n).encode())' "$1" >"$RUN/server" &
    own_pid $!
    wait_until 5 grep -q ready "$RUN/server" || return
    on h0 timeout 15 python3 -c '
import socket, sys
c = socket.create_connection((sys.argv[1], 7000), timeout=10)
c.sendall(b"x" * 200000)
c.shutdown(socket.SHUT_WR)
assert c.recv(100) == b"200000"' "$1"
}

ok 'h1 answers, IPv4' ping_ok h0 10.1.0.2
ok 'h1 answers, IPv6' ping_ok h0 2001:db8:1::2
ok 'traceroute shows the box, IPv4' trace 4 10.1.0.2 10.0.0.1
ok 'traceroute shows the box, IPv6' trace 6 2001:db8:1::2 2001:db8::1
ok 'TCP gets through, IPv4' tcp_through 10.1.0.2
ok 'TCP gets through, IPv6' tcp_through 2001:db8:1::2
ok 'fragmentation needed comes back, IPv4' too_big 4 10.1.0.2
ok 'packet too big comes back, IPv6' too_big 6 2001:db8:1::2
ok 'the host has learnt 1400, IPv4' learnt_mtu 10.1.0.2
ok 'the host has learnt 1400, IPv6' learnt_mtu 2001:db8:1::2
run 'the host forgets it' ip -n "$(host_ns h0)" route flush cache
ok 'without DF it is fragmented and arrives' ping_ok h0 10.1.0.2 -M dont -s 1440
ok 'a packet of exactly 1400 passes' ping_ok h0 10.1.0.2 -M do -s 1372
ok 'punts are counted by reason: TTL expired' at_least "$(punted ttl_expired)" 2
ok 'punts are counted by reason: too big' at_least "$(punted too_big)" 2
ok 'punts are counted by reason: to be fragmented' at_least "$(punted fragment_needed)" 5
ok 'kernel and fast path agree' verified
ok 'every packet is accounted for' identity_holds
