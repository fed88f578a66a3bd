# Progress lines, results and waits. Sourced.
#
#   step TEXT COMMAND...   runs COMMAND, prints one line with its verdict and time, remembers it
#   note TEXT              what the running step wants to have seen beside its verdict
#   row NAME VALUE         a line of the summary table
#   wait_until S COMMAND   until COMMAND succeeds (in a subshell), at most S seconds; then what it said last

STEPS_OK=0
STEPS_FAILED=()
ROWS=()
NOTE=

if [ -t 1 ]; then GREEN=$'\e[32m' RED=$'\e[31m' BOLD=$'\e[1m' PLAIN=$'\e[0m'; else GREEN='' RED='' BOLD='' PLAIN=''; fi

# Seconds with milliseconds since boot: not moved by clock changes.
now() { cut -d' ' -f1 /proc/uptime; }
# since START [SCALE]: elapsed seconds, one digit
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }

headline() { printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"; }
say() { printf '         %s\n' "$*"; }
note() { NOTE="$*"; }
row() { ROWS+=("$1|$2"); }

step() {
    local text=$1 start verdict=0 before
    shift
    NOTE=''
    start=$(now)
    printf '\n### %s\n' "$text" >>"$RUN/steps.log"
    before=$(wc -l <"$RUN/steps.log")
    "$@" >>"$RUN/steps.log" 2>&1 || verdict=$?
    if [ "$verdict" = 0 ]; then
        STEPS_OK=$((STEPS_OK + 1))
        printf '  %s[ ok ]%s %-58s %6s s  %s\n' "$GREEN" "$PLAIN" "$text" "$(since "$start")" "$NOTE"
    else
        STEPS_FAILED+=("${SECTION:+$SECTION: }$text")
        printf '  %s[FAIL]%s %-58s %6s s  %s\n' "$RED" "$PLAIN" "$text" "$(since "$start")" "$NOTE"
        tail -n +$((before + 1)) "$RUN/steps.log" | tail -n 16 | sed 's/^/         | /'
    fi
    return "$verdict"
}

wait_until() {
    local end said
    end=$(awk -v n="$(now)" -v s="$1" 'BEGIN { print n + s }')
    shift
    until said=$("$@" 2>&1); do
        if awk -v n="$(now)" -v e="$end" 'BEGIN { exit !(n > e) }'; then
            echo "gave up waiting for: $*"
            echo "$said"
            return 1
        fi
        sleep 0.1
    done
}

not() { ! "$@"; }

# The table at the end, and the exit status of the whole run.
summary() {
    local entry
    headline 'Summary'
    for entry in "${ROWS[@]}"; do printf '  %-44s %s\n' "${entry%%|*}" "${entry#*|}"; done
    echo
    if [ ${#STEPS_FAILED[@]} = 0 ]; then
        printf '  %sall %d steps passed%s\n' "$GREEN" "$STEPS_OK" "$PLAIN"
        return 0
    fi
    printf '  %s%d steps passed, %d failed:%s\n' "$RED" "$STEPS_OK" ${#STEPS_FAILED[@]} "$PLAIN"
    printf '    - %s\n' "${STEPS_FAILED[@]}"
    printf '  logs: %s\n' "$RUN"
    return 1
}
