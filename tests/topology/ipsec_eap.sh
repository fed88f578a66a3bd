#!/usr/bin/env bash
# host-a ---- lan [ Ironlane, gateway ] wan ---- internet ---- wan [ Ironlane, a client ] lan ---- host-b
#
# Remote access by name and password (EAP-MSCHAPv2) with configs/strongswan/remote-access-eap*.conf: a wrong password
# is refused, the right one gets an address of the pool, and packets pass both ways in ESP alone. Then the same by a
# certificate in EAP (EAP-TLS), as the page docs/ipsec-setup.md changes them.
. "$(dirname "$0")/sites.sh"
for plugin in eap-mschapv2 eap-identity eap-tls; do
    [ -e /usr/lib/ipsec/plugins/libstrongswan-$plugin.so ] || skip "no $plugin; scripts/setup.sh installs it"
done
run 'gateway and client' sites_up
run 'strongSwan at both' start_strongswan
run 'certificates, by the commands of docs/ipsec.md' swan_certificates gw nobody
# The client has the CA's certificate alone.
rm "$RUN/b/swanctl/x509/nobody.pem" "$RUN/b/swanctl/private/nobody.pem"
by_tls() {
    sed -e 's/auth = eap-mschapv2/auth = eap-tls/' \
        -e 's/eap_id = carol/certs = nobody.pem\n            id = nobody.example.org/' "$SAMPLES/$1"
}
password() { sed "s/change this/$1/" "$SAMPLES/$2"; }
run 'the gateway' swan_load_at a < <(password 'a good one' remote-access-eap.conf)
run 'the client, with a wrong password' swan_load_at b < <(password 'a bad one' remote-access-eap-client.conf)
run 'the wire is watched' wire_watch
refused() {
    ! il_at b ipsec initiate --child work --timeout 10 >"$RUN/refused" 2>&1 && grep -q 'EAP' "$RUN/refused" && return
    cat "$RUN/refused"
    return 1
}
ok 'is refused' refused
no_sas() { [ "$(il_at a ipsec sa show --json | jq length)" = 0 ]; }
ok 'and gets no SA' no_sas
run 'the client, with the right one' swan_load_at b < <(password 'a good one' remote-access-eap-client.conf)
ok 'the client initiates' il_at b ipsec initiate --child work
gateway_says() { # FILTER VALUE
    local is
    is=$(il_at a ipsec connection show --json | jq -r "[.[] | select(.connection == \"clients-eap\" and .state == \"ESTABLISHED\")][0] | $1")
    [ "$is" = "$2" ] || { echo "it is $is"; il_at a ipsec connection show; return 1; }
}
ok 'the gateway knows which address it has' gateway_says '.remote_virtual_ips[0]' 10.9.0.1
eap_name() { swan a --list-sas | grep -F "EAP: 'carol'"; }
ok 'and its name' eap_name
own_ping() { in_ns "$(router_of b)" ping -n -q -c 15 -i 0.1 -W 2 -p $SECRET_HEX 10.1.0.2 | grep ' 0% packet loss'; }
wait_for "the client's own packets reach host-a" own_ping
ok 'host-a reaches the client' host_ping a 10.9.0.1
run 'the capture ends' wire_stop
run 'nothing in clear, and nothing that can be read' secret_kept
ok 'the client ends' il_at b ipsec terminate --ike work
wait_for 'its SAs are gone' no_sas

run 'the gateway, by EAP-TLS' swan_load_at a < <(by_tls remote-access-eap.conf)
run 'the client, without a certificate' swan_load_at b < <(by_tls remote-access-eap-client.conf | grep -v 'certs = ')
ok 'is refused' refused
ok 'and gets no SA' no_sas
certificate() {
    cp "$RUN/ca/x509/nobody.pem" "$RUN/b/swanctl/x509" && cp "$RUN/ca/private/nobody.pem" "$RUN/b/swanctl/private"
}
run 'the client has one now' certificate
run 'and is told of it' swan_load_at b < <(by_tls remote-access-eap-client.conf)
ok 'it initiates' il_at b ipsec initiate --child work
tls_name() { swan a --list-sas | grep -F "remote 'nobody.example.org'" && grep -F 'EAP method EAP_TLS succeeded' "$RUN/a/charon.log"; }
ok 'the gateway knows its name' tls_name
wait_for "the client's own packets reach host-a" own_ping
ok 'the client ends' il_at b ipsec terminate --ike work
wait_for 'its SAs are gone' no_sas
