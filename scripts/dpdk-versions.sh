#!/usr/bin/env bash
# Builds against the DPDK of later Debian suites, each in a chroot of its own (chroot.sh), and runs
# the data-plane tests there.
#
#   scripts/dpdk-versions.sh [SUITE...]     default: trixie (24.11) and sid (25.11)
#
#   IRONLANE_CHROOTS   where the chroots and what is built are kept, for the next time (/var/tmp/ironlane-dpdk)
#
# As root; needs debootstrap, about 2 GB a suite and ten minutes the first time.
set -u
CHROOTS=${IRONLANE_CHROOTS:-/var/tmp/ironlane-dpdk}
SUITES=("$@")
[ $# -gt 0 ] || SUITES=(trixie sid)
HERE=$(cd "$(dirname "$0")" && pwd)
PACKAGES=libdpdk-dev,libclang-dev,pkg-config,gcc,libc6-dev,iproute2,iputils-ping,ca-certificates
CRATES=(-p dpdk-sys -p ironlane-dataplane -p ironlane-tests)

say() { echo "dpdk-versions: $*" >&2; }

[ "$(id -u)" = 0 ] || { say 'run it as root: it makes chroots'; exit 2; }
failed=0
summary=$(printf '%-10s %-10s %-8s %-8s %s' SUITE DPDK PASSED FAILED RESULT)
for suite in "${SUITES[@]}"; do
    root=$CHROOTS/$suite
    "$HERE/chroot.sh" make "$suite" "$root" $PACKAGES || { failed=1; continue; }
    version=$(chroot "$root" pkg-config --modversion libdpdk)
    say "$suite: DPDK $version: build and test"
    log=$CHROOTS/$suite-test.log
    CARGO_TARGET_DIR=$CHROOTS/$suite-target "$HERE/chroot.sh" enter "$root" \
        cargo test --locked --no-fail-fast "${CRATES[@]}" >"$log" 2>&1
    rc=$?
    passed=$(sed -nE 's/^test result: .* ([0-9]+) passed.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    lost=$(sed -nE 's/^test result: .* ([0-9]+) failed.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    result=ok
    if [ $rc -ne 0 ] || [ "$passed" = 0 ]; then
        result="failed, see $log"
        failed=1
        grep -E '^error|panicked|FAILED' "$log" | head -n 20 >&2
    fi
    summary+=$(printf '\n%-10s %-10s %-8s %-8s %s' "$suite" "$version" "$passed" "$lost" "$result")
done
echo "$summary"
exit $failed
