#!/usr/bin/env bash
# h0 ---- p0 [ironlane] p1 ---- h1      as configs/ci-net-tap/README.md says, and the demo's of configs/demo
#
# The commands of both pages are run as they stand there; only names that could be taken on this
# machine (namespaces, devices, the socket) are changed, in commands and configuration alike. Then
# what else configs/ has: FRR's files and the systemd unit, by their own checkers.
. "$(dirname "$0")/lib.sh"
cd "$ROOT" || exit 1

mkdir "$RUN/bin"
printf '#!/bin/sh\nexec env IRONLANE_SOCKET=%s %s "$@"\n' "$RUN/ironlane.sock" "$IRONLANE" >"$RUN/bin/ironlane"
chmod +x "$RUN/bin/ironlane"

# renamed FOLDER: names of namespaces and devices on standard input are made ours
renamed() {
    sed -E -e "s/\b(v?router|h)([0-9\$]|\b)/$NS_PREFIX\1\2/g" -e "s/iface=(il|ci)/iface=il$(($$ % 100000))\1/" \
        -e "s|target/release/ironlane|ironlane|g" -e "s|configs/$1/ironlane.toml|$RUN/ironlane.toml|"
}
# The configuration, with a socket of its own, a CPU that may be used, and hugepages only if there are some.
config() { # FOLDER
    local hugepages=''
    if ! hugepages_free && ! grep -q '^hugepages' "configs/$1/ironlane.toml"; then hugepages='hugepages = false\n'; fi
    renamed "$1" <"configs/$1/ironlane.toml" | sed -e "s/^cpus = .*/cpus = \"$(last_cpu)\"/" \
        -e "s|^\[daemon\]|&\nsocket = \"$RUN/ironlane.sock\"\nrun_dir = \"$RUN/ironlane\"|" \
        -e "s|^\[dpdk\]|&\n${hugepages}file_prefix = \"il-$$\"|" >"$RUN/ironlane.toml"
    diff "configs/$1/ironlane.toml" "$RUN/ironlane.toml"
    "$IRONLANE" config check "$RUN/ironlane.toml"
}
commands() { # FOLDER: the first block of the page; the daemon's process id is kept
    awk '/^```/ { if (inside) exit; inside = 1; next } inside' "configs/$1/README.md" | renamed "$1" |
        sed -E "s|&$|\& echo \$! >$RUN/pid|"
}
followed() { # FOLDER NAMESPACE...
    local ns folder=$1
    shift
    for ns in "$@"; do echo "netns $NS_PREFIX$ns" >>"$RUN/owned"; done
    commands "$folder" >"$RUN/commands"
    cat "$RUN/commands"
    PATH=$RUN/bin:$PATH timeout 60 bash -eu "$RUN/commands" >"$RUN/said" 2>&1
    local verdict=$?
    IRONLANE_PID=$(cat "$RUN/pid")
    own_pid "$IRONLANE_PID"
    cat "$RUN/said"
    return $verdict
}
pinged() { grep -q '3 packets transmitted, 3 received, 0% packet loss' "$RUN/said"; }
ends() { kill "$IRONLANE_PID" && wait_until 20 ended "$IRONLANE_PID"; }
nothing_left() {
    not ip -n "$ROUTER" link show p0 && not test -e "$RUN/ironlane.sock" &&
        not grep -q "il$(($$ % 100000))" <(ip -o link)
}
page() { # FOLDER NAMESPACE...
    MEMORY_MIB=$(sed -n 's/^memory_mib = //p' "configs/$1/ironlane.toml")
    run "configs/$1: the configuration, with other names" config "$1"
    run "configs/$1: the commands of its page" followed "$@"
    ok "configs/$1: pings have passed" pinged
    ok "configs/$1: kernel and fast path agree" verified
    ok "configs/$1: every packet is accounted for" identity_holds
    run "configs/$1: it ends" ends
    ok "configs/$1: and nothing is left" nothing_left
    remove_owned "$RUN"
}
page ci-net-tap router h0 h1
page demo router vrouter0 vrouter1 vrouter2 vrouter3

printf 'router bgp 1\n nonesuch\n' >"$RUN/wrong.conf"
ok 'vtysh tells a wrong line' not vtysh -C -f "$RUN/wrong.conf"
for file in configs/*/frr.conf; do
    ok "$file: FRR knows each line" vtysh -C -f "$file"
done

# The unit as `make install` writes it, for the program that is here.
if command -v systemd-analyze >/dev/null; then
    sed "s|/usr/local/bin/ironlane|$IRONLANE|" configs/systemd/ironlane.service >"$RUN/ironlane.service"
    ok 'configs/systemd: systemd-analyze has nothing to say of the unit' eval \
        'said=$(systemd-analyze verify "$RUN/ironlane.service" 2>&1) && [ -z "$said" ] || { echo "$said"; false; }'
else
    echo '  --    configs/systemd: not looked at, this machine has no systemd-analyze'
fi
