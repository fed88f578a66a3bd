#!/usr/bin/env bash
# Gets the routers that Ironlane is measured beside, and says which could not be had.
#
#   perf/peers.sh            testpmd, l3fwd and ipsec-secgw, of this system's DPDK
#   perf/peers.sh --grout    grout too: it is in Debian sid alone, so in a chroot (perf/within.sh; 3 GB, minutes)
#   perf/peers.sh --remove   removes all that it made
#
#   IRONLANE_PEERS    where they are kept (/var/tmp/ironlane-peers)
#
# The last lines say `have NAME` or `lack NAME: why`. Never fails for a peer that is missing.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
PEERS=${IRONLANE_PEERS:-/var/tmp/ironlane-peers}
SAMPLES=/usr/share/dpdk/examples
SID=$PEERS/sid
say() { echo "peers: $*" >&2; }

[ "$(id -u)" = 0 ] || { say 'run it as root'; exit 2; }
mkdir -p "$PEERS"

# Larger tables and a larger pool, for what the sample refuses as it is; and no demand for checksums by the
# device, which virtual ports lack. Nothing else differs.
enlarge() { # FOLDER
    sed -i -E -e 's/(define IPV4_L3FWD_LPM_MAX_RULES) .*/\1 1300000/' -e 's/(define IPV6_L3FWD_LPM_MAX_RULES) .*/\1 300000/' \
        -e 's/(define IPV4_L3FWD_LPM_NUMBER_TBL8S) .*/\1 (1 << 15)/' -e 's/(define IPV6_L3FWD_LPM_NUMBER_TBL8S) .*/\1 (1 << 19)/' \
        "$1/l3fwd_lpm.c"
    sed -i -E -e 's/(config_ipv4\.max_routes) = .*;/\1 = 1300000;/' -e 's/(config\.max_routes) = .*;/\1 = 300000;/' \
        -e 's/(config\.trie\.num_tbl8) = .*;/\1 = 1 << 19;/' "$1/l3fwd_fib.c"
    sed -i -e 's/(unsigned)8192)/(unsigned)400000)/' "$1/main.c"
    grep -q 400000 "$1/main.c" && grep -q 1300000 "$1/l3fwd_lpm.c" && grep -q 1300000 "$1/l3fwd_fib.c"
}

samples() {
    [ ! -d $SAMPLES/l3fwd ] || return 0
    say 'installing dpdk-doc, which has the source of l3fwd and ipsec-secgw'
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y dpdk-doc </dev/null >"$PEERS/dpdk-doc.log" 2>&1 ||
        { echo "no package dpdk-doc ($PEERS/dpdk-doc.log)"; return 1; }
}

build_secgw() {
    local at=$PEERS/ipsec-secgw
    samples || return 1
    [ ! -x "$at/build/ipsec-secgw" ] || return 0
    say 'building ipsec-secgw'
    rm -rf "${at:?}"
    cp -rL $SAMPLES/ipsec-secgw "$at"
    cp -rL $SAMPLES/common "$PEERS/" 2>/dev/null
    # No demand for checksums by the device, which virtual ports lack. Nothing else differs.
    sed -i 's/\.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM,/.offloads = 0,/' "$at/ipsec-secgw.c"
    make -C "$at" shared >"$at.log" 2>&1 || {
        rm -rf "${at:?}"
        echo "it does not build ($at.log)"
        return 1
    }
}

build_l3fwd() {
    local kind
    samples || return 1
    for kind in l3fwd l3fwd-full; do
        [ ! -x "$PEERS/$kind/build/l3fwd" ] || continue
        say "building $kind"
        rm -rf "${PEERS:?}/$kind"
        cp -rL $SAMPLES/l3fwd "$PEERS/$kind"
        cp -rL $SAMPLES/common "$PEERS/" 2>/dev/null
        sed -i 's/\.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM,/.offloads = 0,/' "$PEERS/$kind/main.c"
        if [ $kind = l3fwd-full ] && ! enlarge "$PEERS/$kind"; then
            rm -rf "${PEERS:?}/$kind"
            echo "this DPDK's l3fwd has other constants than expected"
            return 1
        fi
        make -C "$PEERS/$kind" shared >"$PEERS/$kind.log" 2>&1 || {
            rm -rf "${PEERS:?}/$kind"
            echo "it does not build ($PEERS/$kind.log)"
            return 1
        }
    done
}

# Its client, by a command that runs one in grout's system (none: here). -fms-extensions, C23: what grout's own headers need.
build_routes() { # OUT COMMAND...
    local out=$1
    shift
    "$@" sh -c "gcc -std=gnu2x -fms-extensions -O2 -I/usr/include/grout \$(pkg-config --cflags libdpdk) \
        -o $out -x c -" <"$HERE/bench/grout_routes.c" >"$PEERS/grout.log" 2>&1 ||
        { echo "its client does not build ($PEERS/grout.log)"; return 1; }
}

build_grout() {
    "$HERE/within.sh" sid true || { echo 'no chroot of Debian sid'; return 1; }
    build_routes /usr/local/bin/grout-routes chroot "$SID"
}

verdict() { # NAME REASON
    if [ -z "$2" ]; then echo "have $1"; else echo "lack $1: $2"; fi
}

case ${1:-} in
--remove)
    rm -rf --one-file-system "$PEERS"
    exit 0
    ;;
--grout | '') ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
verdict testpmd "$(command -v dpdk-testpmd >/dev/null || echo 'no package dpdk')"
verdict l3fwd "$(build_l3fwd)"
verdict ipsec-secgw "$(build_secgw)"
if command -v grout >/dev/null; then
    verdict grout "$(build_routes "$PEERS/grout-routes")"
elif [ "${1:-}" = --grout ]; then
    verdict grout "$(build_grout)"
elif [ -x "$SID/usr/bin/grout" ]; then
    verdict grout "$(build_routes /usr/local/bin/grout-routes chroot "$SID")"
else
    verdict grout 'not asked for (perf/peers.sh --grout)'
fi
