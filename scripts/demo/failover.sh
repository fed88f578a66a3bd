# The link between vrouter0 and the box is lost in three ways; vrouter2 keeps asking for vrouter0's
# loopback and counts how long it gets no answer. Traffic comes round by vrouter1 and the direct link.
# Sourced.

# The three ways; each with its repair. How carrier is lost depends on the device: box_carrier.
lose_carrier() { box_carrier 0 down; }
mend_carrier() { box_carrier 0 up; }
lose_admin() { ip -n "$ROUTER" link set "$(tap 0)" down; }
mend_admin() { ip -n "$ROUTER" link set "$(tap 0)" up; }
# Every frame is lost at vrouter0's end, in both directions; both ends keep their carrier.
lose_silent() {
    ip netns exec "$(vrouter 0)" python3 "$DEMO/silence.py" "$(uplink 0)" >"$RUN/silence" 2>&1 &
    SILENCE=$!
    own_pid "$SILENCE"
    tc -n "$(vrouter 0)" qdisc replace dev "$(uplink 0)" root tbf rate 8bit burst 10 limit 1 &&
        wait_until 5 grep -q '^silent' "$RUN/silence"
}
mend_silent() {
    kill "$SILENCE" && reap 5 "$SILENCE" &&
        tc -n "$(vrouter 0)" qdisc del dev "$(uplink 0)" root
}

# Both sides have seen the loss and found the way round.
rerouted() { route_by "$(vrouter 0)" "$DIRECT" 2 && route_by "$ROUTER" "$(tap 1)" 0; }

# link_lost WAY: cut, wait for the new way, stop the clock. Leaves OUTAGE4 and OUTAGE6, milliseconds.
link_lost() {
    local out=$RUN/probe.$1 verdict=0
    : >"$out"
    ip netns exec "$(vrouter 2)" python3 "$DEMO/probe.py" "$(lo4 2)" "$(lo4 0)" "$(lo6 2)" "$(lo6 0)" >"$out" &
    local probe=$!
    own_pid "$probe"
    wait_until 5 grep -q ready "$out" || verdict=1
    "lose_$1" || { echo "the link could not be cut"; verdict=1; }
    wait_until 20 rerouted || verdict=1
    wait_until 10 one_ping "$(vrouter 2)" "$(lo4 2)" "$(lo4 0)" 4 || verdict=1
    wait_until 10 one_ping "$(vrouter 2)" "$(lo6 2)" "$(lo6 0)" 6 || verdict=1
    kill "$probe"
    reap 5 "$probe" || verdict=1
    cat "$out"
    OUTAGE4=$(tail -n1 "$out" | jq .ip4.outage_ms)
    OUTAGE6=$(tail -n1 "$out" | jq .ip6.outage_ms)
    [[ "$OUTAGE4 $OUTAGE6" =~ ^[0-9]+\ [0-9]+$ ]] || { echo "the probe has no figures"; verdict=1; }
    note "without an answer: v4 $OUTAGE4 ms, v6 $OUTAGE6 ms"
    return "$verdict"
}

link_back() { # WAY
    "mend_$1" && wait_until 30 converged
}

# lose_the_link: all three ways, one after another
lose_the_link() {
    local way text
    for way in carrier admin silent; do
        case $way in
        carrier) text='carrier lost' ;;
        admin) text='tap set down' ;;
        silent) text='silent' ;;
        esac
        if step "link of vrouter0 lost ($text): traffic rerouted" link_lost "$way"; then
            row "$SECTION: rerouted, $text" "v4 $OUTAGE4 ms, v6 $OUTAGE6 ms"
        else
            row "$SECTION: rerouted, $text" FAILED
        fi
        step 'link back: traffic by the box again' link_back "$way" || return
    done
}
