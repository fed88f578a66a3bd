#!/usr/bin/env bash
# Builds the plugin for the strongSwan that is installed.
#
#   build.sh [FOLDER]      into FOLDER (target/plugins/charon); prints the plugin's path
#   build.sh --headers     only gets the headers, and prints their folder
#
# IRONLANE_PLUGIN_CFLAGS are flags for the compiler beside CFLAGS.
#
# strongSwan has no package of headers, so they come from its source: that of the installed version
# by apt-get; where the archive has dropped that, another Debian revision of the same upstream version;
# else the upstream release. Nothing of strongSwan is compiled. What was got is kept in
# ~/.cache/ironlane/strongswan/VERSION.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
PACKAGE=strongswan-libcharon
UPSTREAM=https://download.strongswan.org
CC=${CC:-cc}

say() { echo "plugins/charon: $*" >&2; }
fail() {
    say "$@"
    exit 1
}

INSTALLED=$(dpkg-query -Wf '${Version}' $PACKAGE 2>/dev/null) ||
    fail "strongSwan is not installed: apt-get install strongswan-charon strongswan-swanctl"
# 5.9.8-5+deb12u6 -> 5.9.8
RELEASE=${INSTALLED#*:}
RELEASE=${RELEASE%%-*}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ironlane/strongswan/$INSTALLED

# apt with deb-src entries of its own, for the archives that the installed packages came from.
apt_source() {
    local tool=$1
    shift
    "$tool" -qq -o Dir::Etc::SourceList="$CACHE/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$CACHE/lists" -o APT::Sandbox::User=root "$@"
}

list_archives() {
    mkdir -p "$CACHE/lists/partial"
    apt-cache policy $PACKAGE |
        awk '$2 ~ /^https?:/ && split($3, part, "/") == 2 && !seen[$2 $3]++ { print "deb-src", $2, part[1], part[2] }' \
            >"$CACHE/sources.list"
    [ -s "$CACHE/sources.list" ] && apt_source apt-get update
}

# versions: the Debian revisions of this release that the archives list, the installed one first.
versions() {
    echo "$INSTALLED"
    apt_source apt-cache showsrc --only-source strongswan | sed -n 's/^Version: //p' | sort -uVr |
        grep -vxF "$INSTALLED" | grep -E "^([0-9]+:)?${RELEASE//./\\.}-" || true
}

by_apt() {
    local version
    command -v apt-get >/dev/null && command -v dpkg-source >/dev/null || return 1
    list_archives 2>"$CACHE/apt.log" || return 1
    for version in $(versions 2>>"$CACHE/apt.log"); do
        if (cd "$CACHE" && apt_source apt-get source --only-source "strongswan=$version") >>"$CACHE/apt.log" 2>&1; then
            [ "$version" = "$INSTALLED" ] || say "the source of $INSTALLED is not in the archive; using that of $version"
            return 0
        fi
    done
    return 1
}

by_upstream() {
    local tarball=strongswan-$RELEASE.tar.bz2
    # The archive may have given its copy of the release before it failed on the rest.
    if [ -s "$CACHE/strongswan_$RELEASE.orig.tar.bz2" ]; then
        mv "$CACHE/strongswan_$RELEASE.orig.tar.bz2" "$CACHE/$tarball"
    elif command -v curl >/dev/null; then
        curl -fsSL --max-time 120 -o "$CACHE/$tarball" "$UPSTREAM/$tarball" || return 1
    else
        wget -q -T 120 -O "$CACHE/$tarball" "$UPSTREAM/$tarball" || return 1
    fi
    say "no Debian source of $INSTALLED; using the release $RELEASE as upstream published it"
    tar -C "$CACHE" -xjf "$CACHE/$tarball"
}

# Debian's flags, as far as they change a structure: mediation does, the others add plugins and need
# their libraries. A release without Debian's rules is built as Debian builds this one.
flags() {
    local rules=$CACHE/strongswan-$RELEASE/debian/rules
    echo --disable-defaults --enable-charon --enable-ikev1 --enable-ikev2 --enable-nonce --enable-random
    if [ ! -e "$rules" ] || grep -q -e --enable-mediation "$rules"; then
        echo --enable-mediation
    fi
}

get_headers() {
    local source=$CACHE/strongswan-$RELEASE
    [ -e "$source/configured" ] && return
    rm -rf "$CACHE"
    mkdir -p "$CACHE"
    say "getting the headers of strongSwan $INSTALLED"
    by_apt || by_upstream ||
        fail "no source of strongSwan $RELEASE can be had, neither by apt-get (see $CACHE/apt.log) nor from $UPSTREAM;" \
            "unpack it into $source by hand and run ./configure $(flags | tr '\n' ' ') && touch configured there"
    say 'configuring it, for config.h'
    # shellcheck disable=SC2046
    (cd "$source" && ./configure $(flags)) >"$CACHE/configure.log" 2>&1 ||
        fail "configure failed: $(tail -n 3 "$CACHE/configure.log")"
    rm -rf "$CACHE/lists" "$CACHE"/strongswan_* "$CACHE"/*.tar.bz2
    touch "$source/configured"
}

get_headers
SOURCE=$CACHE/strongswan-$RELEASE
if [ "${1:-}" = --headers ]; then
    echo "$SOURCE"
    exit
fi
OUT=${1:-$HERE/../../target/plugins/charon}
mkdir -p "$OUT"
# Only the plugin's one entry is visible: charon's own names come first for all others.
$CC -shared -fPIC -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers \
    -Wno-sign-compare -fvisibility=hidden -fstack-protector-strong -D_FORTIFY_SOURCE=2 -D_GNU_SOURCE= \
    -Wl,-z,relro,-z,now -include "$SOURCE/config.h" -I"$SOURCE/src/libstrongswan" -I"$SOURCE/src/libcharon" \
    ${CFLAGS:-} ${IRONLANE_PLUGIN_CFLAGS:-} -o "$OUT/libstrongswan-kernel-ironlane.so.new" "$HERE"/src/*.c
mv "$OUT/libstrongswan-kernel-ironlane.so.new" "$OUT/libstrongswan-kernel-ironlane.so"
echo "$INSTALLED" >"$OUT/built-for"
realpath "$OUT/libstrongswan-kernel-ironlane.so"
