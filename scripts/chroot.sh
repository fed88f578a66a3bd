#!/usr/bin/env bash
# A chroot of a Debian suite, to build and run the project with what that suite has: a later DPDK.
#
#   scripts/chroot.sh make SUITE ROOT PACKAGES    makes it, if it is not there with these packages (commas between)
#   scripts/chroot.sh enter ROOT COMMAND...       runs a command there, in the project's folder
#
# In it the project, what lies beside it in `shared`, cargo's folder and CARGO_TARGET_DIR have the paths that they
# have outside; cargo and rustc are the host's, and so are the crates that it has fetched. Of the environment
# there are MAIN, WORKER, and what begins with IRONLANE_, CARGO_ or CRYPTO_. All mounts go with the command.
#
#   IRONLANE_MIRROR   a Debian mirror (that of the host's apt)
#
# As root; needs debootstrap, 2 to 3 GB a chroot and some minutes to make one.
set -u
PROJECT=$(cd "$(dirname "$0")/.." && pwd)
SHARED=${IRONLANE_SHARED:-$PROJECT/../shared}
say() { echo "chroot: $*" >&2; }

# The archive that apt gets Debian's own packages from.
mirror() {
    [ -z "${IRONLANE_MIRROR:-}" ] || { echo "$IRONLANE_MIRROR"; return; }
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }'
}

make_root() { # SUITE ROOT PACKAGES
    local suite=$1 root=$2 packages=$3 script=sid
    [ "$(cat "$root/.complete" 2>/dev/null)" != "$packages" ] || return 0
    command -v debootstrap >/dev/null ||
        DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y debootstrap </dev/null >&2 ||
        { say 'no package debootstrap'; return 1; }
    say "$suite: debootstrap from the host's mirror"
    rm -rf --one-file-system "${root:?}"
    mkdir -p "$(dirname "$root")"
    [ -e "/usr/share/debootstrap/scripts/$suite" ] && script=$suite
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$(mirror)" $script >"$root.log" 2>&1 ||
        { tail -n 5 "$root.log" >&2; say "$suite: debootstrap failed, see $root.log"; return 1; }
    echo "$packages" >"$root/.complete"
}

enter() { # ROOT COMMAND..., in a mount namespace of its own
    local root sysroot cargo_home=${CARGO_HOME:-$HOME/.cargo} dir keep=()
    root=$(cd "$1" && pwd) && sysroot=$(cd / && rustc --print sysroot) || return 1
    shift
    bind() { # FROM OPTIONS
        mkdir -p "$root$1" && mount --bind "$1" "$root$1" || return 1
        [ -z "${2:-}" ] || mount -o "remount,bind,$2" "$root$1"
    }
    # `ip netns` wants a root that is a mount.
    mount --bind "$root" "$root" || return 1
    for dir in /dev /proc /sys; do
        mount --rbind $dir "$root$dir" || return 1
    done
    bind "$sysroot" ro && bind "$cargo_home" && bind "$PROJECT" || return 1
    if [ -d "$SHARED" ]; then
        bind "$(cd "$SHARED" && pwd)" ro || return 1
    fi
    mkdir -p "$CARGO_TARGET_DIR" && bind "$(cd "$CARGO_TARGET_DIR" && pwd)" || return 1
    for dir in MAIN WORKER ${!IRONLANE_@} ${!CARGO_@} ${!CRYPTO_@}; do
        [ -z "${!dir:-}" ] || keep+=("$dir=${!dir}")
    done
    exec chroot "$root" /usr/bin/env -i "${keep[@]}" PATH="$sysroot/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root \
        CARGO_HOME="$cargo_home" CARGO_NET_OFFLINE=true sh -c 'cd "$1" && shift && exec "$@"' sh "$PROJECT" "$@"
}

[ "$(id -u)" = 0 ] || { say 'run it as root: it makes chroots'; exit 2; }
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PROJECT/target/chroot}
case ${1:-} in
make)
    make_root "$2" "$3" "$4"
    ;;
enter)
    (cd "$PROJECT" && cargo fetch --locked --quiet) || { say 'the crates cannot be fetched'; exit 1; }
    shift
    exec unshare --mount --propagation private "$0" --inside "$@"
    ;;
--inside)
    shift
    enter "$@"
    ;;
*)
    sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
