#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- wan ---- pf0 [Linux 6.1, emulated] ---- site
#
# Ironlane with strongSwan, against the kernel's own ESP and AH with strongSwan or libreswan, in an emulated
# machine with Debian's kernel. The wan, between them, sees what crosses, and can translate addresses. Each row of
# the matrix is an algorithm, mode, pair of families, ... and passes only if datagrams of all sizes arrive
# unchanged both ways, both ends count the same packets without an error, and the wire has nothing in clear.
#
#   linux.sh             the whole matrix; writes docs/ipsec-interop.md
#   linux.sh PATTERN...  only rows whose name all patterns match, such as '^rekey|^NAT'
#
# The emulated machine is a rig that is not part of this project: IRONLANE_GUEST_RIG, or
# ../shared/rigs/sriov beside the checkout, has build-guest.sh, run-guest.sh and rig.py.
. "$(dirname "$0")/../topology/lib.sh"
RIG=${IRONLANE_GUEST_RIG:-${IRONLANE_SHARED:-$ROOT/../shared}/rigs/sriov}
[ -x "$RIG/run-guest.sh" ] || skip "no emulated machine: $RIG has no run-guest.sh; set IRONLANE_GUEST_RIG"
[ -x /usr/lib/ipsec/charon ] && command -v swanctl >/dev/null || skip 'needs strongSwan (scripts/setup.sh)'
command -v nft >/dev/null || skip 'needs nftables (scripts/setup.sh)'
RIG=$(realpath "$RIG")
PLUGIN=$("$ROOT/plugins/charon/build.sh" "$RUN/plugin") || { echo 'the plugin was not built'; exit 1; }
[ -x "$FRR_BIN/zebra" ] && command -v vtysh >/dev/null || skip 'needs FRR (scripts/setup.sh)'
export RIG RUN NS_PREFIX ROUTER IRONLANE PLUGIN IRONLANE_SOCKET=$RUN/ironlane.sock
# shellcheck source=tests/ipsec/image.sh
. "$(dirname "$0")/image.sh"
for peer in strongswan libreswan; do run "the emulated machine with $peer is built" image $peer; done

topology h0:p0 wan:p1
start_ironlane '[ipsec]' "charon_socket = \"$RUN/a.ipsec\"" '[[ipsec_interface]]' 'name = "ipsec0"' 'if_id = 42' \
    'addresses = ["10.255.0.1/30", "2001:db8:255::1/64"]'
routes() {
    # What the hosts send fits into a tunnel; what is longer they fragment themselves.
    on h0 ip route replace default via 10.0.0.1 mtu 1340 && on h0 ip -6 route replace default via 2001:db8::1 mtu 1340
    # An end may change its address (MOBIKE).
    router sysctl -qw net.ipv4.conf.all.promote_secondaries=1
    ip -n "$ROUTER" route add default via 10.1.0.2 && ip -n "$ROUTER" -6 route add default via 2001:db8:1::2
    on wan ip route del default
    on wan ip -6 route del default
    on wan sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    # The wan knows the way to both sites, so what leaves in clear arrives, and is seen.
    on wan ip route add 10.0.0.0/24 via 10.1.0.1 && on wan ip -6 route add 2001:db8::/64 via 2001:db8:1::1
}
run 'routes' routes
export IRONLANE_PID
# In the background, so that an interrupt ends all at once.
python3 "$(dirname "$0")/run.py" "$@" &
own_pid $!
wait $!
