#!/usr/bin/env bash
# Runs a command in a chroot of a later Debian suite: with the DPDK of that, and all that the benchmarks need.
#
#   perf/within.sh SUITE COMMAND...     make bench DPDK=SUITE builds and measures by it; grout is in sid alone
#
#   IRONLANE_PEERS    the chroot is kept there (/var/tmp/ironlane-peers)
#
# What it builds is in the folder SUITE of cargo's target directory.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
SUITE=$1 ROOT=${IRONLANE_PEERS:-/var/tmp/ironlane-peers}/$1
shift
PACKAGES=libdpdk-dev,dpdk,dpdk-dev,dpdk-doc,libclang-dev,pkg-config,gcc,libc6-dev,make,protobuf-compiler
PACKAGES+=,xz-utils,ca-certificates,python3,iproute2,iputils-ping,ethtool,procps,jq
[ "$SUITE" != sid ] || PACKAGES+=,grout,grout-headers

"$HERE/../scripts/chroot.sh" make "$SUITE" "$ROOT" $PACKAGES || exit 1
# Peers in it are its own, and what it builds fits no other DPDK.
unset IRONLANE_PEERS
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HERE/../target}/$SUITE IRONLANE_SUITE=$SUITE
IRONLANE_COMMIT=$(python3 "$HERE/bench/commit.py") && export IRONLANE_COMMIT
exec "$HERE/../scripts/chroot.sh" enter "$ROOT" "$@"
