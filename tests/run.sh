#!/usr/bin/env bash
# Every check and test, as `make test` and CI run them. docs/CHECKS.md says what each is and how to
# run it alone.
#
#   tests/run.sh [PHASE...]     only these: fmt licences profiles build clippy cargo loom cost topology
#
# A test that cannot run here prints "SKIP name: reason". Names that this kernel or machine may lack
# are listed in tests/allowed-skips; any other skip fails the run. The last line is the count.
set -u
cd "$(dirname "$0")/.." || exit 1
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0 RUST_BACKTRACE=1
export IRONLANE_SHARED=${IRONLANE_SHARED:-$PWD/../shared}
export IRONLANE=${IRONLANE:-$PWD/target/debug/ironlane}
LOGS=$PWD/target/test-logs
mkdir -p "$LOGS"
rm -f "$LOGS"/*
exec </dev/null

PASSED=0 FAILED=0 SKIPPED=0
FAILURES=()
BEGAN=$SECONDS

report() { # VERDICT NAME SECONDS [DETAIL]
    printf '%-5s %-28s %4d s  %s\n' "$1" "$2" "$3" "${4-}"
}
failed() { # NAME LOG
    FAILURES+=("$1")
    echo "      last lines of $2:"
    tail -n 60 "$2" | sed 's/^/      | /'
}
# The same for a topology script, whose log ends with the state of everything: first the check that did not hold, and
# what led to it.
failed_script() { # NAME LOG
    local checks
    FAILURES+=("$1")
    checks=$(sed '/^    --- state/,$d' "$2")
    echo "      from $2:"
    { grep -m 1 -B 10 -A 60 '^  FAIL ' <<<"$checks" || tail -n 20 <<<"$checks"; } | sed 's/^/      | /'
    echo '      and its last lines:'
    sed -n '/^    --- state/,$p' "$2" | tail -n 30 | sed 's/^/      | /'
}

# check NAME SECONDS COMMAND...: passes or fails as a whole.
check() {
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    if timeout -k 10 "$limit" "$@" >"$LOGS/$name.log" 2>&1; then
        PASSED=$((PASSED + 1))
        report ok "$name" $((SECONDS - start))
        return 0
    fi
    FAILED=$((FAILED + 1))
    report FAIL "$name" $((SECONDS - start))
    failed "$name" "$LOGS/$name.log"
    return 1
}

# Of the output of passed tests: how many of them say SKIP, however often each does.
skipped_tests() {
    awk '/^successes:$/ { passed = 1 } /^(failures:|test result:)/ { passed = 0 }
        /^---- .* stdout ----$/ { said = 0 }
        passed && /^SKIP [^:]+/ && !said++ { n++ }
        END { print n + 0 }'
}

# cargo_tests NAME SECONDS ARGUMENTS...: counts what cargo test counts.
cargo_tests() {
    local name=$1 limit=$2 start=$SECONDS log=$LOGS/$1.log verdict=0 ok bad ignored skips
    shift 2
    timeout -k 10 "$limit" cargo test --locked --no-fail-fast "$@" -- --show-output >"$log" 2>&1 || verdict=$?
    read -r ok bad ignored < <(awk '/^test result:/ { o += $4; f += $6; i += $8 } END { print o + 0, f + 0, i + 0 }' "$log")
    # An ignored test is a skip with its reason.
    sed -nE 's/^test (.*) \.\.\. ignored(, (.*))?$/SKIP \1: \3/p' "$log" >>"$LOGS/skips"
    skips=$(skipped_tests <"$log")
    grep -E '^SKIP [^:]+' "$log" >>"$LOGS/skips"
    # It did not compile, a test process died, or time ran out: no count of tests tells of it.
    [ $verdict != 0 ] && [ "$bad" = 0 ] && bad=1
    PASSED=$((PASSED + ok - skips)) FAILED=$((FAILED + bad)) SKIPPED=$((SKIPPED + ignored + skips))
    if [ "$bad" = 0 ]; then
        report ok "$name" $((SECONDS - start)) "$ok tests$([ "$skips" = 0 ] || echo ", $skips of them skipped")"
    else
        report FAIL "$name" $((SECONDS - start)) "$bad of $((ok + bad)) tests"
        grep -E '^(test .* FAILED|error: test failed|error: .*)$|panicked at' "$log" | sort -u | head -40 | sed 's/^/      | /'
        failed "$name" "$log"
    fi
}

# A script of tests/topology: one test each.
script() { # FILE
    local name start=$SECONDS log verdict=0
    name=$(basename "$(dirname "$1")")/$(basename "$1" .sh)
    log=$LOGS/${name//\//-}.log
    timeout -k 10 150 "$1" >"$log" 2>&1 || verdict=$?
    case $verdict in
    0)
        PASSED=$((PASSED + 1))
        report ok "$name" $((SECONDS - start)) "$(tail -n1 "$log")"
        ;;
    77)
        SKIPPED=$((SKIPPED + 1))
        grep '^SKIP ' "$log" >>"$LOGS/skips"
        report skip "$name" $((SECONDS - start)) "$(tail -n1 "$log")"
        ;;
    *)
        FAILED=$((FAILED + 1))
        report FAIL "$name" $((SECONDS - start)) "exit status $verdict"
        failed_script "$name" "$log"
        ;;
    esac
}

phase_fmt() { check fmt 60 cargo fmt --all --check; }
phase_profiles() { check profiles 60 python3 perf/profiles/check.py; }
phase_licences() { check licences 120 python3 scripts/licences.py; }
phase_build() { check build 600 cargo build --locked --workspace --bins; }
phase_clippy() { check clippy 400 cargo clippy --locked --workspace --all-targets -- -D warnings; }
phase_cargo() { cargo_tests cargo 500 --workspace; }
# Every interleaving of the threads of RCU and FIB; a target folder of its own, since the flag changes every
# crate.
phase_loom() { RUSTFLAGS='--cfg loom' cargo_tests loom 300 -p ironlane-rcu -p ironlane-fib --lib --target-dir target/loom; }
# Instructions of the hot loops, which no other load on the machine changes.
phase_cost() {
    if command -v valgrind >/dev/null; then
        check cost 400 perf/cost.py && sed 's/^/      | /' "$LOGS/cost.log"
    else
        SKIPPED=$((SKIPPED + 1))
        echo 'SKIP cost: no valgrind; run scripts/setup.sh' >>"$LOGS/skips"
        report skip cost 0 'no valgrind'
    fi
}
phase_topology() {
    local file
    for file in tests/topology/*.sh; do
        [[ $(head -c 2 "$file") == '#!' ]] || continue # sourced by the others
        script "$file"
    done
}

for phase in "${@:-fmt licences profiles build clippy cargo loom cost topology}"; do
    for one in $phase; do
        if ! declare -F "phase_$one" >/dev/null; then
            echo "no phase is called $one; there are fmt licences profiles build clippy cargo loom cost topology" >&2
            exit 2
        fi
        "phase_$one"
    done
done

# Skips: each must be one that a kernel or machine may force.
if [ -s "$LOGS/skips" ]; then
    echo
    sort -u "$LOGS/skips"
    while read -r line; do
        name=${line#SKIP }
        name=${name%%:*}
        if ! grep -vE '^ *(#|$)' tests/allowed-skips | cut -d' ' -f1 | while read -r pattern; do
            # shellcheck disable=SC2053
            [[ $name == $pattern ]] && echo yes && break
        done | grep -q yes; then
            echo "not allowed to be skipped (tests/allowed-skips): $name"
            FAILED=$((FAILED + 1))
            FAILURES+=("skip of $name")
        fi
    done < <(sort -u "$LOGS/skips")
fi

echo
[ ${#FAILURES[@]} = 0 ] || printf 'failed: %s\n' "${FAILURES[@]}"
echo "took $((SECONDS - BEGAN)) s; logs in target/test-logs"
echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
[ "$FAILED" = 0 ]
