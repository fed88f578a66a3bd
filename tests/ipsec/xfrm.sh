#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- peer [Linux's own ESP] ---- 10.2.0.1
#
# SAs and policies of the kernel's XFRM on lcores: typed by hand (ip xfrm), and from strongSwan as Debian
# packages it, with no plugin of ours. All in an emulated machine with Debian's kernel, since the kernel must
# have ESP: xfrm_guest.sh has the assertions.
#
#   xfrm.sh             all of it
#   xfrm.sh PART...     only these: hand lifetimes acquire stops strongswan
#
# The emulated machine is a rig that is not part of this project: IRONLANE_GUEST_RIG, or
# ../shared/rigs/sriov beside the checkout, has build-guest.sh and run-guest.sh. The program must be built
# for Debian 12's DPDK.
set -eu
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
IRONLANE=${IRONLANE:-$ROOT/target/debug/ironlane}
RIG=${IRONLANE_GUEST_RIG:-${IRONLANE_SHARED:-$ROOT/../shared}/rigs/sriov}
skip() {
    echo "SKIP ipsec/xfrm: $1"
    exit 77
}
[ -x "$RIG/run-guest.sh" ] || skip "no emulated machine: $RIG has no run-guest.sh; set IRONLANE_GUEST_RIG"
[ -x "$IRONLANE" ] || { echo "no $IRONLANE; build it: cargo build -p ironlane-control"; exit 1; }
ldd "$IRONLANE" | grep -q 'librte_eal.so.23 ' || skip 'the guest has DPDK 22.11 (librte_eal.so.23), this program another'
RIG=$(realpath "$RIG")
RUN=$(mktemp -d "${TMPDIR:-/tmp}/ironlane-xfrm.XXXXXX")
trap 'rm -rf "$RUN"' EXIT
. "$(dirname "$0")/image.sh"
image strongswan
# The guest reads it over a slow share: without what only a debugger wants.
objcopy --strip-debug "$IRONLANE" "$RUN/ironlane"
cp "$ROOT/tests/ipsec/xfrm_guest.sh" "$RUN/"
# An emulated timer that a busy host does not serve in time looks broken to the kernel.
RIG_PFS=0 RIG_VFS=0 RIG_SHARE=$RUN RIG_TIMEOUT=${TIMEOUT:-3600} RIG_APPEND=no_timer_check \
    "$RIG/run-guest.sh" bash /host/xfrm_guest.sh "$@"
