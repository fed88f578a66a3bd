#!/usr/bin/env bash
# No network: wrong configurations and machines that are not as they should be.
#
# Each gives one clear message with the cure, an exit status that is not 0, and leaves nothing
# behind: no tap, no namespace entry, no socket.
. "$(dirname "$0")/lib.sh"
topology h0:p0

# refused TEXT SED_SCRIPT WORDS...: the configuration, changed by the sed script, is refused within
# 20 s with all WORDS in what it says, and nothing is left.
refused() {
    local script=$1 out verdict word
    shift
    hosts_config | sed "$script" >"$RUN/bad.toml"
    out=$(timeout 20 "$IRONLANE" run --config "$RUN/bad.toml" 2>&1 </dev/null)
    verdict=$?
    echo "$out"
    [ $verdict != 0 ] && [ $verdict != 124 ] || { echo "exit status $verdict"; return 1; }
    for word in "$@"; do
        grep -qiF -- "$word" <<<"$out" || { echo "it does not say: $word"; return 1; }
    done
    ! grep -q 'panicked' <<<"$out" || return 1
    nothing_left
}
nothing_left() {
    if [ -e "$RUN/ironlane.sock" ]; then echo 'the socket is left'; return 1; fi
    if ip -n "$ROUTER" link show p0 >/dev/null 2>&1; then echo 'the tap is left'; return 1; fi
    if ip link show "il$(($$ % 100000))t0" >/dev/null 2>&1; then echo 'the device is left'; return 1; fi
}

ok 'a typo in a key: file, line, nearest name' refused 's/^run_dir/run_dri/' bad.toml:3 run_dri 'did you mean' run_dir
ok 'a typo in a section' refused 's/^\[lcores\]/[lcoress]/' lcoress 'did you mean' lcores
ok 'a value of the wrong kind' refused 's/^memory_mib = .*/memory_mib = "much"/' memory_mib 'integer'
ok 'an unknown kind of device' refused 's/net_tap0/net_tpa0/' net_tpa 'net_tap'
ok 'a driver that DPDK does not have' refused 's/^device = .*/device = "net_nonesuch0"/; /^peer_/d' net_nonesuch
ok 'a PCI device that is not there' refused 's/^device = .*/device = "0000:ff:1f.7"/; /^peer_/d' 0000:ff:1f.7
ok 'an lcore that is not there' refused 's/^cpus = .*/cpus = "399"/' 399
ok 'a namespace that is not there' refused "s/^netns = .*/netns = \"$NS_PREFIX-none\"/" "$NS_PREFIX-none"
ok 'more memory than there is' refused 's/^memory_mib = .*/memory_mib = 1000000/; s/^hugepages = .*/hugepages = true/' hugepages
ok 'a file that is not there' not "$IRONLANE" run --config "$RUN/none.toml"

run 'a tap of that name exists' ip -n "$ROUTER" link add p0 type veth peer name other
taken() {
    local out
    out=$(timeout 20 "$IRONLANE" run --config "$RUN/good.toml" 2>&1 </dev/null)
    [ $? = 1 ] && grep -q p0 <<<"$out" && grep -qi 'exist' <<<"$out" || { echo "$out"; return 1; }
    ip -n "$ROUTER" link show p0 type veth
}
hosts_config >"$RUN/good.toml"
ok 'it says so, and leaves the interface alone' taken
run 'the interface is removed' ip -n "$ROUTER" link del p0

start_ironlane
second() {
    local out
    out=$(timeout 20 "$IRONLANE" run --config "$RUN/ironlane.toml" 2>&1 </dev/null)
    [ $? = 1 ] && grep -qF "$IRONLANE_PID" <<<"$out" || { echo "$out"; return 1; }
}
ok 'a second daemon is refused and names the first' second
ok 'the first one works on' il port show
ok 'wrong usage of a command has status 2' eval 'il port shwo; [ $? = 2 ]'
ok 'an unknown port is named' eval 'il port show p7 2>&1 | grep -q p7'
