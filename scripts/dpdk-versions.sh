#!/usr/bin/env bash
# Builds against the DPDK of later Debian suites, each in a chroot of its own, and runs the
# data-plane tests there. The project is mounted read-only; cargo and rustc are the host's, and so
# are the crates that it has fetched.
#
#   scripts/dpdk-versions.sh [SUITE...]     default: trixie (24.11) and sid (25.11)
#
#   IRONLANE_CHROOTS   where the chroots are kept, for the next time (/var/tmp/ironlane-dpdk)
#   IRONLANE_MIRROR    a Debian mirror (that of the host's apt)
#
# As root; needs debootstrap, about 2 GB a suite and ten minutes the first time.
set -u
CHROOTS=${IRONLANE_CHROOTS:-/var/tmp/ironlane-dpdk}
SUITES=("$@")
[ $# -gt 0 ] || SUITES=(trixie sid)
PROJECT=$(cd "$(dirname "$0")/.." && pwd)
PACKAGES=libdpdk-dev,libclang-dev,pkg-config,gcc,libc6-dev,iproute2,iputils-ping,ca-certificates
CRATES=(-p dpdk-sys -p ironlane-dataplane -p ironlane-tests)

say() { echo "dpdk-versions: $*" >&2; }

[ "$(id -u)" = 0 ] || { say 'run it as root: it makes chroots'; exit 2; }
for tool in debootstrap cargo unshare; do
    command -v $tool >/dev/null || { say "no $tool; run: apt-get install debootstrap util-linux, scripts/setup.sh"; exit 2; }
done

# The archive that apt gets Debian's own packages from.
mirror() {
    [ -n "${IRONLANE_MIRROR:-}" ] && { echo "$IRONLANE_MIRROR"; return; }
    local codename
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$codename" '$2 == suite && $3 == "main" { print $1; exit }'
}

# One mount namespace a suite: its mounts go with it, however this ends.
if [ "${1:-}" = --inside ]; then
    set -e
    root=$2
    sysroot=$(cd / && rustc --print sysroot)
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    bind() { # from, options
        mkdir -p "$root$1"
        mount --bind "$1" "$root$1"
        [ -z "${2:-}" ] || mount -o "remount,bind,$2" "$root$1"
    }
    for dir in /dev /proc /sys; do
        mount --rbind $dir "$root$dir"
    done
    bind "$sysroot" ro
    bind "$cargo_home"
    bind "$PROJECT" ro
    if [ -d "$PROJECT/../shared" ]; then
        bind "$(cd "$PROJECT/../shared" && pwd)" ro
    fi
    mkdir -p "$root/target"
    exec chroot "$root" /usr/bin/env -i PATH="$sysroot/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root \
        CARGO_HOME="$cargo_home" CARGO_TARGET_DIR=/target CARGO_NET_OFFLINE=true \
        bash -c 'cd "$1" && shift && exec cargo test --locked --no-fail-fast "$@"' \
        sh "$PROJECT" "${CRATES[@]}"
fi

failed=0
summary=$(printf '%-10s %-10s %-8s %-8s %s' SUITE DPDK PASSED FAILED RESULT)
(cd "$PROJECT" && cargo fetch --locked --quiet) || { say 'the crates cannot be fetched'; exit 1; }
for suite in "${SUITES[@]}"; do
    root=$CHROOTS/$suite
    if [ "$(cat "$root/.complete" 2>/dev/null)" != $PACKAGES ]; then
        rm -rf "$root"
        mkdir -p "$CHROOTS"
        uri=$(mirror)
        say "$suite: debootstrap from the host's mirror"
        script=sid
        [ -e "/usr/share/debootstrap/scripts/$suite" ] && script=$suite
        if ! debootstrap --variant=minbase --include=$PACKAGES "$suite" "$root" "$uri" $script \
            >"$root.log" 2>&1; then
            tail -n 5 "$root.log" >&2
            say "$suite: debootstrap failed, see $root.log"
            failed=1
            continue
        fi
        echo $PACKAGES >"$root/.complete"
    fi
    version=$(chroot "$root" pkg-config --modversion libdpdk)
    say "$suite: DPDK $version: build and test"
    log=$CHROOTS/$suite-test.log
    unshare --mount --propagation private "$0" --inside "$root" >"$log" 2>&1
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
