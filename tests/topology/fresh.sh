#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- h1
#
# The kernel sees none of the traffic that lcores forward, so to it every neighbour falls idle. A neighbour
# in use is kept fresh all the same, long after the kernel would have let it grow stale, and not one packet
# goes by the kernel; about one that nobody uses any more the kernel is not asked.
. "$(dirname "$0")/lib.sh"
topology h0:p0 h1:p1
start_ironlane '[neighbour]' 'refresh_interval_s = 1'

short_lives() { # the kernel trusts a neighbour for a second or two, not for half a minute
    local family
    for family in ipv4 ipv6; do
        router sysctl -qw net.$family.neigh.p1.base_reachable_time_ms=1500 \
            net.$family.neigh.p1.delay_first_probe_time=1 || return
    done
}
traffic() { # FAMILY ADDRESS: until it is ended
    ip netns exec "$(host_ns h0)" ping "-$1" -n -q -i 0.05 -c 1200 "$2" >"$RUN/ping$1" 2>&1 &
    own_pid $!
    eval "PING$1=$!"
}
probes() { il status --json | jq '.. | objects | .probes? // empty'; }
probed() { at_least "$(probes)" "$1"; }
confirmed() { # ADDRESS SECONDS: when the neighbour answered last
    local ago
    ago=$(ip -n "$ROUTER" -s -j neigh show to "$1" dev p1 | jq '.[0].confirmed')
    [ "$ago" -le "$2" ] || { echo "$ago s ago"; return 1; }
}
# What the kernel itself does with an idle entry is its own matter: other hosts may keep it fresh.
rests() { # nobody was asked about in three looks
    local before
    before=$(probes)
    sleep 3
    [ "$(probes)" = "$before" ]
}
no_loss() { # FAMILY
    kill -INT "$1" && wait "$1" 2>/dev/null
    grep -q ' 0% packet loss' "$2" || { cat "$2"; return 1; }
}

run 'the kernel trusts neighbours for a short time' short_lives
ok 'h1 answers, IPv4' ping_ok h0 10.1.0.2
ok 'h1 answers, IPv6' ping_ok h0 2001:db8:1::2
wait_for 'the adjacency forwards, IPv4' adjacency_is 10.1.0.2 forward
wait_for 'the adjacency forwards, IPv6' adjacency_is 2001:db8:1::2 forward
gleans=$(punted glean)
run 'traffic, IPv4' traffic 4 10.1.0.2
run 'traffic, IPv6' traffic 6 2001:db8:1::2
WAIT=30
wait_for 'the kernel was asked to probe, many times' probed $(($(probes) + 12))
ok 'the neighbour answered of late, IPv4' confirmed 10.1.0.2 5
ok 'the neighbour answered of late, IPv6' confirmed 2001:db8:1::2 5
ok 'the adjacency still forwards, IPv4' adjacency_is 10.1.0.2 forward
ok 'the adjacency still forwards, IPv6' adjacency_is 2001:db8:1::2 forward
ok 'no packet was lost, IPv4' no_loss "$PING4" "$RUN/ping4"
ok 'no packet was lost, IPv6' no_loss "$PING6" "$RUN/ping6"
ok 'none went by the kernel' [ "$(punted glean)" = "$gleans" ]
wait_for 'the kernel is asked no more' rests
ok 'kernel and fast path agree' wait_until 10 verified
ok 'every packet is accounted for' identity_holds
