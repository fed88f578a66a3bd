#!/usr/bin/env bash
# Runs the tests of the plugin with AddressSanitizer and UndefinedBehaviorSanitizer in it: every access of its own, and
# what charon's memory functions do for it. As root; needs what the tests need, and gcc's libasan.
#
#   sanitize.sh                        the tests of control/tests/charon.rs
#   sanitize.sh COMMAND...             any other that starts charon: tests/topology/ipsec_rekey.sh
#
# It fails if a test does, or if a sanitizer reports anything that has the plugin in it.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
REPORTS=$(mktemp -d "${TMPDIR:-/tmp}/ironlane-sanitize.XXXXXX")
trap 'rm -rf "$REPORTS"' EXIT
ASAN=$(${CC:-cc} -print-file-name=libasan.so)
[ -e "$ASAN" ] || { echo "no libasan.so: install it with the compiler ${CC:-cc}"; exit 1; }

# charon is not built for it, so the library must come first; memory that charon holds at its end is not the plugin's.
# Not CFLAGS, which cargo would build other C by.
export IRONLANE_PLUGIN_CFLAGS='-fsanitize=address,undefined -fno-omit-frame-pointer -O1 -U_FORTIFY_SOURCE'
export IRONLANE_CHARON_UNDER="env LD_PRELOAD=$ASAN ASAN_OPTIONS=log_path=$REPORTS/asan:detect_leaks=1:fast_unwind_on_malloc=0 \
UBSAN_OPTIONS=log_path=$REPORTS/ubsan:print_stacktrace=1"
[ $# -gt 0 ] || set -- cargo test -p ironlane-control --test charon
(cd "$HERE/../.." && "$@")
VERDICT=$?
if grep -l kernel-ironlane "$REPORTS"/* 2>/dev/null | grep -q .; then
    grep -h -B 3 -A 25 -m 1 -E 'ERROR:|runtime error:' $(grep -l kernel-ironlane "$REPORTS"/*) | head -n 200
    echo 'sanitizers: the plugin has faults'
    exit 1
fi
[ $VERDICT = 0 ] && echo 'sanitizers: nothing of the plugin'
exit $VERDICT
