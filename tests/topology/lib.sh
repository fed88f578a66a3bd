# For all scripts of this folder: hosts in network namespaces around a running Ironlane. Sourced.
#
#   topology h0:p0 h1:p1       hosts h0, h1, each the kernel end of a net_tap port of the box
#   start_ironlane [LINE...]   writes the configuration (LINEs are added to it), starts, waits
#   ok TEXT COMMAND...         one assertion: prints it, ends the script if it does not hold
#   wait_for TEXT COMMAND...   the same, with up to WAIT (15) seconds to come true
#   on HOST COMMAND...         runs COMMAND in the host's namespace
#   skip REASON                ends the script as skipped
#
# Port N is 10.N.0.1/24 and 2001:db8:N::1/64, its host .2 and ::2; both default routes point to the box.
# Everything made is undone at the end, by process id and by the names made here. On failure the
# state is printed; the folder with logs stays.

set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DEMO=$ROOT/scripts/demo
TOPOLOGY=$ROOT/tests/topology
TEST=$(basename "$0" .sh)
NS_PREFIX=t$$-
RUN=$(mktemp -d "${TMPDIR:-/tmp}/ironlane-$TEST.XXXXXX")
chmod 755 "$RUN"
IRONLANE=${IRONLANE:-$ROOT/target/debug/ironlane}
STARTED=$(cut -d' ' -f1 /proc/uptime)
for part in say names netns frr checks traffic failover box_ironlane; do
    # shellcheck source=/dev/null
    . "$DEMO/$part.sh"
done
HOSTS=()
PASSED=0

skip() {
    echo "SKIP topology/$TEST: $1"
    SKIPPED=1
    exit 77
}

state_of_affairs() {
    local ns
    echo "--- state, after $(since "$STARTED") s; logs in $RUN"
    for ns in $(ls /run/netns 2>/dev/null | grep "^$NS_PREFIX"); do
        echo "--- $ns"
        ip -n "$ns" -br addr
        ip -n "$ns" -4 route | head -30
        ip -n "$ns" -6 route | head -30
        ip -n "$ns" neigh
    done
    if il port show >/dev/null 2>&1; then
        local object
        for object in port punt drop lcore adjacency; do
            echo "--- ironlane $object show"
            il $object show
        done
        il verify
    fi
    [ -f "$RUN/ironlane.log" ] && echo '--- ironlane.log' && tail -n 30 "$RUN/ironlane.log"
}

finish() {
    local verdict=$?
    trap - EXIT
    if [ -n "${SKIPPED:-}" ]; then
        :
    elif [ $verdict = 0 ]; then
        echo "passed: $PASSED checks in $(since "$STARTED") s"
    else
        state_of_affairs 2>&1 | sed 's/^/    /'
    fi
    remove_owned "$RUN"
    [ $verdict != 0 ] && [ -z "${SKIPPED:-}" ] || rm -rf "$RUN"
    exit $verdict
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

ok() {
    local text=$1 out
    shift
    if out=$("$@" 2>&1); then
        PASSED=$((PASSED + 1))
        echo "  ok    $text"
    else
        echo "  FAIL  $text"
        echo "        $*"
        sed 's/^/        /' <<<"$out"
        exit 1
    fi
}
wait_for() {
    local text=$1
    shift
    ok "$text" wait_until "${WAIT:-15}" "$@"
}
# run TEXT COMMAND...: like ok, in this shell, for commands that set variables.
run() {
    local text=$1
    shift
    if "$@" >"$RUN/run.out" 2>&1; then
        PASSED=$((PASSED + 1))
        echo "  ok    $text${NOTE:+ ($NOTE)}"
        NOTE=''
    else
        echo "  FAIL  $text${NOTE:+ ($NOTE)}"
        sed 's/^/        /' "$RUN/run.out"
        exit 1
    fi
}

[ "$(id -u)" = 0 ] || skip 'needs root for network namespaces'
[ -c /dev/net/tun ] || skip 'this machine has no /dev/net/tun'
[ -x "$IRONLANE" ] || { echo "no $IRONLANE; build it: cargo build -p ironlane-control"; exit 1; }

host_ns() { echo "$NS_PREFIX$1"; }
on() { local host=$1; shift; ip netns exec "$(host_ns "$host")" "$@"; }
router() { ip netns exec "$ROUTER" "$@"; }

# topology HOST:PORT...: namespaces for the hosts and the router; ports come with start_ironlane.
topology() {
    local spec
    new_ns "$ROUTER"
    for spec in "$@"; do
        new_ns "$(host_ns "${spec%:*}")"
        HOSTS+=("$spec")
    done
}

# start_ironlane [LINE...]: options of one port by PORT_OPTIONS[p1]='mtu = 1400'
declare -A PORT_OPTIONS
hosts_config() {
    local spec host port n hugepages=false
    if hugepages_free; then hugepages=true; fi
    printf '[daemon]\nsocket = "%s"\nrun_dir = "%s"\nnetns = "%s"\n' \
        "$RUN/ironlane.sock" "$RUN/ironlane" "$ROUTER"
    printf '[dpdk]\nhugepages = %s\nmemory_mib = %s\nfile_prefix = "il-%s"\n' $hugepages "$MEMORY_MIB" "$$"
    printf '[mempool]\nmbufs = 16383\n[lcores]\ncpus = "%s"\n' "${CPUS:-$(last_cpu)}"
    printf '%s\n' "$@"
    for spec in "${HOSTS[@]}"; do
        host=${spec%:*} port=${spec#*:}
        n=${port#p}
        cat <<CONF
[[port]]
name = "$port"
device = "net_tap$n,iface=il$(($$ % 100000))t$n"
mac = "$(port_mac "$n")"
addresses = ["10.$n.0.1/24", "2001:db8:$n::1/64"]
peer_netns = "$(host_ns "$host")"
peer_name = "eth0"
peer_mac = "02:00:00:00:31:0$n"
peer_addresses = ["10.$n.0.2/24", "2001:db8:$n::2/64"]
${PORT_OPTIONS[$port]-}
CONF
    done
}

default_routes() {
    local spec n
    for spec in "${HOSTS[@]}"; do
        n=${spec#*:p}
        ip -n "$(host_ns "${spec%:*}")" route replace default via "10.$n.0.1" dev eth0 || return
        ip -n "$(host_ns "${spec%:*}")" -6 route replace default via "2001:db8:$n::1" dev eth0 || return
    done
}

start_ironlane() {
    hosts_config "$@" >"$RUN/ironlane.toml"
    run 'Ironlane is up' start_configured
    run 'hosts have routes to it' default_routes
}
# A netlink message may be on its way when the daemon answers first: the links must be in, too.
start_configured() {
    "$IRONLANE" run --config "$RUN/ironlane.toml" >>"$RUN/ironlane.log" 2>&1 &
    IRONLANE_PID=$!
    own_pid "$IRONLANE_PID"
    wait_until 60 ironlane_answers && il port show || { tail -n 20 "$RUN/ironlane.log"; return 1; }
}

ping_ok() { # HOST ADDRESS [ARGUMENTS]: every echo answered
    local host=$1 address=$2
    shift 2
    on "$host" ping -n -q -c "${COUNT:-5}" -i 0.1 -W 2 "$@" "$address" | grep -q ' 0% packet loss'
}

# counter NAME: of stats show
counter() { il stats show --json | jq ".$1"; }
# punted REASON, dropped REASON: packets so far, over all ports
punted() { il punt show --json --all | jq "[.. | objects | select(.reason? == \"$1\") | .packets] | add // 0"; }
dropped() { il drop show --json --all | jq "[.. | objects | select(.reason? == \"$1\") | .packets] | add // 0"; }
# adjacency_is ADDRESS KIND: the way to ADDRESS ends so: forward, glean, ...
adjacency_is() { [ "$(il route get "$1" --json | jq -r .verdict)" = "$2" ]; }
identity_holds() { [ "$(counter identity_holds)" = true ]; }
verified() { il verify; }
at_least() { [ "$1" -ge "$2" ] || { echo "$1 is less than $2"; return 1; }; }
