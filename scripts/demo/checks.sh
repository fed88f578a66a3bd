# What must hold once the protocol has converged. Sourced.

# Runs the function CHECK for every pair of loopbacks and both families at once:
# CHECK NS FROM TO FAMILY. Fails if one fails; names the pairs.
every_pair() { # CHECK TARGETS...
    local check=$1 i j pids=() what=() failed=0 n
    shift
    for i in "${VROUTERS[@]}"; do
        for j in "$@"; do
            [ "$i" != "$j" ] || continue
            "$check" "$(vrouter "$i")" "$(lo4 "$i")" "$(lo4 "$j")" 4 &
            pids+=($!) what+=("$(lo4 "$i") to $(lo4 "$j")")
            "$check" "$(vrouter "$i")" "$(lo6 "$i")" "$(lo6 "$j")" 6 &
            pids+=($!) what+=("$(lo6 "$i") to $(lo6 "$j")")
        done
    done
    for n in "${!pids[@]}"; do
        wait "${pids[$n]}" || {
            echo "${check#one_}: ${what[$n]} failed"
            failed=$((failed + 1))
        }
    done
    note "$((${#pids[@]} - failed)) of ${#pids[@]} pairs"
    [ "$failed" = 0 ]
}

one_ping() {
    local out
    out=$(in_ns "$1" ping "-$4" -n -q -c 3 -i 0.2 -W 3 -I "$2" "$3" 2>&1) && grep -q ' 0% packet loss' <<<"$out" && return
    echo "$out"
    return 1
}
ping_all() { every_pair one_ping "${VROUTERS[@]}" "$ROUTER_LO"; }

# Two hops: the router, by whatever address of its own, and the destination.
one_traceroute() {
    local out hops first
    out=$(in_ns "$1" traceroute "-$4" -n -q 2 -w 3 -m 5 -s "$2" "$3" 2>&1)
    hops=$(grep -cE '^ *[0-9]+ ' <<<"$out")
    first=$(awk '$1 == 1 { print $2 }' <<<"$out")
    if [ "$hops" = 2 ] && awk '$1 == 2 { print $2 }' <<<"$out" | grep -qx "$3"; then
        ip -n "$ROUTER" -o addr show | grep -qF " $first/" && return
    fi
    echo "$out"
    return 1
}
traceroute_all() { every_pair one_traceroute "${VROUTERS[@]}"; }
