#!/usr/bin/env bash
# host-a ---- lan [ Ironlane, gateway ] wan ---- internet ---- wan [ Ironlane, a client ] lan ---- host-b
#
# Remote access with configs/strongswan/remote-access*.conf: the client gets an address of the pool. Its routes are
# in strongSwan's table 220 at both ends; the gateway's default route is taken away, so that host-a reaches the
# client by the policy alone. Its own packets, of the kernel, are encrypted too.
. "$(dirname "$0")/sites.sh"
run 'gateway and client' sites_up
run 'strongSwan at both' start_strongswan
run 'certificates, by the commands of docs/ipsec.md' swan_certificates gw carol
run 'the gateway' swan_load_at a <"$SAMPLES/remote-access.conf"
run 'the client' swan_load_at b <"$SAMPLES/remote-access-client.conf"
run 'the wire is watched' wire_watch
ok 'the client initiates' il_at b ipsec initiate --child work
gateway_says() { # FILTER VALUE
    local is
    is=$(il_at a ipsec connection show --json | jq -r "[.[] | select(.connection == \"clients\")][0] | $1")
    [ "$is" = "$2" ] || { echo "it is $is"; il_at a ipsec connection show; return 1; }
}
ok 'the gateway knows who it is' gateway_says .remote_id carol.example.org
ok 'and which address it has' gateway_says '.remote_virtual_ips[0]' 10.9.0.1
virtual_ip() { ip -n "$(router_of b)" -o addr show | grep -F ' 10.9.0.1/'; }
ok 'the client has it' virtual_ip
routes_220() { ip -n "$(router_of "$1")" route show table 220 | grep "$2"; }
ok "the client's route is in table 220" routes_220 b '10.1.0.0/16 .* src 10.9.0.1'
ok "the gateway's, too" routes_220 a '10.9.0.1 .* src 10.1.0.1'
own_ping() { in_ns "$(router_of b)" ping -n -q -c 5 -i 0.1 -W 2 -p $SECRET_HEX 10.1.0.2 | grep ' 0% packet loss'; }
wait_for "the client's own packets reach host-a" own_ping
ok 'host-a reaches the client' host_ping a 10.9.0.1
ip -n "$(router_of a)" route add 198.51.100.0/24 via 192.0.2.254
ip -n "$(router_of a)" route del default
no_route() { il_at a route get 10.9.0.1 | grep -F 'VRF default: no_route'; }
wait_for 'without a route to the client' no_route
ok 'the policy leads there' host_ping a 10.9.0.1
punts_of_no_route() { il_at a punt show --json --all | jq '[.. | objects | select(.reason? == "no_route" and .packets > 0)] | length'; }
ok 'past the kernel' eval '[ "$(punts_of_no_route)" = 0 ]'
run 'the capture ends' wire_stop
run 'nothing in clear, and nothing that can be read' secret_kept
ok 'the client ends' il_at b ipsec terminate --ike work
gone() { ! virtual_ip && ! routes_220 a 10.9.0.1 && [ "$(il_at a ipsec sa show --json | jq length)" = 0 ]; }
wait_for 'its address, its route and its SAs are gone' gone
