#!/usr/bin/env bash
# host-a ---- lan [ Ironlane, strongSwan ] wan ---- internet ---- wan [ Ironlane, strongSwan ] lan ---- host-b
#
# Under traffic: a router is killed and started again, a charon is ended in good order and started again, a tunnel
# is taken down by swanctl. Traffic comes back by itself each time, and nothing of it is ever in clear: routers have
# a blackhole for the far network, as docs/ipsec.md advises, which holds what has no policy.
. "$(dirname "$0")/sites.sh"
run 'two sites' sites_up
blackholes() { # SITE FAR
    ip -n "$(router_of "$1")" route replace blackhole "${LAN4[$2]}.0/16" &&
        ip -n "$(router_of "$1")" -6 route replace blackhole "${LAN6[$2]}:/48"
}
run 'blackholes' eval 'blackholes a b && blackholes b a'
ok 'without a policy, nothing passes' not host_ping a 10.2.0.2
run 'strongSwan at both' start_strongswan
run 'the sample with a shared secret' swan_load psk
# The interface at site A's side goes with its router.
WIRE=wan-b
run 'the wire is watched' wire_watch
run 'the tunnel' tunnel_works

# Echo requests, 20 a second, until they are stopped; HOLE is how long none came back.
flow_start() {
    ip netns exec "$(host_of a)" ping -n -D -i 0.05 -p $SECRET_HEX 10.2.0.2 >"$RUN/pings" 2>&1 &
    PINGS=$!
    own_pid $PINGS
    wait_until 5 grep -q 'bytes from' "$RUN/pings"
}
flow_stop() {
    kill -INT $PINGS && reap 10 $PINGS
    NOTE=$(awk -F'[][]' '/bytes from/ { if (last && $2 - last > hole) hole = $2 - last; last = $2 }
        END { printf "none came back for %.1f s", hole }' "$RUN/pings")
}
spis() { il_at "$1" ipsec sa show --json | jq -r ".[] | select(.direction == \"$2\") | .spi" | sort; }

# The router.
sent_by=$(spis a out)
run 'traffic' flow_start
kill_router() { site_stop a KILL; [ $? = 137 ]; }
run "site A's router is killed" kill_router
run 'and started again' eval 'site_start a && site_connect a && site_routes a'
WAIT=30 wait_for 'traffic is back' host_ping a 10.2.0.2
run 'traffic ends' flow_stop
fresh_key() { local now; now=$(spis a out); [ -n "$now" ] && ! grep -qxF "$sent_by" <<<"$now"; }
ok 'by a new SA: no sequence number is used twice' fresh_key
ok 'from the other side, too' host_ping b 10.1.0.2

# charon, in good order: it takes its SAs and policies along. The peer's trap stays.
run 'traffic' flow_start
end_charon() { kill "${CHARON_PID[a]}" && reap 10 "${CHARON_PID[a]}"; }
run "site A's charon ends" end_charon
no_sas() { [ -z "$(spis a out)$(spis b out)" ]; }
wait_for 'and its SAs at both ends' no_sas
WAIT=30
run 'it is started again' swan_start a
ok 'with its configuration' swan a --load-all --noprompt
wait_for 'traffic is back' host_ping a 10.2.0.2
run 'traffic ends' flow_stop

# The tunnel, by swanctl: the next packet brings it up again.
run 'traffic' flow_start
sent_by=$(spis a out)
ok 'swanctl --terminate' swan a --terminate --ike site-b
wait_for 'another SA' fresh_key
wait_for 'traffic is back' host_ping a 10.2.0.2
run 'traffic ends' flow_stop

run 'the capture ends' wire_stop
run 'nothing in clear, and nothing that can be read' secret_kept
ok 'kernel and fast path agree at both' agree
