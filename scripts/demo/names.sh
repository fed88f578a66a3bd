# Names and addresses of the demo's network. Sourced; every other file asks here.
#
#     vrouter0 ----- p0 +----------+ p2 ----- vrouter2
#        |              |  router  |
#      direct           | Ironlane |
#        |              +----------+ p3 ----- vrouter3
#     vrouter1 ----- p1
#
#   link N     103.30.(N*10).0/24   2001:db8:30:(N*10)::/64   router .1 / ::1, vrouter .3 / ::3
#   direct     10.0.1.0/24          2001:db8:1::/64           vrouter0 .1 / ::1, vrouter1 .2 / ::2
#   loopbacks  10.0.255.N/32        2001:db8:255::1N/128      the router's own: N = 100

VROUTERS=(0 1 2 3)
# Tests that run at the same time set a prefix of their own.
NS_PREFIX=${NS_PREFIX:-}

vrouter() { echo "${NS_PREFIX}vrouter$1"; }
ROUTER=${NS_PREFIX}router
every_ns() { local i; for i in "${VROUTERS[@]}"; do vrouter "$i"; done; echo "$ROUTER"; }

# The vrouter's interface towards the router, and the router's (tap) towards the vrouter.
uplink() { echo "up$1"; }
tap() { echo "p$1"; }
DIRECT=direct

link4() { echo "103.30.$(($1 * 10)).$2"; }
link6() { echo "2001:db8:30:$(($1 * 10))::$2"; }
lo4() { echo "10.0.255.$1"; }
lo6() { echo "2001:db8:255::1$1"; }
ROUTER_LO=100

# The router's end of a link: Ironlane's port and its tap have this MAC.
port_mac() { echo "02:00:00:00:30:0$1"; }

# In the background use `ip netns exec` itself: the process id is then that of the program.
in_ns() { local ns=$1; shift; ip netns exec "$ns" "$@"; }
