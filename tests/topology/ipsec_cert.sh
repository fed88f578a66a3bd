#!/usr/bin/env bash
# host-a ---- lan [ Ironlane, strongSwan ] wan ---- internet ---- wan [ Ironlane, strongSwan ] lan ---- host-b
#
# The demo of IPsec in short: Debian's strongSwan, unmodified, with the samples of configs/strongswan, first the
# shared secret, then certificates made by the commands of docs/ipsec.md. Both families; CHILD and IKE SA are
# rekeyed in a flow that loses nothing; a capture between the sites has ESP alone. Then a charon is killed.
. "$(dirname "$0")/sites.sh"
run 'two sites' sites_up
run 'a capture between them' wire_watch
ok 'without IPsec, hosts reach each other' host_ping a 10.2.0.2
run 'the capture ends' wire_stop
run 'and their words are on the wire' secret_seen

run 'strongSwan at both sites' start_strongswan
run 'the sample with a shared secret' swan_load psk
run 'the wire is watched' wire_watch
run 'a packet brings the tunnel up; both families, both sides' tunnel_works
ok 'no SA is in the kernel' fast_path_alone
run 'the tunnel is taken down' swan_down
run 'certificates, by the commands of docs/ipsec.md' swan_certificates
run 'the sample with certificates' swan_load cert
ok 'ironlane ipsec initiate' il_at a ipsec initiate --child nets
ok 'the peer is known by its certificate' eval \
    '[ "$(il_at a ipsec sa show --json | jq -r "[.[].origin.remote_id] | unique | .[]")" = b.example.org ]'
run 'and all passes again' tunnel_works
run 'CHILD and IKE SA are rekeyed in a flow of UDP, which loses nothing' flow_udp 4 6 5
run 'and in one of TCP' flow_tcp 2 3 -c 10.2.0.2
run 'the capture ends' wire_stop
run 'nothing in clear, and nothing that can be read' secret_kept

run 'the wire is watched' wire_watch
run "site B's charon is killed, and packets go on" crash_is_not_felt
ok 'SAs are taken down though the peer does not answer' il_at a ipsec terminate --ike site-b --force --timeout 1
ok 'nothing passes without' blocked
ok 'what cannot come up says why' eval \
    'not il_at a ipsec initiate --child nets --timeout 1 2>"$RUN/said" && grep "nets was not established within 1 s" "$RUN/said"'
run 'charon is back' eval 'swan_start b && swan b --load-all --noprompt'
WAIT=30 wait_for 'the tunnel comes by itself' host_ping a 10.2.0.2
run 'the capture ends' wire_stop
ok 'nothing left in clear' nothing_in_clear
ok 'kernel and fast path agree at both' agree
run 'both end cleanly' eval 'site_stop a && site_stop b'
