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
# The plugin is loaded with it, so that it is still there, with the names of its functions, when leaks are looked for: charon
# unloads its plugins before that. UndefinedBehaviorSanitizer writes to the standard error, whatever it is told.
mkdir "$REPORTS/said"
cat >"$REPORTS/under" <<UNDER
export LD_PRELOAD=$ASAN:/usr/lib/ipsec/plugins/libstrongswan-kernel-ironlane.so
export ASAN_OPTIONS=log_path=$REPORTS/said/asan:detect_leaks=1:fast_unwind_on_malloc=0 UBSAN_OPTIONS=print_stacktrace=1
exec "\$@" 2>"$REPORTS/said/stderr.\$\$"
UNDER
# Not CFLAGS, which cargo would build other C by.
export IRONLANE_PLUGIN_CFLAGS='-fsanitize=address,undefined -fno-omit-frame-pointer -O1 -U_FORTIFY_SOURCE'
export IRONLANE_CHARON_UNDER="sh $REPORTS/under"
[ $# -gt 0 ] || set -- cargo test -p ironlane-control --test charon
(cd "$HERE/../.." && "$@")
VERDICT=$?
# What has a line number is told by its file, the rest by the library.
FAULTS=$(grep -lE 'plugins/charon/src/|[(].*libstrongswan-kernel-ironlane|runtime error:' "$REPORTS"/said/* 2>/dev/null)
if [ -n "$FAULTS" ]; then
    # shellcheck disable=SC2086
    grep -h -B 3 -A 25 -m 1 -E 'ERROR:|runtime error:' $FAULTS | head -n 200
    echo 'sanitizers: the plugin has faults'
    exit 1
fi
[ $VERDICT = 0 ] && echo 'sanitizers: nothing of the plugin'
exit $VERDICT
